"""Looking up a name once for all who wait for it, and leaving threads for the names that work.

libcurl looks names up in some twenty threads, each of them busy until the system's resolver gives
up, long after the request has. Names whose servers are slow would soon have them all, and nobody
else's would be looked up any more. So a name that has not been found lately waits until few others
are being looked up, one that took too long the last time until fewer are; within its request's
time. What was found lately always goes.
"""

from typing import Final, Generic, Protocol, TypeVar

# libcurl remembers an answer for so long; and a kept connection says nothing about the name.
KNOWN_SECONDS: Final = 60.0
KEPT_SECONDS: Final = 1.0
# A name that was found is taken for a good one for so long.
GOOD_SECONDS: Final = 3_600.0
# How many names are looked up that were not found lately, and of these the slow ones. A name may
# take two threads, one for each kind of address.
OTHERS_AT_MOST: Final = 8
SLOW_AT_MOST: Final = 3
# A look-up that fails later than this has run out of time, and its thread goes on: the system's
# resolver asks three servers twice, five seconds each time.
SLOW_SECONDS: Final = 1.0
GIVES_UP_SECONDS: Final = 30.0
# How often whoever waits for a thread is looked at.
TURNS_SECONDS: Final = 0.05
_NAMES_AT_MOST: Final = 10_000


class Asker(Protocol):
    """A request that needs a name's address."""

    host: str
    # By time.monotonic(), and how many seconds it has from then on.
    opened_at: float
    deadline: float

    @property
    def has_address(self) -> bool:
        """Whether the name was looked up, so that a socket could be opened."""

    @property
    def has_connection(self) -> bool:
        """Whether it went out already."""


A = TypeVar("A", bound=Asker)


class Lookups(Generic[A]):
    """Who looks a name up, and who waits for that. Of one thread, as its transport."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        self._good: dict[str, float] = {}
        self._slow: set[str] = set()
        self._first: dict[str, A] = {}
        self._waiting: dict[str, list[A]] = {}
        # Names that have a thread, and since when; and those that only wait for one.
        self._begun: dict[str, float] = {}
        self._queued: list[str] = []
        self._turns_at = 0.0
        # Threads that still look for what nobody waits for any more, and until when.
        self._left: dict[str, float] = {}

    def may_go(self, asker: A, *, now: float) -> bool:
        """Tell whether it may go out; otherwise it waits for the one that looks its name up."""
        host = asker.host
        if self._known.get(host, 0.0) > now:
            return True
        if host in self._first:
            self._waiting[host].append(asker)
            return False
        self._first[host] = asker
        self._waiting[host] = []
        if not self._has_thread(host, now):
            self._queued.append(host)
            return False
        self._begun[host] = now
        return True

    def found(self, *, now: float) -> list[A]:
        """Return those who waited for a name whose address is known by now."""
        released: list[A] = []
        for host in list(self._begun):
            first = self._first[host]
            if first.has_address:
                self._know(host, now + KNOWN_SECONDS)
                self._good[host] = now + GOOD_SECONDS
                self._slow.discard(host)
            elif first.has_connection:
                self._know(host, now + KEPT_SECONDS)
            else:
                continue
            released += self._forget(host)
        return released

    def turns(self, *, now: float) -> tuple[list[A], list[A]]:
        """Return those whose names may be looked up now, and those whose time ran out before."""
        going: list[A] = []
        late: list[A] = []
        if not self._queued or now < self._turns_at:
            return going, late
        self._turns_at = now + TURNS_SECONDS
        for host in list(self._queued):
            first = self._first[host]
            if now >= first.opened_at + first.deadline:
                late.append(first)  # Who ends it tells ``ended``.
            elif self._has_thread(host, now):
                self._queued.remove(host)
                self._begun[host] = now
                going.append(first)
        return going, late

    def ended(self, asker: A, *, is_unknown: bool, now: float) -> list[A]:
        """Return those who waited for this one; ``is_unknown``: its name led to no address."""
        host = asker.host
        if is_unknown:
            self._known.pop(host, None)
        if self._first.get(host) is not asker:
            return []
        began = self._begun.get(host)
        if is_unknown and began is not None and now - began >= SLOW_SECONDS:
            self._left[host] = began + GIVES_UP_SECONDS
            self._good.pop(host, None)
            if len(self._slow) >= _NAMES_AT_MOST:
                self._slow.clear()
            self._slow.add(host)
        return self._forget(host)

    def _has_thread(self, host: str, now: float) -> bool:
        """Tell whether a name may be looked up now."""
        if self._left:
            self._left = {name: until for name, until in self._left.items() if until > now}
        if host in self._left:
            return False
        if self._good.get(host, 0.0) > now:
            return True
        busy = [*self._begun, *self._left]
        if host in self._slow and sum(name in self._slow for name in busy) >= SLOW_AT_MOST:
            return False
        return len(busy) < OTHERS_AT_MOST

    def _know(self, host: str, until: float) -> None:
        for known in (self._known, self._good):
            if len(known) >= _NAMES_AT_MOST:
                known.clear()
        self._known[host] = until

    def _forget(self, host: str) -> list[A]:
        del self._first[host]
        if self._begun.pop(host, None) is None:
            self._queued.remove(host)
        return self._waiting.pop(host)
