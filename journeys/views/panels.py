"""The panel of one step: shown, redrawn while it is filled, saved against the draft's revision."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from identity import audiences, event_sample, incoming
from journeys import components, context, drafts, forms, previews
from journeys.component import Context
from journeys.components.audience import AudienceConfig, AudienceStart
from journeys.components.event import EventConfig, EventStart
from journeys.components.webhook import WebhookConfig, newest_revision
from journeys.definition import Document, Step
from journeys.drafts import StaleDraft
from journeys.forms.panels import PanelForm
from journeys.forms.webhook import WebhookForm
from journeys.models import Journey
from journeys.views import conflicts, words
from journeys.views.access import get_journey, get_step, get_step_as_known, may
from journeys.views.conflicts import Conflict
from webhooks import test_sends
from workspaces import permissions
from workspaces.points import POINT_LABELS, Point
from workspaces.sentences import joined
from workspaces.typed import whole
from workspaces.views import WorkspaceRequest, workspace_view


@require_http_methods(["GET", "POST"])
@workspace_view()
def panel(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Show a step's panel, or save it.

    Posted with ``redraw`` it only draws itself anew for what was chosen; nothing is checked.
    """
    journey = get_journey(request, pk)
    if request.method == "GET":
        step = get_step(journey, key)
        form = _unchecked(request, journey, step)
        return show(request, journey, form, refusal=_refusal(request, step))
    kept = get_step_as_known(journey, key, _revision(request))
    step = forms.of(kept).read(request.POST, kept)
    if "take" in request.POST:
        return _take(request, journey, step)
    if "redraw" in request.POST or "add_condition" in request.POST:
        form = _unchecked(request, journey, step)
        return show(request, journey, form, refusal=_refusal(request, kept))
    loaded = load(request, journey, step)
    form = forms.of(step)(request.POST, step=step, context=loaded, user=request.user)
    if refusal := _refusal(request, kept, step):
        return show(request, journey, form, status=403, refusal=refusal)
    if not form.is_valid():
        return show(request, journey, form, status=422)
    return _save(request, journey, form)


def _refusal(request: WorkspaceRequest, *steps: Step) -> str:
    """Return why the visitor may not save these steps, or an empty string."""
    if not may(request, Point.AUTOMATED_MARKETING):
        missing = {"permission": POINT_LABELS[Point.AUTOMATED_MARKETING]}
        return joined(
            [
                _("You may look at this journey, and not change it."),
                _("The permission “%(permission)s” is missing.") % missing,
            ]
        )
    try:
        drafts.require_gates(request.user, request.workspace, steps)
    except PermissionDenied as denied:
        return joined([_("You may look at this step, and not change it."), denied])
    except ValidationError:  # The chosen webhook is gone, as its field says.
        pass
    return ""


def _unchecked(request: WorkspaceRequest, journey: Journey, step: Step) -> PanelForm:
    loaded = load(request, journey, step)
    return forms.of(step)(step=step, context=loaded, user=request.user)


def _take(request: WorkspaceRequest, journey: Journey, mine: Step) -> HttpResponse:
    """Put somebody else's value of one field in the place of mine; the rest stays open."""
    theirs = get_step(journey, mine.key)
    form = _unchecked(request, journey, drafts.taken(mine, theirs, request.POST["take"]))
    conflict = conflicts.of(drafts.stale(journey, mine.key, _revision(request)), form)
    refusal = _refusal(request, theirs)
    return show(request, journey, form, conflict=conflict, refusal=refusal)


@require_POST
@workspace_view()
def preview(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """The request that the step, as its panel shows it now, would send for one real person.

    Both gates guard it: it holds the webhook's constants.
    """
    journey = get_journey(request, pk)
    step = forms.of(get_step(journey, key)).read(request.POST, get_step(journey, key))
    loaded = load(request, journey, step)
    config = WebhookConfig.from_json(step.config)
    gates = loaded.gates.get(config.webhook or 0)
    if gates and not gates.open:
        barred = previews.LivePreview(problem=gates.missing)
        return render(request, "journeys/_preview.html", {"journey": journey, "preview": barred})
    in_clear = may(request, Point.VIEW_PROFILES)
    found = previews.samples(loaded, in_clear=in_clear)
    given = whole(request.POST.get("person"))
    place = given % len(found) if given and found else 0
    drawn = previews.draw(
        loaded,
        config,
        sample=found[place] if found else None,
        name=step.name,
        in_clear=in_clear,
    )
    shown = {"journey": journey, "step": step, "preview": drawn, "next": place + 1}
    return render(request, "journeys/_preview.html", shown)


@require_POST
@workspace_view()
def coverage(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """How many people have each ID type of the panel, when that takes too long to wait for.

    A read-only panel posts none of its choices; ``saved`` asks for what is saved.
    """
    journey = get_journey(request, pk)
    kept = get_step_as_known(journey, key, _revision(request, journey.draft_revision))
    step = kept if "saved" in request.POST else forms.of(kept).read(request.POST, kept)
    form = _unchecked(request, journey, step)
    if not isinstance(form, WebhookForm):
        raise Http404
    form.patience = audiences.PATIENCE
    shown = {"form": form, "is_late": True}
    return render(request, "journeys/_coverage.html", shown)


@require_POST
@workspace_view()
def start_people(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """How many people are in the audiences that the start's panel shows as chosen.

    A read-only panel posts none of its fields; ``kept`` asks for what is saved.
    """
    journey = get_journey(request, pk)
    kept = get_step(journey, key)
    if kept.component != AudienceStart.code:
        raise Http404
    step = kept if "kept" in request.POST else forms.of(kept).read(request.POST, kept)
    shown: dict[str, Any] = {"count": None}
    if AudienceConfig.from_json(step.config).audiences:
        try:
            with audiences.patience():
                shown["count"] = previews.coverage(load(request, journey, step), []).people
        except OperationalError:
            shown["is_slow"] = True
    return render(request, "journeys/_start_people.html", shown)


def load(request: WorkspaceRequest, journey: Journey, step: Step) -> Context:
    """Load what the draft speaks of, with ``step`` as the panel holds it in its place."""
    document = Document.from_json(journey.draft).replaced(step)
    if document.step(step.key) is None:  # Deleted by somebody else, and still open here.
        document = replace(document, steps=(*document.steps, step))
    return context.load(
        workspace=request.workspace,
        documents=[document],
        now=timezone.now(),
        user=request.user,
    )


def show(
    request: WorkspaceRequest,
    journey: Journey,
    form: PanelForm,
    *,
    status: int = 200,
    conflict: Conflict | None = None,
    refusal: str = "",
) -> HttpResponse:
    """Draw a panel; ``refusal`` says why the visitor may not save it, so that it is read-only."""
    may_edit = not refusal and not (conflict and conflict.is_gone)
    if not may_edit:
        form.lock()
    step = form.step
    component = components.of(step)
    known = conflict.revision if conflict else _revision(request, journey.draft_revision)
    shown = {
        "journey": journey,
        "step": step,
        "form": form,
        "component": component,
        "may_edit": may_edit,
        "is_read_only": not may_edit,
        "is_start": isinstance(component, components.StartComponent),
        "starts": components.starts(),
        "revision": known,
        "conflict": conflict,
        "refusal": refusal,
        "was_typed": request.method == "POST",
        "administrators": permissions.administrators_of(request.workspace)[:3],
        "can_add_condition": "add_condition" in request.POST,
    }
    if step.component == "webhook":
        shown |= _of_webhook(form)
    elif step.component == "event":
        shown |= _of_event(request, form)
    return render(request, form.template, shown, status=status)


def _of_webhook(form: PanelForm) -> dict[str, Any]:
    config = WebhookConfig.from_json(form.step.config)
    webhook = form.context.webhooks.get(config.webhook or 0)
    gates = form.context.gates.get(webhook.pk) if webhook else None
    last = next(iter(test_sends.last_of_step(form.step.key, limit=1)), None)
    fingerprint = config.fingerprint(newest_revision(config, form.context))
    return {
        "webhook": webhook,
        "gate": gates.missing if gates else "",
        "last_test": last,
        "changed_since_test": bool(last and last.fingerprint != fingerprint),
        "management_test": test_sends.accepted_in_management(webhook) if webhook else None,
    }


def _of_event(request: WorkspaceRequest, form: PanelForm) -> dict[str, Any]:
    """Return how many would enter, or, before any such event came in, the command to send one."""
    config = EventConfig.from_json(form.step.config)
    event_type = form.context.event_types.get(config.event_type or 0)
    if event_type is None:
        return {}
    if incoming.last_of(event_type) is not None:
        return {"expected": _expected(form)}
    address = request.build_absolute_uri(reverse("api_events"))
    curl = event_sample.curl(event_type, address=address, now=form.context.now)
    return {"event_type": event_type, "curl": curl}


def _expected(form: PanelForm) -> str:
    """Return how many a day an event start would have let in; nothing of other steps."""
    if form.step.component != EventStart.code:
        return ""
    # With what is typed as its attributes have it: numbers are compared as numbers.
    document = form.context.document.replaced(form.step)
    count = previews.expected_a_day(context.of(form.context, document))
    return words.expected_a_day(count) if count is not None else ""


def _save(request: WorkspaceRequest, journey: Journey, form: PanelForm) -> HttpResponse:
    step = form.step
    try:
        written = drafts.save_step(
            journey=journey,
            revision=_revision(request),
            user=request.user,
            key=step.key,
            name=step.name,
            config=form.config,
            now=timezone.now(),
        )
    except StaleDraft as stale:
        journey.refresh_from_db()
        conflict = conflicts.of(stale, form)
        return show(request, journey, form, status=409, conflict=conflict)
    except PermissionDenied as denied:
        refusal = _refusal(request, step) or str(denied)
        return show(request, journey, form, status=403, refusal=refusal)
    except ValidationError as error:
        form.add_error(None, error)
        return show(request, journey, form, status=422)
    response = HttpResponse(status=204)
    trigger_client_event(response, "step-saved", {"step": str(step.key)})
    undo = reverse("journeys:undo", args=[request.workspace.slug, journey.pk, written.revision])
    text = joined([_("Step saved."), _expected(form)])
    detail = {"text": text, "tone": "success", "undo": undo}
    return trigger_client_event(response, "toast", detail)


def _revision(request: WorkspaceRequest, otherwise: int = -1) -> int:
    """Return the revision that the panel was drawn from."""
    given = whole(request.POST.get("revision"))
    return otherwise if given is None else given
