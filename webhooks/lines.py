"""One webhook's work inside one sender: its lanes, what is claimed, what is open."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from django.conf import settings

from webhooks import lanes, retry
from webhooks.breaker import Breaker, Rules
from webhooks.leases import Lease
from webhooks.outcomes import Judge
from webhooks.targets import Target
from webhooks.work import Envelope, Held


@dataclass(frozen=True, slots=True)
class Options:
    """How a sender works; the defaults are for real use, tests make leases and schedules short."""

    lease_seconds: float = 120.0
    # Chunks of one webhook, and claims of all webhooks, in one process's hands at a time.
    chunks: int = 6
    claims: int = 48
    # Requests open at a time, over all webhooks.
    slots: int = 512
    # What came in is settled at so many answers or people, or when so long has passed.
    flush_answers: int = 100
    flush_people: int = 500
    flush_seconds: float = 0.2
    # What a pause or a cancellation waits at most before it is seen.
    flags_seconds: float = 0.25
    # How long an idle sender sleeps between two looks.
    idle_seconds: float = 0.2
    drain_seconds: float = lanes.DRAIN_SECONDS
    # A request is opened only when the lease outlasts its deadline by this.
    margin_seconds: float = 2.0
    schedule: tuple[timedelta, ...] = retry.SCHEDULE
    breaker: Rules = field(default_factory=Rules)

    @classmethod
    def of_settings(cls) -> Self:
        """Read ``SENDER_OPTIONS``, a dict of these names.

        A schedule is given in seconds, the breaker as a dict of what its rules are named.
        """
        given = dict(getattr(settings, "SENDER_OPTIONS", {}))
        if "schedule" in given:
            given["schedule"] = tuple(timedelta(seconds=each) for each in given["schedule"])
        if "breaker" in given:
            given["breaker"] = Rules(**given["breaker"])
        return cls(**given)


@dataclass(slots=True)
class Line:
    """What one sender holds of one webhook."""

    webhook_id: int
    target: Target
    judge: Judge
    lane_lease: Lease | None = None
    lane_numbers: list[int] = field(default_factory=list)
    # By time.monotonic(): since when the lanes are held, and when more may be asked for.
    since: float = 0.0
    lanes_at: float = 0.0
    holds: list[Held] = field(default_factory=list)
    open: int = 0
    # Granted by the rate limit and not used yet; when the next ones may be asked for.
    tokens: float = 0.0
    tokens_at: float = 0.0
    # Answers that say that key or URL are wrong: new ones in a row, and whether another one
    # came since the last were noted.
    misconfigured: int = 0
    is_run_broken: bool = False
    pause_at: int = 0
    # What holds back, if anything does, and what came since it was last told.
    breaker: Breaker | None = None
    good: int = 0
    failed: int = 0
    failure: str = ""

    @property
    def slots(self) -> int:
        """How many requests may be open here."""
        if self.lane_lease is None or self.lane_lease.lost:
            return 0
        return lanes.slots_of(self.concurrency, self.lane_numbers)

    @property
    def concurrency(self) -> int:
        """How many requests may be open over all senders: the webhook's number or the breaker's."""
        limit = self.breaker.limit if self.breaker else None
        return self.target.concurrency if limit is None else min(limit, self.target.concurrency)

    @property
    def ready(self) -> int:
        return sum(len(held.ready) for held in self.holds)

    @property
    def chunks(self) -> int:
        return sum(1 for held in self.holds if held.chunk_id)

    @property
    def has_alone(self) -> bool:
        return any(held.is_alone for held in self.holds)

    def clear(self) -> None:
        """Open nothing more of what is claimed; it goes back when nothing of it is open."""
        for held in self.holds:
            held.ready.clear()

    def queues(self) -> Iterator[tuple[Held, deque[Envelope]]]:
        """Yield what can be opened, the oldest claim first."""
        for held in self.holds:
            if held.ready:
                yield held, held.ready
