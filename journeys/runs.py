"""What people do to a journey that was published, and how far its runs are."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.core.cache import cache
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Func, Sum
from django.utils.translation import gettext as _

from journeys import stages, uses
from journeys.choices import JourneyState, RunState
from journeys.definition import Document, Step
from journeys.models import Journey, Run, SnapshotPage
from webhooks import control, grants, progress
from webhooks.choices import BreakerState, WebhookState
from webhooks.models import Plan, Webhook
from webhooks.progress import Counts
from workspaces import audit, permissions
from workspaces.models import User
from workspaces.permissions import Point

# The rate on screen is that of the last half minute.
RATE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Inside:
    """People of a journey who keep their place in a pause, and go on or are taken out by a stop."""

    waiting: int  # Inside and not at the end.
    unplanned: int  # In the snapshot of a run that is still collecting people.

    @property
    def total(self) -> int:
        return self.waiting + self.unplanned


def pause(*, journey: Journey, user: User | None, now: datetime) -> None:
    """Send to nobody until it is resumed; people keep their place, events go on letting them in.

    Args:
        user: who does it; None is the operator's command line, as for all of these.

    Raises:
        PermissionDenied: the user may not publish journeys here.
        ValidationError: it is neither in progress nor scheduled.
    """
    _require_right(user, journey)
    with transaction.atomic():
        runs = _open_runs(journey)
        if not _change(
            journey, [JourneyState.RUNNING, JourneyState.SCHEDULED], JourneyState.PAUSED
        ):
            raise ValidationError(
                _("Only a journey that is in progress or not started can be paused."), "not_running"
            )
        control.pause_plans(_plans(runs), now=now)
        Run.objects.filter(pk__in=[run.pk for run in runs]).update(
            state=RunState.PAUSED, state_reason=""
        )
        _record(journey, user, "paused")


def resume(*, journey: Journey, user: User | None, now: datetime) -> None:
    """Go on where it was paused; whoever resumes becomes the responsible member.

    The operator is responsible for nothing: the member who was stays so, and is checked.

    Raises:
        PermissionDenied: the user may not publish, or fails a gate of a webhook; it says which.
        ValidationError: it is not paused.
    """
    _require_right(user, journey)
    with transaction.atomic():
        runs = _open_runs(journey)
        _require_gates(user, journey, runs)
        started = any(run.started_at for run in runs)
        state = JourneyState.RUNNING if started else JourneyState.SCHEDULED
        if not _change(journey, [JourneyState.PAUSED], state):
            raise ValidationError(_("Only a paused journey can be resumed."), "not_paused")
        _go_on(runs, user, now)
        uses.sync(journey)
        _record(journey, user, "resumed")


def stop(*, journey: Journey, user: User | None, take_out: bool, now: datetime) -> Inside:
    """Let nobody in any more. It is final; publishing again starts anew.

    Args:
        take_out: whether who is inside is taken out (what is open still ends); else they
            go on to the end, which needs both gates when the journey is paused.

    Raises:
        PermissionDenied: the user may not publish journeys, or fails a gate.
        ValidationError: it is not under way.
    """
    _require_right(user, journey)
    with transaction.atomic():
        runs = _open_runs(journey)
        inside = _inside(runs)
        was_paused = journey.state == JourneyState.PAUSED
        states = [JourneyState.RUNNING, JourneyState.SCHEDULED, JourneyState.PAUSED]
        if runs:  # Stopped once to let people finish, and now they are to be taken out.
            states.append(JourneyState.STOPPED)
        if not _change(journey, states, JourneyState.STOPPED):
            raise ValidationError(
                _("Only a journey that is under way can be stopped."), "not_running"
            )
        if not take_out and was_paused:
            _require_gates(user, journey, runs)
            _go_on(runs, user, now)
        for run in runs:
            run.closed_at = run.closed_at or now
            if take_out or run.started_at is None:
                _take_out(run, now)
            run.save(update_fields=["state", "closed_at", "ended_at"])
        uses.sync(journey)
        _record(journey, user, "stopped", taken_out=take_out)
    return inside


def inside(journey: Journey) -> Inside:
    """Return the counts that the questions before a pause and a stop name."""
    return _inside(list(journey.runs.filter(state__in=uses.OPEN_STATES)))


def _require_right(user: User | None, journey: Journey) -> None:
    if user is not None:
        permissions.require(user, journey.workspace, Point.PUBLISH_JOURNEYS)


def _require_gates(user: User | None, journey: Journey, runs: list[Run]) -> None:
    """Refuse who may not use every webhook of these runs, naming the webhook and the gate."""
    webhooks = list(Webhook.objects.filter(plans__in=_plans(runs)).distinct().order_by("name"))
    for responsible in {user or run.responsible for run in runs}:
        if responsible is None:
            raise PermissionDenied(
                _("The member who was responsible is gone. Somebody else has to.")
            )
        standings = grants.gates(responsible, webhooks, journey.workspace) if webhooks else {}
        for webhook in webhooks:
            if not standings[webhook.pk].open:
                raise PermissionDenied(f"{webhook.name}: {standings[webhook.pk].missing}")


def _open_runs(journey: Journey) -> list[Run]:
    """Lock the runs that are not over, and read the journey's state behind that lock."""
    runs = list(journey.runs.select_for_update().filter(state__in=uses.OPEN_STATES).order_by("pk"))
    journey.refresh_from_db(fields=["state"])
    return runs


def _plans(runs: list[Run]) -> list[int]:
    return [stage.plan_id for run in runs for stage in stages.of(run.pk)]


def _change(journey: Journey, before: list[JourneyState], state: JourneyState) -> bool:
    changed = Journey.objects.filter(pk=journey.pk, state__in=before).update(
        state=state, state_reason=""
    )
    if changed:
        journey.state, journey.state_reason = state, ""
    return bool(changed)


def _go_on(runs: list[Run], user: User | None, now: datetime) -> None:
    for run in runs:
        responsible = user or run.responsible
        control.resume_plans(_plans([run]), responsible=responsible, now=now)
        if run.state != RunState.PAUSED:
            continue
        if run.started_at is None:
            run.state = RunState.SCHEDULED
        else:
            run.state = RunState.PLANNING if run.pages.exists() else RunState.RUNNING
        run.state_reason = ""
        run.responsible = responsible
        run.save(update_fields=["state", "state_reason", "responsible"])


def _take_out(run: Run, now: datetime) -> None:
    control.cancel_plans([stage.plan_id for stage in stages.of(run.pk)])
    run.pages.all().delete()
    run.state, run.ended_at = RunState.STOPPED, now


def _inside(runs: list[Run]) -> Inside:
    counts = progress.counts(_plans(runs)).values()
    pages = SnapshotPage.objects.filter(run__in=runs)
    unplanned = pages.aggregate(total=Sum(Func("qaids", function="cardinality")))["total"] or 0
    return Inside(waiting=sum(each.queued for each in counts), unplanned=unplanned)


def _record(journey: Journey, user: User | None, action: str, **changes: object) -> None:
    audit.record(
        actor=user,
        workspace=journey.workspace,
        action=f"journey.{action}",
        obj=journey,
        changes=changes,
    )


# --- Progress -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepProgress:
    """One sending step of a run, counted from its chunks."""

    step: Step
    plan: Plan
    counts: Counts

    @property
    def is_stalled(self) -> bool:
        """Tell whether people wait whom nobody is sent to: the webhook is stopped or in trouble."""
        control = getattr(self.plan.webhook, "control", None)
        if not self.counts.queued or control is None:
            return False
        return bool(control.state != WebhookState.ACTIVE or control.breaker != BreakerState.CLOSED)

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        return self.counts.by_reason("skipped")

    @property
    def defaulted(self) -> dict[str, int]:
        """Return how often a default went out, by ``parameter:variable``."""
        return self.counts.by_reason("default")

    @property
    def blanked(self) -> dict[str, int]:
        """Return how often a blank went out, by ``parameter:variable``."""
        return self.counts.by_reason("blank")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. People count once a sending step; ``people`` counts them once."""

    run: Run
    people: int
    planned: int
    accepted: int
    failed: int
    waiting: int
    skipped: int
    expired: int
    cancelled: int
    uncertain: int
    rate: float  # People who ended a second, lately; 0 while nobody can be sent to.
    seconds_left: int | None  # None while it cannot be told.
    steps: list[StepProgress] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Return what the bar is measured by: everybody in every step they will reach."""
        return self.people * max(len(self.steps), 1)

    @property
    def ended(self) -> int:
        return self.planned - self.waiting

    @property
    def percent(self) -> int:
        """Return the share that ended, rounded down, so that 100 means done."""
        return self.ended * 100 // self.total if self.total else 0

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for step in self.steps:
            for reason, number in step.skipped_by_reason.items():
                found[reason] = found.get(reason, 0) + number
        return found


def progress_of(run: Run, *, now: datetime) -> Progress:
    """Return how far a run is, from its chunks alone: as many queries for a million people."""
    of_run = stages.of(run.pk)
    counts = progress.counts([stage.plan_id for stage in of_run])
    plans = Plan.objects.select_related("webhook__control", "revision").in_bulk(list(counts))
    document = Document.from_json(run.version.document)
    steps = [
        StepProgress(step, plans[stage.plan_id], counts[stage.plan_id])
        for stage in of_run
        if (step := document.step(stage.step_key))
    ]
    planned = sum(each.planned for each in counts.values())
    waiting = sum(each.queued for each in counts.values())
    stalled = [step for step in steps if step.is_stalled]
    is_all_stalled = run.journey.workspace.sending_is_stopped or (
        bool(stalled) and len(stalled) == len([step for step in steps if step.counts.queued])
    )
    rate = 0.0 if is_all_stalled else _rate(run, planned - waiting, now)
    left = max(run.people * len(of_run) - (planned - waiting), waiting)
    is_open = run.state in (RunState.PLANNING, RunState.RUNNING)
    return Progress(
        run=run,
        people=run.people,
        planned=planned,
        accepted=sum(each.delivered for each in counts.values()),
        failed=sum(each.dead for each in counts.values()),
        waiting=waiting,
        skipped=sum(each.skipped for each in counts.values()),
        expired=sum(each.expired for each in counts.values()),
        cancelled=sum(each.cancelled for each in counts.values()),
        uncertain=sum(each.uncertain for each in counts.values()),
        rate=rate,
        seconds_left=round(left / rate) if is_open and rate > 0 and left and not stalled else None,
        steps=steps,
    )


def _rate(run: Run, ended: int, now: datetime) -> float:
    """Return the people a second since the oldest look of the last half minute.

    The looks are kept in the shared cache; the first one counts from the run's start.
    """
    if run.started_at is None:
        return 0.0
    at = now.timestamp()
    key = f"journeys.rate:{run.pk}"
    looks: list[tuple[float, int]] = cache.get(key) or []
    looks = [look for look in looks if at - RATE_SECONDS <= look[0] < at and look[1] <= ended]
    since, before = looks[0] if looks else (run.started_at.timestamp(), 0)
    if run.state in (RunState.PLANNING, RunState.RUNNING):
        cache.set(key, [*looks[-20:], (at, ended)], RATE_SECONDS * 2)
    end = run.ended_at.timestamp() if run.ended_at and not looks else at
    return (ended - before) / (end - since) if end > since else 0.0
