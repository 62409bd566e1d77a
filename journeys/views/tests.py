"""The test-send dialog of a webhook step."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from identity import people
from journeys import forms, previews
from journeys.component import Context
from journeys.components.webhook import WebhookConfig, newest_revision
from journeys.definition import Step
from journeys.forms.panels import put
from journeys.forms.test_sends import TestSendForm
from journeys.forms.webhook import carried
from journeys.models import Journey
from journeys.previews import Sample
from journeys.views.access import get_journey, get_step, may
from journeys.views.panels import load
from webhooks import grants, test_sends
from webhooks.test_sends import InvalidOrderError, NotSentError
from workspaces.points import Point
from workspaces.typed import whole
from workspaces.views import WorkspaceRequest, workspace_view


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def test(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Open the dialog for the step as its panel shows it now."""
    journey = get_journey(request, pk)
    kept = get_step(journey, key)
    step = forms.of(kept).read(request.POST, kept)
    loaded = load(request, journey, step)
    _require_webhook(request, loaded, step)
    form = TestSendForm(step=step, context=loaded, token=secrets.token_urlsafe(16))
    events = _events(request, form)
    if events:
        form.initial.update(form.values_of({}, events[0].attributes))
    return _show(request, journey, form, events=events)


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def test_send(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Send the test; the dialog stays and shows the verdict."""
    journey = get_journey(request, pk)
    step = _posted(request, get_step(journey, key))
    loaded = load(request, journey, step)
    _require_webhook(request, loaded, step)
    form = TestSendForm(request.POST, step=step, context=loaded)
    if not form.is_valid():
        return _show(request, journey, form, status=422)
    try:
        verdict = test_sends.send(
            form.order(),
            actor=request.user,
            token=form.cleaned_data["token"],
            now=timezone.now(),
        )
    except InvalidOrderError as error:
        form.refuse(error.errors)
        return _show(request, journey, form, status=422)
    except NotSentError as error:
        form.add_error(None, str(error))
        return _show(request, journey, form, status=422)
    # A new token: OK pressed again is another test.
    form.data = put(form.data, {"token": secrets.token_urlsafe(16)})
    return _show(request, journey, form, verdict=verdict)


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def test_cancel(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Keep a test that is not on its way yet from being sent, and say whether it was."""
    get_step(get_journey(request, pk), key)
    if test_sends.cancel(actor=request.user, token=request.POST.get("token", "")):
        told = _("The test was cancelled; nothing was sent.")
    else:
        told = _("The test was on its way already.")
    response = HttpResponse(status=204)
    return trigger_client_event(response, "toast", {"text": told, "tone": "info"})


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def test_values(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Fill the variables' fields from the person whom the typed ID belongs to.

    ``pick`` fills in the values of the event that was chosen, and leaves the others alone.
    """
    journey = get_journey(request, pk)
    step = _posted(request, get_step(journey, key))
    loaded = load(request, journey, step)
    _require_webhook(request, loaded, step)
    form = TestSendForm(request.POST, step=step, context=loaded)
    id_type = form.id_types.get(whole(request.POST.get("id_type")) or 0)
    typed = request.POST.get("typed_id", "").strip()
    found = people.find(request.workspace, value=typed, id_type=id_type) if typed else []
    qaids = [each.pk for each in found]
    events = _events(request, form)
    event = _picked(events, request)
    if "pick" in request.POST:
        if event:
            form.data = put(form.data, form.values_of(None, event.attributes))
    elif found:
        event = next((each for each in events if each.qaid in qaids), event)
        tags = _shown_tags(request, loaded, found[0].tags)
        form.data = put(form.data, form.values_of(tags, event.attributes if event else {}))
    shown = {
        "journey": journey,
        "step": step,
        "form": form,
        "typed": typed,
        "is_found": bool(found),
        "events": events,
        "event": event,
        "is_own_event": event is not None and event.qaid in qaids,
    }
    return render(request, "journeys/_test_values.html", shown)


def _shown_tags(
    request: WorkspaceRequest, loaded: Context, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values that the member may see: sensitive ones take the right to see people."""
    in_clear = may(request, Point.VIEW_PROFILES)
    return {
        code: value
        for code, value in values.items()
        if code in loaded.tags and (in_clear or not loaded.tags[code].sensitive)
    }


def _events(request: WorkspaceRequest, form: TestSendForm) -> list[Sample]:
    """Return the latest events that match, if values of theirs go out.

    What people did is only for who may see people.
    """
    start = form.context.document.start
    if not (start and start.component == "event" and form.takes_event):
        return []
    if not may(request, Point.VIEW_PROFILES):
        return []
    return previews.samples(form.context, in_clear=False)


def _picked(events: Sequence[Sample], request: WorkspaceRequest) -> Sample | None:
    """Return the event that was picked; the latest when that one is no longer among them."""
    picked = request.POST.get("event", "")
    return next((each for each in events if each.event_id == picked), next(iter(events), None))


def _posted(request: WorkspaceRequest, kept: Step) -> Step:
    """Return the step that the dialog carries; anything else than this step is not taken."""
    try:
        step = Step.from_json(json.loads(request.POST.get("panel", "")))
        step = replace(step, config=carried(step.config).to_json())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Http404 from None
    if step.key != kept.key or step.component != kept.component:
        raise Http404
    return step


def _require_webhook(request: WorkspaceRequest, loaded: Context, step: Step) -> None:
    config = WebhookConfig.from_json(step.config)
    webhook = loaded.webhooks.get(config.webhook or 0)
    if webhook is None or newest_revision(config, loaded) is None:
        raise Http404
    grants.require(request.user, webhook)


def _show(
    request: WorkspaceRequest,
    journey: Journey,
    form: TestSendForm,
    *,
    status: int = 200,
    verdict: Any = None,
    events: Sequence[Sample] | None = None,
) -> HttpResponse:
    webhook = form.context.webhooks[form.chosen.webhook or 0]
    offered = _events(request, form) if events is None else events
    earlier = [
        (each, each.fingerprint != form.fingerprint)
        for each in test_sends.last_of_step(form.step.key)
        if verdict is None or each.pk != verdict.test.pk
    ]
    shown = {
        "journey": journey,
        "step": form.step,
        "form": form,
        "verdict": verdict,
        "earlier": earlier,
        "webhook": webhook,
        "management_test": test_sends.accepted_in_management(webhook),
        "last_test": verdict.test if verdict else None,
        "events": offered,
        "event": _picked(offered, request),
    }
    return render(request, "journeys/_test.html", shown, status=status)
