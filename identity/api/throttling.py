from typing import Any, Final

from django.core.cache import cache
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

CALLS_A_MINUTE: Final = 6_000
_MINUTE: Final = 60


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
