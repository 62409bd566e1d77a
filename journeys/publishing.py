"""From a draft to a run: everything is checked, counted, frozen and started.

``review`` is what the marketer sees before; ``publish`` asks the same again and does it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from journeys import components, context, drafts, reaching, stages, tasks, uses
from journeys.choices import JourneyState, RunState
from journeys.component import Context, Opening, Problem, Sending
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document, Step
from journeys.models import Journey, JourneyVersion, Run
from journeys.reaching import Counted, Reach
from webhooks import control, plans, test_sends
from webhooks.choices import WebhookState
from webhooks.models import TestSend, Webhook
from workspaces import audit, permissions
from workspaces.models import User
from workspaces.permissions import Point
from workspaces.sentences import joined

# What is assumed of a receiver that was never asked: one answer in so many seconds.
USUAL_ANSWER_SECONDS: Final = 0.1
# Requests a second that this console itself manages at least.
OWN_RATE: Final = 2_000.0


class NotPublishable(Exception):  # noqa: N818 - it is an answer for people, not a failure
    """A journey that cannot be published; ``problems`` says what is missing, and where."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return joined(problem.sentence for problem in self.problems)


@dataclass(frozen=True, slots=True)
class StepReview:
    """One sending step before publishing."""

    step: Step
    webhook: Webhook
    reach: Reach
    seconds: int  # Estimated.
    last_test: TestSend | None
    changed_since_test: bool
    # A green test of this revision in webhook management makes the step's own optional.
    management_test: TestSend | None

    @property
    def is_paused(self) -> bool:
        """Tell whether its people would wait until somebody resumes the webhook."""
        webhook_control = getattr(self.webhook, "control", None)
        return bool(webhook_control and webhook_control.state == WebhookState.PAUSED)


@dataclass(frozen=True, slots=True)
class Review:
    """What publishing would do, as counted at one moment."""

    problems: list[Problem]
    counted: Counted
    counted_at: datetime
    opening: Opening | None  # None while the start has problems.
    is_recent: bool  # The numbers are those of the last 30 days' events.
    steps: list[StepReview]
    confirm_above: int

    @property
    def people(self) -> int:
        return self.counted.people

    @property
    def must_type_number(self) -> bool:
        """Tell whether so many people are sent to that their number has to be typed."""
        return not self.is_recent and self.people > self.confirm_above


@dataclass(frozen=True, slots=True)
class Publication:
    version: JourneyVersion
    run: Run


def check(*, journey: Journey, user: User, now: datetime) -> list[Problem]:
    """Return everything that is missing, in the canvas's order; nobody is counted."""
    document = Document.from_json(journey.draft)
    loaded = context.load(workspace=journey.workspace, documents=[document], now=now, user=user)
    return problems_of(document, loaded, journey)


def problems_of(document: Document, loaded: Context, journey: Journey) -> list[Problem]:
    """Return what is missing in a loaded document; a problem of the journey itself has no step."""
    found = _state_problems(journey)
    if document.start is None:
        found.append(Problem("start", _("Choose how the journey starts."), "required"))
    if not document.steps:
        found.append(Problem("steps", _("Add at least one step after the start."), "no_steps"))
    for step in document:
        found += [each.at(step.key) for each in components.of(step).problems(step, loaded)]
    return found


def review(*, journey: Journey, user: User, now: datetime) -> Review:
    """Check and count everything for the page before publishing.

    Raises:
        PermissionDenied: the user may not publish journeys here.
    """
    permissions.require(user, journey.workspace, Point.PUBLISH_JOURNEYS)
    document = Document.from_json(journey.draft)
    loaded = context.load(workspace=journey.workspace, documents=[document], now=now, user=user)
    problems = problems_of(document, loaded, journey)
    wrong = {problem.step for problem in problems}
    sound = _sound_part(document, loaded, wrong)
    counted = reaching.count(sound, loaded)
    opening = None
    is_recent = False
    if document.start:
        start = components.start_of(document.start)
        is_recent = start.is_recent
        if document.start.key not in wrong:
            opening = start.opening(document.start, loaded)
            problems += _count_problems(sound, loaded, counted, opening)
    return Review(
        problems=problems,
        counted=counted,
        counted_at=now,
        opening=opening,
        is_recent=is_recent,
        steps=_step_reviews(sound, loaded, counted),
        confirm_above=journey.workspace.confirm_above,
    )


def publish(*, journey: Journey, revision: int, user: User, now: datetime) -> Publication:
    """Freeze the draft as a version and start it; the user becomes the responsible member.

    A second click changes nothing: what listens already, unchanged, is returned as it is.

    Raises:
        NotPublishable: something is missing, both gates of each webhook included.
        StaleDraft: the draft was changed after the revision that was reviewed.
        PermissionDenied: the user may not publish journeys here.
    """
    problems = review(journey=journey, user=user, now=now).problems
    if problems:
        raise NotPublishable(problems)
    with transaction.atomic():
        # Runs before their journey, as everybody locks them.
        list(journey.runs.select_for_update().filter(state__in=uses.OPEN_STATES).order_by("pk"))
        locked = Journey.objects.select_for_update().get(pk=journey.pk)
        if locked.draft_revision != revision:
            raise drafts.stale(locked, None)
        draft = Document.from_json(locked.draft)
        loaded = context.load(workspace=journey.workspace, documents=[draft], now=now, user=user)
        if problems := problems_of(draft, loaded, locked):
            raise NotPublishable(problems)
        document = replace(
            draft,
            steps=tuple(components.of(step).refreshed(step, loaded) for step in draft.steps),
        )
        if live := _listening(locked, document):
            return Publication(live.version, live)
        loaded = context.load(workspace=journey.workspace, documents=[document], now=now)
        _close_former(locked, now)
        version = _freeze(locked, document, user, now)
        run = _open(version, document, loaded, user, now)
        uses.sync(locked)
        audit.record(
            actor=user,
            workspace=journey.workspace,
            action="journey.published",
            obj=locked,
            changes={"version": [version.number - 1 or None, version.number]},
        )
        transaction.on_commit(tasks.hint)
    journey.refresh_from_db()
    return Publication(version, run)


def _state_problems(journey: Journey) -> list[Problem]:
    """A journey that is sending is not started over; one that listens may get a new version."""
    under_way = journey.state in (JourneyState.RUNNING, JourneyState.PAUSED)
    listens = journey.state == JourneyState.RUNNING and (
        journey.runs.filter(state=RunState.RUNNING, is_event=True, closed_at__isnull=True).exists()
    )
    if under_way and not listens:
        sentence = _(
            "The journey is under way. Stop it, or wait until it has finished, "
            "before you publish it again."
        )
        return [Problem("journey", sentence, "under_way")]
    return []


def _sound_part(document: Document, loaded: Context, wrong: set[UUID | None]) -> Document:
    """Return the part of a document that can be counted: the steps without problems."""
    if document.start is None or document.start.key in wrong:
        return Document()
    steps = [
        components.of(step).refreshed(step, loaded)
        for step in document.steps
        if step.key not in wrong
    ]
    return replace(document, steps=tuple(steps))


def _count_problems(
    document: Document, loaded: Context, counted: Counted, opening: Opening
) -> list[Problem]:
    """Tell of nobody to send to, where it is certain: a start now with a known audience."""
    if opening.is_event or opening.starts_at > loaded.now or document.start is None:
        return []
    if not counted.people:
        sentence = _("Nobody is in this audience. Choose another one.")
        return [Problem("audiences", sentence, "nobody", document.start.key)]
    found = []
    for step in document.steps:
        reach = counted.steps.get(step.key)
        if reach is None or reach.reached:
            continue
        if sum(reach.skipped.values()) == reach.skipped.get("no_id", 0):
            id_type = loaded.id_types[WebhookConfig.from_json(step.config).id_type or 0]
            sentence = _("No one in this audience has %(id_type)s.") % {"id_type": id_type.name}
        else:
            sentence = _("No one in this audience would get it; everybody would be skipped.")
        found.append(Problem("id_type", sentence, "nobody_reached", step.key))
    return found


def _step_reviews(document: Document, loaded: Context, counted: Counted) -> list[StepReview]:
    found = []
    for step in document.steps:
        sending = components.of(step).sending(step, loaded)
        if sending is None:
            continue
        last = next(iter(test_sends.last_of_step(step.key, limit=1)), None)
        fingerprint = WebhookConfig.from_json(step.config).fingerprint(sending.revision)
        reach = counted.steps.get(step.key, Reach())
        found.append(
            StepReview(
                step=step,
                webhook=sending.webhook,
                reach=reach,
                seconds=estimated_seconds(sending.webhook, reach.reached, last),
                last_test=last,
                changed_since_test=bool(last and last.fingerprint != fingerprint),
                management_test=test_sends.accepted_in_management(sending.webhook),
            )
        )
    return found


def estimated_seconds(webhook: Webhook, people: int, last_test: TestSend | None) -> int:
    """Estimate how long a webhook takes for so many people, from its limits and its last answer."""
    messages = -(-people // webhook.batch_size)
    answer = USUAL_ANSWER_SECONDS
    if last_test and last_test.duration_ms:
        answer = last_test.duration_ms / 1000
    rate = min(OWN_RATE, webhook.concurrency / answer, webhook.rate_per_second or OWN_RATE)
    return round(messages / rate)


def _listening(journey: Journey, document: Document) -> Run | None:
    """Return the run that listens with this very document, if one does."""
    run = (
        journey.runs.filter(state=RunState.RUNNING, is_event=True, closed_at__isnull=True)
        .select_related("version")
        .first()
    )
    return run if run and Document.from_json(run.version.document) == document else None


def _close_former(journey: Journey, now: datetime) -> None:
    """Let nobody into older versions any more; who is inside stays and goes on to the end."""
    for run in journey.runs.select_for_update().filter(state__in=uses.OPEN_STATES):
        run.closed_at = run.closed_at or now
        run.state_reason = "replaced"
        if run.started_at is None:
            control.cancel_plans([stage.plan_id for stage in stages.of(run.pk)])
            run.state, run.ended_at = RunState.STOPPED, now
        run.save(update_fields=["closed_at", "state_reason", "state", "ended_at"])


def _freeze(journey: Journey, document: Document, user: User, now: datetime) -> JourneyVersion:
    last = journey.versions.aggregate(last=Max("number"))["last"] or 0
    return JourneyVersion.objects.create(
        journey=journey,
        number=last + 1,
        document=document.to_json(),
        published_at=now,
        published_by=user,
    )


def _open(
    version: JourneyVersion, document: Document, loaded: Context, user: User, now: datetime
) -> Run:
    """Create the version's run and a plan for each sending step."""
    if document.start is None:
        raise ValueError("a document without a start was checked and has none")
    opening = components.start_of(document.start).opening(document.start, loaded)
    journey = version.journey
    run = Run.objects.create(
        workspace=journey.workspace,
        version=version,
        journey=journey,
        is_event=opening.is_event,
        event_type_id=opening.event_type_id,
        state=RunState.RUNNING if opening.is_event else RunState.SCHEDULED,
        starts_at=opening.starts_at,
        started_at=now if opening.is_event else None,
        responsible=user,
    )
    for step in document.steps:
        sending = components.of(step).sending(step, loaded)
        if sending is not None:
            plans.create(
                revision=sending.revision,
                run_id=run.pk,
                step_key=str(step.key),
                definition=sending.definition,
                labels=labels(run, version, step, sending),
                responsible=user,
            )
    state = JourneyState.SCHEDULED if opening.starts_at > now else JourneyState.RUNNING
    Journey.objects.filter(pk=journey.pk).update(state=state, state_reason="", changed_at=now)
    return run


def labels(run: Run, version: JourneyVersion, step: Step, sending: Sending) -> Mapping[str, str]:
    """Return what the x-qa headers of a step's requests say."""
    return {
        "workspace": sending.webhook.workspace.name,
        "journey": version.journey.name,
        "journey-version": str(version.number),
        "step": step.name,
        "run": str(run.pk),
    }
