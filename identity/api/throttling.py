import time
from typing import Any, ClassVar, Final, cast

from django.core.cache import cache
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from identity import ingestion
from workspaces.models import ApiKey

CALLS_A_MINUTE: Final = 6_000
_MINUTE: Final = 60
# How long a process trusts what it saw of the queue, and when it may be asked again.
_LOOK_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 5


class EventsThrottle(BaseThrottle):
    """So many calls a minute and key, counted by the minute of the clock.

    REST framework's own keeps the time of every call, which at this rate is a large value to
    read and write at each.
    """

    def __init__(self) -> None:
        self._seconds_left = 0

    def allow_request(self, request: Request, view: Any) -> bool:
        now = int(timezone.now().timestamp())
        self._seconds_left = _MINUTE - now % _MINUTE
        key = f"events-calls:{request.user.pk}:{now // _MINUTE}"
        cache.add(key, 0, 2 * _MINUTE)
        try:
            return cache.incr(key) <= CALLS_A_MINUTE
        except ValueError:  # It was dropped in between: a new count begins.
            return True

    def wait(self) -> float:
        return self._seconds_left


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
