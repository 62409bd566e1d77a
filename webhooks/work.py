"""What a sender has in its hands: claimed people, the messages made of them, how each try ended."""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from webhooks.choices import AttemptKind, StateByte
from webhooks.leases import Lease
from webhooks.plans import CompiledPlan


class ClaimedChunk(NamedTuple):
    """One chunk row under our lease."""

    id: int
    plan_id: int
    day: date
    qaids: list[int]
    events: list[dict[str, Any]] | None
    states: bytes
    claims: int
    was_open: bool  # A sender died with it, so nobody knows what it sent.


class ClaimedMessage(NamedTuple):
    """One waiting message row under our lease."""

    id: str
    plan_id: int
    chunk_id: int
    day: date
    delivery_ids: list[str]
    positions: list[int]
    body: bytes
    kind: str
    attempts: int
    first_attempt_at: datetime | None
    expires_at: datetime | None
    claims: int
    splits: int


@dataclass(slots=True)
class Recipient:
    """One person of a message; ``part`` is their piece of its body.

    Of a message that was stored only the place and the id are known; the rest stands in
    the delivery's row.
    """

    position: int
    delivery_id: str
    qaid: int = 0
    sent_id: str = ""
    reach_id: str = ""
    texts: list[str | None] | None = None
    defaulted: int = 0
    blanked: int = 0
    part: str = ""


@dataclass(slots=True)
class Held:
    """One claim: a chunk, or waiting messages of one webhook."""

    lease: Lease
    webhook_id: int
    # Of a chunk; waiting messages name their own.
    chunk_id: int = 0
    plan: CompiledPlan | None = None
    day: date | None = None
    # One at a time, with the intent written before the socket opens.
    is_alone: bool = False
    ready: deque["Envelope"] = field(default_factory=deque)
    open: int = 0
    unsettled: int = 0
    # Somebody here waits for another chunk, so this one goes back when all else is done.
    is_left_over: bool = False

    @property
    def is_idle(self) -> bool:
        return not self.open and not self.unsettled


@dataclass(slots=True)
class Envelope:
    """One message, ready to be signed and sent."""

    id: str
    body: bytes
    recipients: list[Recipient]
    held: Held
    plan: CompiledPlan
    chunk_id: int
    day: date
    # Tries that count, and the number of the next attempt's row.
    tries: int = 0
    # So many of them were answered by splitting the message: no steps of the retry schedule.
    splits: int = 0
    first_attempt_at: datetime | None = None
    expires_at: datetime | None = None
    kind: str = AttemptKind.AUTO
    # Only a first try has no row yet.
    is_stored: bool = False
    has_intent: bool = False
    # In seconds since 1970, by the database's clock: since when it may be opened, and when it was.
    ready_at: float = 0.0
    opened_at: float | None = None


@dataclass(slots=True)
class Waiting:
    """A message that is to be tried (again): its people, exact bytes, and in how many seconds."""

    id: str
    body: bytes
    recipients: list[Recipient]
    tries: int
    delay: float
    first_attempt_at: datetime
    expires_at: datetime
    kind: str = AttemptKind.AUTO
    splits: int = 0


class Ending(NamedTuple):
    recipient: Recipient
    state: StateByte
    reason: str


@dataclass(slots=True)
class Tried:
    """How one try ended, for each of its people; without an envelope nothing was sent.

    ``tries`` includes this one unless it does not count (the webhook is misconfigured).
    """

    held: Held
    endings: list[Ending]
    envelope: Envelope | None = None
    waiting: list[Waiting] = field(default_factory=list)
    outcome: str = ""
    status: int | None = None
    answer: str = ""
    duration_ms: int | None = None
    at: float | None = None
    tries: int = 0
    is_counted: bool = True


class Clock:
    """The database's clock between two looks at it: what is due and late is decided by it alone."""

    def __init__(self) -> None:
        self._behind = time.time() - time.monotonic()

    def set(self, now: datetime) -> None:
        self._behind = now.timestamp() - time.monotonic()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def seconds(self) -> float:
        return time.monotonic() + self._behind
