"""The review before publishing: what would happen, what is missing, and the act itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.core import signing
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from journeys import components, context, publishing, runs
from journeys.component import Context, Problem
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.drafts import StaleDraft
from journeys.forms.webhook import field_name
from journeys.models import Journey
from journeys.publishing import NotPublishable, Review, StepReview
from journeys.views import words
from journeys.views.access import get_journey
from journeys.views.answers import go_to
from workspaces import clock
from workspaces.models import Workspace
from workspaces.points import Point
from workspaces.views import WorkspaceRequest, workspace_view

# A name within a sentence; it may have 200 characters.
NAME_SHOWN: Final = 60
NUMBERS_ARE_GOOD_FOR: Final = timedelta(minutes=5)
_SALT: Final = "journeys.publish"


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that is missing, and the field it belongs to."""

    sentence: str
    names_step: bool  # So that its name need not stand beside it.
    step_name: str
    step: str  # Its key.
    field: str


@require_http_methods(["GET", "POST"])
@workspace_view(Point.PUBLISH_JOURNEYS)
def publish(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """The review in its dialog: first that it is counting, then the numbers; posted, the act.

    What was shown travels in a signed token, so that numbers that are too old, or a draft that
    somebody changed meanwhile, are never published unseen.
    """
    journey = get_journey(request, pk)
    if request.method == "GET":
        if "count" not in request.GET:
            return render(request, "journeys/_publish_counting.html", {"journey": journey})
        return _show(request, journey)
    try:
        seen = signing.loads(request.POST.get("seen", ""), salt=_SALT, max_age=NUMBERS_ARE_GOOD_FOR)
    except signing.BadSignature:
        note = _("The numbers were more than 5 minutes old. These were counted just now.")
        return _show(request, journey, note=note, status=409)
    if seen["journey"] != journey.pk:
        return _show(request, journey, status=409)
    typed = "".join(letter for letter in request.POST.get("number", "") if letter.isalnum())
    if seen["must_type"] and typed != str(seen["number"]):
        error = _("Type %(number)s, the number of people, to confirm.")
        shown = {"number": number_format(seen["number"], force_grouping=True)}
        return _show(request, journey, error=error % shown, status=422)
    return _publish(request, journey, seen["revision"])


def _publish(request: WorkspaceRequest, journey: Journey, revision: int) -> HttpResponse:
    try:
        published = publishing.publish(
            journey=journey, revision=revision, user=request.user, now=clock.now()
        )
    except NotPublishable:
        journey.refresh_from_db()
        return _show(request, journey, status=422)
    except StaleDraft as stale:
        journey.refresh_from_db()
        note = _("%(what)s Look at the numbers again.") % {"what": stale.message}
        return _show(request, journey, note=note, status=409)
    address = [request.workspace.slug, journey.pk, published.run.pk]
    return go_to(request, reverse("journeys:run", args=address))


def _show(
    request: WorkspaceRequest,
    journey: Journey,
    *,
    note: str = "",
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """Count, and show the review."""
    now = timezone.now()
    review = publishing.review(journey=journey, user=request.user, now=now)
    number = _number(review)
    seen = {
        "journey": journey.pk,
        "revision": journey.draft_revision,
        "number": number,
        "must_type": review.must_type_number,
    }
    document = Document.from_json(journey.draft)
    loaded = context.load(workspace=request.workspace, documents=[document], now=now)
    shown = {
        "journey": journey,
        "review": review,
        "number": number,
        "inside": runs.inside(journey).total,
        "stopped": _stopped(request.workspace),
        "hindrances": [each.sentence for each in review.problems if each.step is None],
        "gaps": [_gap(each, document) for each in review.problems if each.step],
        "start": _start(document, loaded, review),
        "starts": _starts(review, journey),
        "steps": [_step(step, review) for step in review.steps],
        "act": _act(review, journey, number),
        "seen": signing.dumps(seen, salt=_SALT),
        "note": note,
        "error": error,
    }
    return render(request, "journeys/_publish.html", shown, status=status)


def _stopped(workspace: Workspace) -> str:
    """Return that nothing goes out for now: the dialog covers the line that says it on the page."""
    if not workspace.sending_is_stopped:
        return ""
    return _("Sending is stopped in this workspace (%(reason)s). People wait until it goes on.") % {
        "reason": workspace.sending_stopped_reason
    }


def _number(review: Review) -> int:
    """Return the number on the button: who gets the one message, or who enters the journey."""
    return review.steps[0].reach.reached if len(review.steps) == 1 else review.people


def _act(review: Review, journey: Journey, number: int) -> str:
    if review.opening is None or review.problems:
        return ""
    if review.opening.is_event:
        return _("Start listening")
    if review.opening.starts_at > review.counted_at:
        at = words.moment(review.opening.starts_at, journey.workspace, now=review.counted_at)
        return _("Start on %(time)s") % {"time": at}
    label = ngettext("Send to %(number)s person", "Send to %(number)s people", number)
    return label % {"number": number_format(number, force_grouping=True)}


def _starts(review: Review, journey: Journey) -> str:
    """Return when it starts: a time with its zone."""
    if review.opening is None:
        return ""
    if review.opening.is_event:
        return _("As soon as it is published, until it is stopped")
    if review.opening.starts_at > review.counted_at:
        return words.moment(review.opening.starts_at, journey.workspace, now=review.counted_at)
    return _("At once")


def _start(document: Document, loaded: Context, review: Review) -> str:
    """Return whom it starts with; when an audience starts stands in a line of its own."""
    if document.start is None:
        return ""
    summary = components.of(document.start).summary(document.start, loaded)
    is_told = review.opening is not None and not review.opening.is_event
    return summary.rsplit(" · ", 1)[0] if is_told else summary


def _step(reviewed: StepReview, review: Review) -> dict[str, Any]:
    """Return what the template shows of one sending step."""
    config = WebhookConfig.from_json(reviewed.step.config)
    types = {each.pk: each for each in reviewed.webhook.workspace.id_types.all()}
    sent = types[config.id_type or 0]
    reach = types[config.reach_id_type or sent.pk]
    definition = {"id_type": {"name": sent.name}, "reach_id_type": {"name": reach.name}}
    return {
        "review": reviewed,
        "id_type": sent,
        "skipped": [
            (words.reason(code, definition), count)
            for code, count in reviewed.reach.skipped.items()
            if count
        ],
        "defaulted": _filled(reviewed.reach.defaulted, config),
        "blanked": _filled(reviewed.reach.blanked, config),
        "duration": words.duration(reviewed.seconds),
        "is_estimated": not review.is_recent,
    }


def _filled(counts: Mapping[tuple[str, str], int], config: WebhookConfig) -> list[dict[str, Any]]:
    """Return how often a variable has no value, and what goes out in its place."""
    defaults = {
        (parameter, variable.name): variable.default
        for parameter, each_of in config.variables.items()
        for variable in each_of
    }
    return [
        {"token": "${" + key[1] + "}", "default": defaults.get(key, ""), "count": count}
        for key, count in counts.items()
        if count
    ]


def _gap(problem: Problem, document: Document) -> Gap:
    step = next(step for step in document if step.key == problem.step)
    step_name = step.name or str(components.of(step).label)
    kind, colon, name = problem.field.partition(":")
    sentence = problem.sentence
    if problem.label:
        sentence = _("“%(parameter)s” in the step “%(step)s”: %(sentence)s") % {
            "parameter": _short(problem.label),
            "step": _short(step_name),
            "sentence": sentence,
        }
    return Gap(
        sentence=sentence,
        names_step=bool(problem.label),
        step_name=step_name,
        step=str(step.key),
        field=field_name(name) if kind == "parameter" and colon else problem.field,
    )


def _short(name: str) -> str:
    return Truncator(name).chars(NAME_SHOWN)
