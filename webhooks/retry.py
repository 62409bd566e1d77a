"""When a message is tried again, and when that ends."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

# 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 5 h, 10 h: the ninth failure is the last.
SCHEDULE: Final[tuple[timedelta, ...]] = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000)
)
JITTER: Final = 0.2
EXPIRE_AFTER: Final = timedelta(hours=24)
RETRY_AFTER_AT_LEAST: Final = timedelta(hours=1)  # The upper clamp is never below this.


class End(StrEnum):
    """Why there is no next try."""

    EXHAUSTED = "exhausted"  # Dead: the schedule is used up.
    EXPIRED = "expired"  # Too late: the next try would come after the end.


@dataclass(frozen=True, slots=True)
class NextTry:
    due_at: datetime | None
    end: End | None = None


def delay_after(
    attempts_made: int,
    *,
    jitter: float,
    retry_after: timedelta | None = None,
    schedule: Sequence[timedelta] = SCHEDULE,
) -> timedelta | None:
    """Return how long to wait before the next attempt, or None to give up.

    Args:
        attempts_made: attempts so far, the failed one included; 1 or more.
        jitter: share of the step added to it, from -0.2 to 0.2, so that a server that
            was down isn't met by every delivery at one moment.
        retry_after: what the other side asked for; kept within the step and the larger
            of twice the step and one hour.

    Raises:
        ValueError: ``attempts_made`` is below 1 or ``jitter`` out of range.
    """
    if attempts_made < 1:
        raise ValueError(f"attempts_made must be 1 or more, not {attempts_made}")
    if not -JITTER <= jitter <= JITTER:
        raise ValueError(f"jitter must be between -{JITTER} and {JITTER}, not {jitter}")
    if attempts_made > len(schedule):
        return None
    step = schedule[attempts_made - 1]
    if retry_after is None:
        return step * (1 + jitter)
    longest = max(2 * step, RETRY_AFTER_AT_LEAST)
    # Never earlier than asked: here jitter only adds.
    return min(max(retry_after, step) + step * abs(jitter), longest)


def read_retry_after(values: Sequence[str], *, now: datetime) -> timedelta | None:
    """Return what ``Retry-After`` asks for: the first value that reads as seconds or a date."""
    for value in values:
        text = value.strip()
        if text.isascii() and text.isdigit():
            # More digits than a clamp could ever use overflow a timedelta.
            return timedelta(seconds=min(int(text[:12]), 10**9))
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            continue
        return max(moment.replace(tzinfo=moment.tzinfo or UTC) - now, timedelta(0))
    return None


def next_try(
    attempts_made: int,
    *,
    now: datetime,
    first_attempt_at: datetime,
    waited: timedelta = timedelta(0),
    expire_after: timedelta = EXPIRE_AFTER,
    send_until: datetime | None = None,
    retry_after: timedelta | None = None,
    schedule: Sequence[timedelta] = SCHEDULE,
    jitter: float | None = None,
) -> NextTry:
    """Return when a failed message is due again, or why it is not.

    Args:
        first_attempt_at: expiry counts from here, not from when the person was planned.
        waited: time spent paused, misconfigured or behind a breaker or a limit; it does
            not count against the expiry.
        send_until: the step's own last moment; no wait moves it.
        jitter: for tests; random within ± 20 % when None.
    """
    share = random.uniform(-JITTER, JITTER) if jitter is None else jitter  # noqa: S311
    delay = delay_after(attempts_made, jitter=share, retry_after=retry_after, schedule=schedule)
    if delay is None:
        return NextTry(None, End.EXHAUSTED)
    due = now + delay
    if is_expired(
        at=due,
        first_attempt_at=first_attempt_at,
        waited=waited,
        expire_after=expire_after,
        send_until=send_until,
    ):
        return NextTry(None, End.EXPIRED)
    return NextTry(due)


def is_expired(
    *,
    at: datetime,
    first_attempt_at: datetime | None,
    waited: timedelta = timedelta(0),
    expire_after: timedelta = EXPIRE_AFTER,
    send_until: datetime | None = None,
) -> bool:
    """Tell whether a message may no longer be sent; an untried one only by ``send_until``."""
    if send_until is not None and at > send_until:
        return True
    return first_attempt_at is not None and at > first_attempt_at + waited + expire_after
