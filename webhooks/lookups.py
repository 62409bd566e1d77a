"""Looking up a name once for all who wait for it.

libcurl looks names up in some twenty threads, each of them busy until the system's resolver gives
up, long after the request has. A name whose server is slow would soon have them all, and nobody
else's would be looked up any more.
"""

from typing import Final, Generic, Protocol, TypeVar

# libcurl remembers an answer for so long; and a kept connection says nothing about the name.
KNOWN_SECONDS: Final = 60.0
KEPT_SECONDS: Final = 1.0
_NAMES_AT_MOST: Final = 10_000


class Asker(Protocol):
    """A request that needs a name's address."""

    host: str

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
        self._first: dict[str, A] = {}
        self._waiting: dict[str, list[A]] = {}

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
        return True

    def found(self, *, now: float) -> list[A]:
        """Return those who waited for a name whose address is known by now."""
        released: list[A] = []
        for host, first in list(self._first.items()):
            if first.has_address:
                self._know(host, now + KNOWN_SECONDS)
            elif first.has_connection:
                self._know(host, now + KEPT_SECONDS)
            else:
                continue
            released += self._forget(host)
        return released

    def ended(self, asker: A, *, is_unknown: bool) -> list[A]:
        """Return those who waited for this one; ``is_unknown``: its name led to no address."""
        if is_unknown:
            self._known.pop(asker.host, None)
        return self._forget(asker.host) if self._first.get(asker.host) is asker else []

    def _know(self, host: str, until: float) -> None:
        if len(self._known) >= _NAMES_AT_MOST:
            self._known.clear()
        self._known[host] = until

    def _forget(self, host: str) -> list[A]:
        del self._first[host]
        return self._waiting.pop(host)
