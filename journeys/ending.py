"""How runs end, or are paused by the console itself: finished, failed, a gate lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.utils.translation import gettext_lazy as _

from journeys import stages, uses
from journeys.choices import JourneyState, RunState
from journeys.models import Journey, Run
from webhooks import control
from webhooks.choices import PlanState
from webhooks.models import Chunk, Plan
from webhooks.partitions import NoPartition
from workspaces import notices
from workspaces.permissions import Point

log = structlog.get_logger(__name__)

# Why a run or journey is as it is, where a person did not decide it.
REASONS: Final = {
    control.PERMISSION_LOST: _("The member who is responsible may no longer use a webhook of it."),
    "responsible_gone": _("The member who was responsible is no longer there."),
    "audience_gone": _("Its audience no longer exists."),
    "broken": _("One of its steps cannot be carried out; the log says why."),
    "nobody": _("Nobody was in the audience."),
    "replaced": _("A newer version takes its place."),
}

PAUSED: Final = "journey_paused"
FAILED: Final = "journey_failed"
FINISHED: Final = "journey_finished"

_UNDER_WAY: Final = (RunState.PLANNING, RunState.RUNNING)
_CLOSED_STATES: Final = {
    JourneyState.STOPPED: RunState.STOPPED,
    JourneyState.FAILED: RunState.FAILED,
}


def register_notices() -> None:
    """Give the notices of this app their sentences."""
    notices.register(PAUSED, _("“%(journey)s” is paused. %(reason)s Resume it to take it over."))
    notices.register(FAILED, _("“%(journey)s” ended abnormally. %(reason)s"))
    notices.register(FINISHED, _("“%(journey)s” is finished. People in it: %(people)s."))


def pause_for(run: Run, *, reason: str, now: datetime) -> None:
    """Pause a locked run and its journey for a reason of ours; people keep their place."""
    control.pause_plans([stage.plan_id for stage in stages.of(run.pk)], now=now, reason=reason)
    run.state, run.state_reason = RunState.PAUSED, reason
    run.save(update_fields=["state", "state_reason"])
    Journey.objects.filter(
        pk=run.journey_id, state__in=[JourneyState.RUNNING, JourneyState.SCHEDULED]
    ).update(state=JourneyState.PAUSED, state_reason=reason)
    _tell(run, PAUSED, reason)


def fail(run: Run, *, reason: str, now: datetime) -> None:
    """End a locked run abnormally."""
    run.state, run.state_reason = RunState.FAILED, reason
    run.ended_at = run.closed_at = now
    run.save(update_fields=["state", "state_reason", "ended_at", "closed_at"])
    Journey.objects.filter(pk=run.journey_id).update(state=JourneyState.FAILED, state_reason=reason)
    uses.sync(run.journey)
    _tell(run, FAILED, reason)


@contextmanager
def alone(run_id: int, *, now: datetime) -> Iterator[None]:
    """Let a fault of one run end that run alone: it ends abnormally, all others go on.

    A fault of the database or of the schedule is nobody's, and passes.

    Raises:
        OperationalError, InterfaceError, NoPartition: the sweep is to be tried again.
    """
    try:
        with transaction.atomic():
            yield
    except (OperationalError, InterfaceError, NoPartition):
        raise
    except Exception:
        log.exception("run_broken", run=run_id)
        with transaction.atomic():
            run = _locked(run_id, *uses.OPEN_STATES)
            if run is not None:
                control.cancel_plans(
                    list(Plan.objects.filter(run_id=run_id).values_list("pk", flat=True))
                )
                fail(run, reason="broken", now=now)


def pause_lost(*, now: datetime) -> int:
    """Pause the runs of which the engine has paused a plan for a lost gate; return how many."""
    under_way = list(Run.objects.filter(state__in=_UNDER_WAY).values_list("pk", flat=True))
    lost = dict(
        Plan.objects.filter(run_id__in=under_way, state=PlanState.PAUSED)
        .exclude(pause_reason="")
        .values_list("run_id", "pause_reason")
    )
    paused = 0
    for run_id, reason in lost.items():
        with transaction.atomic():
            run = _locked(run_id)
            if run is not None:
                pause_for(run, reason=reason, now=now)
                paused += 1
    return paused


def finish_done(*, now: datetime) -> int:
    """End the runs that nobody can enter any more and nobody is left in; return how many."""
    open_runs = Run.objects.filter(state=RunState.RUNNING).exclude(
        is_event=True, closed_at__isnull=True
    )
    finished = 0
    for run_id in open_runs.values_list("pk", flat=True):
        if not _is_empty(run_id):
            continue
        with transaction.atomic():
            run = _locked(run_id)
            # Once more under the lock: the runner may have moved people meanwhile.
            if run is not None and run.state == RunState.RUNNING and _is_empty(run_id):
                _finish(run, now)
                finished += 1
    return finished


def _is_empty(run_id: int) -> bool:
    of_run = stages.of(run_id)
    if Chunk.objects.filter(plan__in=[stage.plan_id for stage in of_run], queued__gt=0).exists():
        return False
    # Whoever ended in the last step has nowhere to go; all others are still to be handed on.
    before_last = [stage.plan_id for stage in of_run[:-1]]
    return not Chunk.objects.filter(plan__in=before_last, unadvanced__gt=0).exists()


def _finish(run: Run, now: datetime) -> None:
    journey = run.journey
    run.state = _CLOSED_STATES.get(JourneyState(journey.state), RunState.FINISHED)
    if run.state_reason == "replaced":
        run.state = RunState.FINISHED
    elif not run.people:
        run.state_reason = "nobody"
    run.ended_at = now
    run.closed_at = run.closed_at or now
    run.save(update_fields=["state", "state_reason", "ended_at", "closed_at"])
    if not journey.runs.filter(state__in=uses.OPEN_STATES).exists():
        Journey.objects.filter(
            pk=journey.pk, state__in=[JourneyState.RUNNING, JourneyState.PAUSED]
        ).update(state=JourneyState.FINISHED, state_reason=run.state_reason)
    uses.sync(journey)
    _tell(run, FINISHED, run.state_reason)


def _locked(run_id: int, *states: RunState) -> Run | None:
    return (
        Run.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("journey__workspace", "workspace", "responsible")
        .filter(pk=run_id, state__in=states or _UNDER_WAY)
        .first()
    )


def _tell(run: Run, kind: str, reason: str) -> None:
    """Tell the responsible member, or, when there is none, whoever may publish."""
    notices.tell(
        workspace=run.workspace,
        kind=kind,
        params={
            "journey": run.journey.name,
            "people": f"{run.people:,}",
            "reason": REASONS.get(reason, ""),
        },
        url=run.get_absolute_url(),
        to=[run.responsible] if run.responsible and kind == FINISHED else None,
        point=Point.PUBLISH_JOURNEYS,
        subject=f"run:{run.pk}",
    )
