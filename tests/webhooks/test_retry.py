"""When a message is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from webhooks import retry
from webhooks.retry import End, NextTry

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("attempts_made", "wait"),
    # 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 5 h, 10 h; then the end.
    [(1, 5), (2, 30), (3, 120), (4, 600), (5, 1800), (6, 7200), (7, 18000), (8, 36000), (9, None)],
)
def test_the_schedule(attempts_made: int, wait: float | None) -> None:
    delay = retry.delay_after(attempts_made, jitter=0)

    assert delay == (None if wait is None else seconds(wait))


@pytest.mark.parametrize(("jitter", "wait"), [(-0.2, 96), (0, 120), (0.2, 144)])
def test_jitter_is_a_fifth_either_way(jitter: float, wait: float) -> None:
    assert retry.delay_after(3, jitter=jitter) == seconds(wait)


def test_random_jitter_stays_inside_and_spreads() -> None:
    dues = {retry.next_try(1, now=NOW, first_attempt_at=NOW).due_at for _each in range(200)}

    assert all(due is not None and NOW + seconds(4) <= due <= NOW + seconds(6) for due in dues)
    assert len(dues) > 100


@pytest.mark.parametrize(
    ("attempts_made", "asked", "wait"),
    [
        (1, 0, 5),  # never before the step
        (1, 60, 60),
        (1, 10**9, 3600),  # an hour when twice the step is less
        (6, 60, 7200),
        (6, 10_000, 10_000),
        (6, 10**6, 14_400),  # twice the step
    ],
)
def test_retry_after_is_kept_within_limits(attempts_made: int, asked: int, wait: int) -> None:
    for jitter in (0.0, 0.2, -0.2):
        delay = retry.delay_after(attempts_made, jitter=jitter, retry_after=seconds(asked))
        assert delay is not None
        assert seconds(wait) <= delay <= max(seconds(wait) * 1.2, seconds(asked + 5))
        assert delay <= max(2 * retry.SCHEDULE[attempts_made - 1], timedelta(hours=1))


@pytest.mark.parametrize(
    ("values", "wait"),
    [
        (["120"], 120),
        ([" 7 "], 7),
        (["0"], 0),
        (["Tue, 24 Nov 2026 12:00:30 GMT"], 30),
        (["Tue, 24 Nov 2026 11:00:00 GMT"], 0),
        (["Tue, 24 Nov 2026 12:00:30 -0000"], 30),
        (["rubbish", "9", "10"], 9),
        (["9" * 400], 10**9),
        (["-1"], None),
        (["1e9"], None),
        (["1.5"], None),
        (["٣"], None),
        ([""], None),
        ([], None),
    ],
)
def test_read_retry_after(values: list[str], wait: int | None) -> None:
    assert retry.read_retry_after(values, now=NOW) == (None if wait is None else seconds(wait))


def test_the_expiry_counts_from_the_first_attempt_without_the_waits() -> None:
    first = NOW - timedelta(hours=24)
    told = {"now": NOW, "first_attempt_at": first, "jitter": 0.0}

    assert retry.next_try(1, **told) == NextTry(None, End.EXPIRED)  # type: ignore[arg-type]
    assert retry.next_try(1, waited=seconds(5), **told) == NextTry(NOW + seconds(5))  # type: ignore[arg-type]


def test_the_end_says_which_it_is() -> None:
    assert retry.next_try(9, now=NOW, first_attempt_at=NOW) == NextTry(None, End.EXHAUSTED)
    assert retry.next_try(1, now=NOW, first_attempt_at=NOW, send_until=NOW) == NextTry(
        None, End.EXPIRED
    )


def test_an_untried_message_expires_by_its_last_moment_alone() -> None:
    assert not retry.is_expired(at=NOW, first_attempt_at=None)
    assert not retry.is_expired(at=NOW, first_attempt_at=None, send_until=NOW)
    assert retry.is_expired(at=NOW + seconds(1), first_attempt_at=None, send_until=NOW)


@pytest.mark.parametrize(("attempts_made", "jitter"), [(0, 0.0), (1, 0.3), (1, -0.3)])
def test_nonsense_is_refused(attempts_made: int, jitter: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        retry.delay_after(attempts_made, jitter=jitter)
