import time
from typing import Any, ClassVar, Final, cast

from django.core.cache import cache
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from identity import ingestion
from workspaces.models import ApiKey

CALLS_A_MINUTE: Final = 6_000
# A process takes so many at a time of what all of them share, and asks nobody until they are used.
CALLS_AT_ONCE: Final = 20
_MINUTE: Final = 60
# How long a process trusts what it saw of the queue, and when it may be asked again.
_LOOK_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 5


class EventsThrottle(BaseThrottle):
    """So many calls a minute and key, counted by the minute of the clock over all processes.

    REST framework's own keeps the time of every call, which at this rate is a large value to
    read and write at each. What a process took and did not use is lost with the minute.
    """

    # Of the minute that the first number says: the calls that each key has left here.
    _taken: ClassVar[tuple[int, dict[int, int]]] = (0, {})

    def __init__(self) -> None:
        self._seconds_left = 0

    def allow_request(self, request: Request, view: Any) -> bool:
        now = int(timezone.now().timestamp())
        minute, self._seconds_left = now // _MINUTE, _MINUTE - now % _MINUTE
        if self._taken[0] != minute:
            EventsThrottle._taken = minute, {}
        left, key_id = self._taken[1], cast(ApiKey, request.auth).pk
        if not left.get(key_id):
            left[key_id] = _take(f"events-calls:{key_id}:{minute}")
        left[key_id] -= 1
        return left[key_id] >= 0

    def wait(self) -> float:
        return self._seconds_left


def _take(key: str) -> int:
    """Return how many calls of the minute may be used here before asking again; 0 when none."""
    cache.add(key, 0, 2 * _MINUTE)
    try:
        before = cache.incr(key, CALLS_AT_ONCE) - CALLS_AT_ONCE
    except ValueError:  # It was dropped in between: a new count begins.
        return CALLS_AT_ONCE
    return max(0, min(CALLS_AT_ONCE, CALLS_A_MINUTE - before))


class QueueThrottle(BaseThrottle):
    """No more events while enough of the workspace wait to be taken."""

    _seen: ClassVar[dict[int, tuple[float, bool]]] = {}

    def allow_request(self, request: Request, view: Any) -> bool:
        workspace = cast(ApiKey, request.auth).workspace
        looked_at, is_full = self._seen.get(workspace.pk, (0.0, False))
        if not looked_at or time.monotonic() - looked_at > _LOOK_SECONDS:
            is_full = ingestion.is_full(workspace)
            self._seen[workspace.pk] = time.monotonic(), is_full
        return not is_full

    def wait(self) -> float:
        return _RETRY_SECONDS
