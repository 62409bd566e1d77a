"""Celery's part in planning: hints that shorten a wait. Lost or doubled, they change nothing."""

import time
from typing import Final

from celery import shared_task

from webhooks.tasks import HINT_SECONDS, publish
from workspaces import clock

# A process gives no more hints than planners sweep by themselves.
HINT_EVERY_SECONDS: Final = 0.2
# A sweep that finds something goes on for so long, as the schedule's next one may come no sooner.
SWEEP_SECONDS: Final = 4.0


class _Last:
    """When this process gave its last hint."""

    at = float("-inf")


def hint() -> None:
    """Say that a run may have to start, or people may have to be handed on."""
    if time.monotonic() - _Last.at >= HINT_EVERY_SECONDS:
        _Last.at = time.monotonic()
        publish(sweep)


@shared_task(ignore_result=True, expires=HINT_SECONDS)
def sweep() -> None:
    """Sweep until nothing is left to do, as a planner does by itself."""
    from journeys import runner

    until = time.monotonic() + SWEEP_SECONDS
    while not runner.sweep(now=clock.now()).is_idle and time.monotonic() < until:
        pass
