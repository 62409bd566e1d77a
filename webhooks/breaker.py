"""The circuit breaker: a receiver in trouble is left alone, probed, and taken up again slowly.

Its state is a row, shared by all senders; whoever waits for it uses no attempt. It opens when
most of the latest answers are failures, lets three requests through after a while, and when
they come back well it lets one request be open, then two, four, … up to the webhook's own
limit. ``after`` and ``begin_probing`` hold the rules, without a database.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

from django.db import transaction

from webhooks.choices import BreakerState
from webhooks.models import WebhookControl

PROBES: Final = 3
# After a breaker has closed, so many answers are enough to open it again.
RAMP_RESULTS: Final = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens and for how long; tests make them short.

    ``window_seconds`` is how far back answers count: older ones weigh less and less.
    """

    window_seconds: float = 60.0
    results: int = 20
    share: float = 0.5
    open_seconds: float = 30.0
    open_seconds_at_most: float = 600.0
    # Probes whose answers nobody saw, as their sender died, are let through again after this.
    probe_seconds: float = 60.0
    # In trouble for so long without three good probes, the webhook is disabled.
    give_up_seconds: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker at one moment.

    Args:
        until: open until then; while probing, when the probes are lost.
        opened_at: since when no three probes in a row were good.
        opened_times: in this trouble; it makes the next pause longer.
        ramp: requests that may be open while it is taken up again; 0 for no limit.
        results, failures: answers of the window, weighed by age, at ``counted_at``.
        reason: the latest failure's, as of ``Verdict.reason``.
    """

    state: BreakerState = BreakerState.CLOSED
    until: datetime | None = None
    opened_at: datetime | None = None
    opened_times: int = 0
    probes: int = 0
    ramp: int = 0
    results: float = 0.0
    failures: float = 0.0
    counted_at: datetime | None = None
    reason: str = ""

    @property
    def limit(self) -> int | None:
        """How many requests may be open over all senders, if fewer than the webhook allows."""
        if self.state == BreakerState.OPEN:
            return 0
        if self.state == BreakerState.PROBING:
            return PROBES
        return self.ramp or None

    @classmethod
    def of(cls, control: WebhookControl) -> Self:
        return cls(
            state=BreakerState(control.breaker),
            until=control.breaker_until,
            opened_at=control.breaker_opened_at,
            opened_times=control.breaker_opened_times,
            probes=control.breaker_probes,
            ramp=control.breaker_ramp,
            results=control.breaker_results,
            failures=control.breaker_failures,
            counted_at=control.breaker_counted_at,
            reason=control.breaker_reason,
        )


# --- Rules ----------------------------------------------------------------------------------------


def after(
    breaker: Breaker,
    *,
    good: int,
    failed: int,
    reason: str,
    concurrency: int,
    now: datetime,
    rules: Rules,
) -> Breaker:
    """Return the breaker after more answers; ``good`` ones show that the receiver works."""
    reason = reason or breaker.reason
    if breaker.state == BreakerState.OPEN:
        return breaker  # What was open when it opened tells nothing new.
    if breaker.state == BreakerState.PROBING:
        if failed:
            return _opened(breaker, reason=reason, now=now, rules=rules)
        results = breaker.results + good
        if results < PROBES:
            return replace(breaker, results=results)
        return replace(
            breaker,
            state=BreakerState.CLOSED,
            until=None,
            opened_at=None,
            probes=0,
            ramp=1 if concurrency > 1 else 0,
            results=0.0,
            failures=0.0,
            counted_at=now,
        )
    weight = _weight(breaker.counted_at, now, rules)
    results = breaker.results * weight + good + failed
    failures = breaker.failures * weight + failed
    enough = RAMP_RESULTS if breaker.ramp else rules.results
    if failed and results >= enough and failures >= rules.share * results:
        return _opened(breaker, reason=reason, now=now, rules=rules)
    counted = replace(breaker, results=results, failures=failures, counted_at=now, reason=reason)
    if breaker.ramp and results - failures >= breaker.ramp:
        wider = breaker.ramp * 2
        wider = wider if wider < concurrency else 0
        counted = replace(counted, ramp=wider, results=0.0, failures=0.0)
    if not counted.ramp and not failed:
        # The trouble is over: the next one is told of, and begins with the shortest pause.
        counted = replace(counted, opened_times=0)
    return counted


def begin_probing(breaker: Breaker, *, now: datetime, rules: Rules) -> Breaker:
    """Return the breaker, half open when its pause, or the wait for lost probes, is over."""
    if breaker.state == BreakerState.CLOSED or breaker.until is None or breaker.until > now:
        return breaker
    until = now + timedelta(seconds=rules.probe_seconds)
    return replace(
        breaker,
        state=BreakerState.PROBING,
        until=until,
        probes=0,
        results=0.0,
        failures=0.0,
        counted_at=now,
    )


def _weight(counted_at: datetime | None, now: datetime, rules: Rules) -> float:
    """Return what the counts are still worth: answers are half a window old on average."""
    if counted_at is None:
        return 0.0
    return math.exp(-max(0.0, (now - counted_at).total_seconds()) / (rules.window_seconds / 2))


def _opened(breaker: Breaker, *, reason: str, now: datetime, rules: Rules) -> Breaker:
    times = min(breaker.opened_times, 30)  # Beyond that the power overflows.
    seconds = min(rules.open_seconds * 2**times, rules.open_seconds_at_most)
    return replace(
        breaker,
        state=BreakerState.OPEN,
        until=now + timedelta(seconds=seconds),
        opened_at=breaker.opened_at or now,
        opened_times=breaker.opened_times + 1,
        probes=0,
        ramp=0,
        results=0.0,
        failures=0.0,
        counted_at=now,
        reason=reason,
    )


def is_given_up(breaker: Breaker, *, now: datetime, rules: Rules) -> bool:
    """Tell whether a receiver has been in trouble for too long to be asked on and on."""
    if breaker.opened_at is None or breaker.state != BreakerState.OPEN:
        return False
    return (now - breaker.opened_at).total_seconds() >= rules.give_up_seconds


# --- The row --------------------------------------------------------------------------------------


def read(webhook_ids: Collection[int]) -> dict[int, Breaker]:
    """Return the breakers that hold something back, by webhook."""
    rows = WebhookControl.objects.filter(webhook__in=webhook_ids)
    return {
        row.pk: Breaker.of(row) for row in rows.exclude(breaker=BreakerState.CLOSED, breaker_ramp=0)
    }


@transaction.atomic
def note(
    webhook_id: int,
    *,
    good: int,
    failed: int,
    reason: str,
    concurrency: int,
    now: datetime,
    rules: Rules,
) -> tuple[Breaker, bool]:
    """Count answers; return the breaker, and whether it has just opened for the first time."""
    row = WebhookControl.objects.select_for_update().get(webhook=webhook_id)
    before = Breaker.of(row)
    found = after(
        before,
        good=good,
        failed=failed,
        reason=reason,
        concurrency=concurrency,
        now=now,
        rules=rules,
    )
    if found != before:
        _store(webhook_id, found)
    return found, found.opened_times == 1 and before.opened_times == 0


@transaction.atomic
def wake(webhook_id: int, *, now: datetime, rules: Rules) -> Breaker:
    """Begin to probe when it is time; return the breaker."""
    row = WebhookControl.objects.select_for_update().get(webhook=webhook_id)
    before = Breaker.of(row)
    found = begin_probing(before, now=now, rules=rules)
    if found != before:
        _store(webhook_id, found)
    return found


@transaction.atomic
def take_probe(webhook_id: int) -> bool:
    """Tell whether one more probe may go out; at most three a pause, over all senders."""
    row = WebhookControl.objects.select_for_update().get(webhook=webhook_id)
    if row.breaker != BreakerState.PROBING or row.breaker_probes >= PROBES:
        return False
    WebhookControl.objects.filter(pk=row.pk).update(breaker_probes=row.breaker_probes + 1)
    return True


def reset(webhook_id: int) -> None:
    """Close a breaker by hand, as whoever resumes the webhook says that the trouble is over."""
    _store(webhook_id, Breaker())


def _store(webhook_id: int, breaker: Breaker) -> None:
    WebhookControl.objects.filter(webhook=webhook_id).update(
        breaker=breaker.state,
        breaker_until=breaker.until,
        breaker_opened_at=breaker.opened_at,
        breaker_opened_times=breaker.opened_times,
        breaker_probes=breaker.probes,
        breaker_ramp=breaker.ramp,
        breaker_results=breaker.results,
        breaker_failures=breaker.failures,
        breaker_counted_at=breaker.counted_at,
        breaker_reason=breaker.reason,
    )
