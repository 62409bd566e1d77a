"""The panel of one step: shown, redrawn while it is filled, saved against the draft's revision."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from journeys import components, context, drafts, forms, previews
from journeys.component import Context
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document, Step
from journeys.drafts import StaleDraft
from journeys.forms.panels import PanelForm
from journeys.models import Journey
from journeys.views import conflicts
from journeys.views.access import get_journey, get_step, may
from webhooks import test_sends
from workspaces import permissions
from workspaces.points import Point
from workspaces.typed import whole
from workspaces.views import WorkspaceRequest, workspace_view


@require_http_methods(["GET", "POST"])
@workspace_view()
def panel(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Show a step's panel, or save it.

    Posted with ``redraw`` it only draws itself anew for what was chosen; nothing is checked.
    """
    journey = get_journey(request, pk)
    step = get_step(journey, key)
    form_class = forms.of(step)
    if request.method == "GET":
        loaded = load(request, journey, step)
        form = form_class(step=step, context=loaded, user=request.user)
        return show(request, journey, form)
    step = form_class.read(request.POST, step)
    loaded = load(request, journey, step)
    if "redraw" in request.POST or "add_condition" in request.POST:
        form = form_class(step=step, context=loaded, user=request.user)
        return show(request, journey, form)
    form = form_class(request.POST, step=step, context=loaded, user=request.user)
    if not may(request, Point.AUTOMATED_MARKETING):
        return show(request, journey, form, status=403)
    if not form.is_valid():
        return show(request, journey, form, status=422)
    return _save(request, journey, form)


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


def load(request: WorkspaceRequest, journey: Journey, step: Step) -> Context:
    """Load what the draft speaks of, with ``step`` as the panel holds it in its place."""
    document = Document.from_json(journey.draft).replaced(step)
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
    conflict: Any = None,
) -> HttpResponse:
    may_edit = may(request, Point.AUTOMATED_MARKETING)
    step = form.step
    component = components.of(step)
    shown = {
        "journey": journey,
        "step": step,
        "form": form,
        "component": component,
        "may_edit": may_edit,
        "is_start": isinstance(component, components.StartComponent),
        "starts": components.starts(),
        "conflict": conflict,
        "locked": "" if may_edit else _("You may look at this journey, and not change it."),
        "administrators": permissions.administrators_of(request.workspace)[:3],
        "can_add_condition": "add_condition" in request.POST,
    }
    if step.component == "webhook":
        shown |= _of_webhook(form)
    elif step.component == "event":
        shown["expected"] = previews.expected_a_day(form.context)
    return render(request, form.template, shown, status=status)


def _of_webhook(form: PanelForm) -> dict[str, Any]:
    config = WebhookConfig.from_json(form.step.config)
    webhook = form.context.webhooks.get(config.webhook or 0)
    gates = form.context.gates.get(webhook.pk) if webhook else None
    last = next(iter(test_sends.last_of_step(form.step.key, limit=1)), None)
    return {
        "webhook": webhook,
        "gate": gates.missing if gates else "",
        "last_test": last,
        "changed_since_test": bool(last and last.fingerprint != config.fingerprint),
        "management_test": test_sends.accepted_in_management(webhook) if webhook else None,
    }


def _save(request: WorkspaceRequest, journey: Journey, form: PanelForm) -> HttpResponse:
    step = form.step
    revision = whole(request.POST.get("revision"))
    try:
        written = drafts.save_step(
            journey=journey,
            revision=-1 if revision is None else revision,
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
        form.add_error(None, str(denied))
        return show(request, journey, form, status=403)
    except ValidationError as error:
        form.add_error(None, error)
        return show(request, journey, form, status=422)
    response = HttpResponse(status=204)
    trigger_client_event(response, "step-saved", {"step": str(step.key)})
    undo = reverse("journeys:undo", args=[request.workspace.slug, journey.pk, written.revision])
    detail = {"text": _("Step saved."), "tone": "success", "undo": undo}
    return trigger_client_event(response, "toast", detail)
