"""Finding out on the run page why one person got a message, or did not."""

from typing import Any, Final

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from identity import people
from identity.models import Profile
from journeys import components, explain, stages
from journeys.definition import Document
from journeys.models import Run
from journeys.views import readers
from journeys.views.access import get_run, may
from webhooks import answers, ledger, plans, rebuilding, redelivery
from webhooks.bodies import pretty
from webhooks.models import Delivery
from webhooks.rendering import BindingError
from workspaces.points import POINT_LABELS, Point
from workspaces.views import WorkspaceRequest, workspace_view

# One value may be an ID of several types, and so of several people.
SHOWN: Final = 3
SENT_SHOWN: Final = 20


@require_POST
@workspace_view(Point.VIEW_DELIVERIES)
def person(request: WorkspaceRequest, pk: int, run: int) -> HttpResponse:
    """The timeline of whoever has exactly this ID. Posted, so that no address holds the ID."""
    found = get_run(request, pk, run)
    typed = request.POST.get("id", "").strip()
    shown: dict[str, Any] = {"run": found, "error": "", "timelines": []}
    if not typed or len(typed) > 500:
        shown["error"] = _("Enter the whole ID of one person.")
        return render(request, "journeys/_person.html", shown, status=422)
    now = timezone.now()
    shown["timelines"] = [
        explain.explain(
            journey=found.journey,
            person=profile,
            in_clear=may(request, Point.VIEW_PROFILES),
            now=now,
        )
        for profile in people.find(request.workspace, value=typed)[:SHOWN]
    ]
    return render(request, "journeys/_person.html", shown)


@require_GET
@workspace_view(Point.VIEW_DELIVERIES)
def why(request: WorkspaceRequest, pk: int, run: int, qaid: int) -> HttpResponse:
    """The timeline of one person in one run, with each exact request and its answers."""
    found = get_run(request, pk, run)
    known = get_object_or_404(Profile, workspace=request.workspace, qaid=qaid)
    person = known.merged_into or known
    may_see = may(request, Point.VIEW_PROFILES)
    timeline = explain.explain(
        journey=found.journey, person=person, in_clear=may_see, now=timezone.now(), run=found
    )
    may_repeat = may(request, Point.REDELIVER)
    shown = {
        "journey": found.journey,
        "run": found,
        "qaid": person.pk,
        "name": people.label(person, in_clear=may_see),
        "timeline": timeline,
        "may_see": may_see,
        "may_see_person": readers.may_read(request, readers.OF_PEOPLE),
        "point": POINT_LABELS[Point.VIEW_PROFILES],
        "sent": _sent(found, person, may_see=may_see, may_repeat=may_repeat),
    }
    return render(request, "journeys/why.html", shown)


def _sent(run: Run, person: Profile, *, may_see: bool, may_repeat: bool) -> list[dict[str, Any]]:
    """Return what was sent to a person in a run, the newest first."""
    steps = {stage.plan_id: stage.step_key for stage in stages.of(run.pk)}
    document = Document.from_json(run.version.document)
    qaids = [person.pk, *person.merged.values_list("pk", flat=True)]
    rows = Delivery.objects.filter(plan__in=list(steps), qaid__in=qaids).exclude(sent_id="")
    found = []
    for delivery in rows.select_related("plan", "webhook").order_by("-updated_at")[:SENT_SHOWN]:
        step = document.step(steps[delivery.plan_id])
        found.append(
            {
                "delivery": delivery,
                "step": (step.name or components.of(step).label) if step else "",
                "webhook": delivery.webhook.name,
                "body": _request(delivery) if may_see else "",
                "tries": _tries(delivery) if may_see else [],
                "can_be_repeated": may_repeat and delivery.state in redelivery.STATES,
            }
        )
    return found


def _request(delivery: Delivery) -> str:
    """Return the exact body; of a message of several people this person's part alone."""
    try:
        if delivery.webhook.batch_size == 1:
            body = ledger.body_of(delivery)
            return pretty(body.decode()) if body else ""
        (recipient,) = rebuilding.read(delivery.day, [delivery.pk])
        return pretty(rebuilding.part(plans.compiled(delivery.plan), recipient))
    except (BindingError, ValidationError):
        return _("It cannot be made again.")


def _tries(delivery: Delivery) -> list[dict[str, Any]]:
    return [
        {
            **each._asdict(),
            "sentence": _sentence(each),
        }
        for each in ledger.tries_of(delivery)
    ]


def _sentence(each: ledger.Try) -> str:
    """Return what stands in the place of an answer of which no text is kept."""
    if each.outcome == answers.Outcome.ANSWERED:
        return _("The answer was empty.")
    # Why a first try got no answer is overwritten by how a later one ended.
    return str(answers.reason_sentence(each.outcome)) or _("The request got no answer.")
