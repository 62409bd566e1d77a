"""The insert-variable dialog; the variables themselves travel with the panel until it is saved."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST
from django_htmx.http import reswap, trigger_client_event

from identity import audiences
from journeys import context, previews, variables
from journeys.component import Context
from journeys.definition import Document
from journeys.forms.variables import Rates, VariableForm, inserted, opened_with
from journeys.forms.webhook import chips, field_name
from journeys.models import Journey
from journeys.views.access import get_journey, get_step, may
from webhooks.rendering import BindingError, Variable, clean_name
from workspaces.points import Point
from workspaces.views import WorkspaceRequest, workspace_view

# Counting a large audience takes seconds, and its share of nicknames does not change in between.
RATES_SECONDS = 300


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def variable(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Open the dialog for the text whose insert button, or whose variable, was pressed."""
    journey = get_journey(request, pk)
    get_step(journey, key)
    loaded = _load(request, journey)
    box = f"id_{field_name(request.POST.get('insert', ''))}"
    form = VariableForm(
        sources=loaded.sources,
        opened=opened_with(request.POST, box=box, sources=loaded.sources),
    )
    return _show(request, journey, key, form, loaded)


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def variable_insert(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """Put the variable into the panel's text at the cursor, change it there, or remove it.

    ``again`` names one that stands in the text already.
    """
    journey = get_journey(request, pk)
    get_step(journey, key)
    loaded = _load(request, journey)
    form = VariableForm(request.POST, sources=loaded.sources)
    field = {"field": request.POST.get("field", "")}
    edited = clean_name(request.POST.get("edit", ""))
    if "remove" in request.POST:
        response = _panel_parts(request, journey, key, loaded, form.without_edited())
        replaced = {**field, "from": "${" + edited + "}", "to": ""}
        return trigger_client_event(response, "variable-replace", replaced, after="swap")
    if (again := request.POST.get("again", "")) in form.in_text:
        response = reswap(HttpResponse(), "none")
        token = "${" + again + "}"
        inserts = {**field, "text": token}
        return trigger_client_event(response, "variable-insert", inserts, after="swap")
    if not form.is_valid():
        return _show(request, journey, key, form, loaded, status=422)
    response = _panel_parts(request, journey, key, loaded, form.with_variable())
    token = "${" + form.variable.name + "}"
    if edited:
        replaced = {**field, "from": "${" + edited + "}", "to": token}
        return trigger_client_event(response, "variable-replace", replaced, after="swap")
    return trigger_client_event(response, "variable-insert", {**field, "text": token}, after="swap")


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def variable_preview(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """The sentence with and without a value, while the dialog is filled."""
    journey = get_journey(request, pk)
    get_step(journey, key)
    loaded = _load(request, journey)
    form = VariableForm(request.POST, sources=loaded.sources)
    form.rates = _rates(request, loaded) or {}
    shown = {**_example(form), "name_help": form.fields["name"].help_text}
    return render(request, "journeys/_variable_preview.html", shown)


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def variable_rates(request: WorkspaceRequest, pk: int, key: UUID) -> HttpResponse:
    """How often each source is filled, when the dialog could not wait for it."""
    journey = get_journey(request, pk)
    get_step(journey, key)
    loaded = _load(request, journey)
    form = VariableForm(request.POST, sources=loaded.sources)
    rates = _rates(request, loaded, at_most=audiences.PATIENCE)
    form.rates = rates or {}
    shown = {
        "form": form,
        "is_recent": previews.is_recent(loaded),
        "is_late": True,
        "is_given_up": rates is None,
    }
    return render(request, "journeys/_variable_rates.html", shown)


def _load(request: WorkspaceRequest, journey: Journey) -> Context:
    return context.load(
        workspace=request.workspace,
        documents=[Document.from_json(journey.draft)],
        now=timezone.now(),
    )


def _rates(
    request: WorkspaceRequest, loaded: Context, *, at_most: timedelta | None = None
) -> Rates | None:
    """Return how often each source is filled; None when that takes longer to count."""
    in_clear = may(request, Point.VIEW_PROFILES)
    key = previews.kept_under("rates", loaded, [in_clear])
    found: Rates | None = cache.get(key)
    if found is None:
        found = previews.fill_rates_within(
            loaded, in_clear=in_clear, at_most=at_most or previews.AT_ONCE
        )
        if found is not None:
            cache.set(key, found, RATES_SECONDS)
    return found


def _show(
    request: WorkspaceRequest,
    journey: Journey,
    key: UUID,
    form: VariableForm,
    loaded: Context,
    *,
    status: int = 200,
) -> HttpResponse:
    rates = _rates(request, loaded)
    form.rates = rates or {}
    shown = {
        "journey": journey,
        "key": key,
        "form": form,
        "is_recent": previews.is_recent(loaded),
        "is_counting": rates is None,
        **_example(form),
    }
    return render(request, "journeys/_variable.html", shown, status=status)


def _example(form: VariableForm) -> dict[str, Any]:
    """Return the text as two people get it; at the end of the text, where a new one will stand."""
    name = clean_name(str(form["name"].value() or ""))
    text = str(form["text"].value() or "")
    if not form.edits and name:
        text = inserted(text, "${" + name + "}", str(form["cursor"].value() or ""))
    elif name:
        text = text.replace("${" + form.edits + "}", "${" + name + "}")
    raw = str(form["variables"].value() or "{}")
    try:
        of_text = json.loads(raw).get(str(form["parameter"].value() or ""), [])
        others = [each for each in of_text if clean_name(each["name"]) != form.edits]
        known = [Variable.from_json(each) for each in others]
        chosen = next((row for row in form.source_rows if row.checked), None)
        mine = Variable.from_json(
            {
                "name": name,
                "source": chosen.source.source.value if chosen else "tag",
                "code": chosen.source.code if chosen else "",
                "empty": form["empty"].value() or "nothing",
                "default": form["default"].value() or "",
                "format": (form["format"].value() or "") if form.takes_format else "",
            }
        )
        values = {mine.name: _raw_example(form, mine) or "…"}
        return {"example": variables.example(text, [*known, mine], values)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BindingError):
        return {"example": None}


def _raw_example(form: VariableForm, mine: Variable) -> str:
    rate = form.rates.get((mine.source, mine.code))
    return rate.example if rate else ""


def _panel_parts(
    request: WorkspaceRequest,
    journey: Journey,
    key: UUID,
    loaded: Context,
    of_text: dict[str, list[dict[str, Any]]],
) -> HttpResponse:
    """Answer with the panel's hidden variables and the text's chips, each put in its own place."""
    parameter = request.POST.get("parameter", "")
    mine = [Variable.from_json(each) for each in of_text.get(parameter, [])]
    shown = {
        "journey": journey,
        "step": {"key": key},
        "variables_json": json.dumps(of_text),
        "row": {
            "name": parameter,
            "field_id": f"id_{field_name(parameter)}",
            "chips": chips(mine, loaded.sources),
        },
    }
    return reswap(render(request, "journeys/_variable_parts.html", shown), "none")
