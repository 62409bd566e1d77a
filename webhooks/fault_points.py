"""Points at which a process can be told to die or to stand still, to see what is left.

Off unless the settings allow faults, as those of the fault rig alone do: an environment that
names a point where they are not allowed is refused, so that no installation can be told to.

``FAULT_POINTS="after_response=kill:20,before_commit=sleep:2"`` dies at the 20th answer and
sleeps two seconds at each commit. Callers ask ``ON`` first: off, a point costs nothing.
"""

import os
import signal
import time
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_POINTS: Final = frozenset({"after_claim", "after_request_sent", "after_response", "before_commit"})


class _Fault:
    def __init__(self, told: str) -> None:
        self.action, _colon, number = told.partition(":")
        self.number = float(number or 1)
        self.reached = 0
        if self.action not in ("kill", "sleep"):
            raise ImproperlyConfigured(f"FAULT_POINTS knows no “{self.action}”.")

    def reach(self) -> None:
        self.reached += 1
        if self.action == "sleep":
            time.sleep(self.number)
        elif self.reached >= self.number:
            os.kill(os.getpid(), signal.SIGKILL)


def _read(told: str) -> dict[str, _Fault]:
    if not told:
        return {}
    if not getattr(settings, "FAULTS_ALLOWED", False):
        raise ImproperlyConfigured("FAULT_POINTS is for the fault rig; unset it.")
    found = {}
    for part in told.split(","):
        point, _equals, action = part.partition("=")
        if point not in _POINTS:
            raise ImproperlyConfigured(f"FAULT_POINTS knows no “{point}”.")
        found[point] = _Fault(action)
    return found


_FAULTS: Final = _read(os.environ.get("FAULT_POINTS", ""))
ON: Final = bool(_FAULTS)


def reach(point: str) -> None:
    """Let the fault happen that this process was told of, if any."""
    if point in _FAULTS:
        _FAULTS[point].reach()
