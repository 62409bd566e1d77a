"""The runner: what has to happen to journeys by itself, in one sweep that may be killed anywhere.

Every part is one short transaction a run, guarded by the run's row, so any number of
planners may sweep at once and each sweep may be repeated.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections

from journeys import advancing, ending, enrolling, starting
from webhooks.partitions import NoPartition
from workspaces import clock
from workspaces.heartbeats import Heart

log = structlog.get_logger(__name__)

# Between two sweeps while there is something to do: what comes in meanwhile goes together.
GATHER_SECONDS: Final = 0.01
# Between two sweeps that found nothing.
IDLE_SECONDS: Final = 0.2
# How often is looked for ended runs, lost permissions, and people of half-sent chunks.
SLOW_SECONDS: Final = 1.0
# After an error of the database, or a partition that is missing.
TROUBLE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did, in people and runs."""

    started: int = 0
    planned: int = 0
    events: int = 0
    entered: int = 0
    advanced: int = 0
    paused: int = 0
    finished: int = 0

    @property
    def is_idle(self) -> bool:
        return self == Swept()


def sweep(*, now: datetime, thorough: bool = True) -> Swept:
    """Do once whatever is to be done.

    Args:
        thorough: also the slow part: hand people on out of half-sent chunks, pause runs
            that lost a permission, end the runs that are done.

    Raises:
        NoPartition: nothing can be planned today; the schedule is behind.
    """
    started = starting.start_due(now=now)
    planned = starting.plan_pages(now=now)
    taken = enrolling.enroll(now=now)
    advanced = advancing.advance(now=now, partly=thorough)
    return Swept(
        started=started,
        planned=planned,
        events=taken.events,
        entered=taken.entered,
        advanced=advanced,
        paused=ending.pause_lost(now=now) if thorough else 0,
        finished=ending.finish_done(now=now) if thorough else 0,
    )


def run(
    *,
    is_stopping: Callable[[], bool],
    wait: Callable[[float], object] = time.sleep,
    on_sweep: Callable[[Swept], None] = lambda swept: None,
) -> None:
    """Sweep until told to stop, about five times a second when idle.

    Args:
        wait: sleeps so many seconds, or less when it is to stop.
        on_sweep: told of each sweep that did something.
    """
    slow_at = 0.0
    heart = Heart("planner")
    while not is_stopping():
        thorough = time.monotonic() >= slow_at
        if thorough:
            slow_at = time.monotonic() + SLOW_SECONDS
        try:
            heart.beat()
            swept = sweep(now=clock.now(), thorough=thorough)
        except (DatabaseError, InterfaceError, NoPartition) as error:
            log.exception("sweep_failed", error=type(error).__name__)
            close_old_connections()
            wait(TROUBLE_SECONDS)
            continue
        if swept.is_idle:
            wait(IDLE_SECONDS)
        else:
            on_sweep(swept)
            wait(GATHER_SECONDS)
    with contextlib.suppress(DatabaseError, InterfaceError):
        heart.stop()
