"""The versions of a journey: who published what and when, and what differs from the one before."""

from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from journeys import components, forms, listing
from journeys.definition import Document, Step
from journeys.drafts import differences
from journeys.models import Journey
from journeys.views.access import get_journey, may
from workspaces.points import Point
from workspaces.views import WorkspaceRequest, workspace_view

SHOWN: Final = 50
# Parts of a config that stand in the panel under no field of their own.
_WITHOUT_FIELD: Final = {
    "variables": gettext_lazy("Variables"),
    "conditions": gettext_lazy("Conditions"),
}


@require_GET
@workspace_view()
def versions(request: WorkspaceRequest, pk: int) -> HttpResponse:
    journey = get_journey(request, pk)
    shown = {
        "journey": journey,
        "run": journey.runs.first(),
        "may_edit": may(request, Point.AUTOMATED_MARKETING),
        **_history(journey),
    }
    return render(request, "journeys/versions.html", shown)


def _history(journey: Journey) -> dict[str, Any]:
    found = list(
        journey.versions.select_related("published_by").prefetch_related("runs")[: SHOWN + 1]
    )
    documents = [Document.from_json(version.document) for version in found]
    runs = [run.pk for version in found for run in version.runs.all()]
    accepted = listing.accepted(runs)
    rows = [
        {
            "version": version,
            "changes": compare(older, document) if older else [],
            "runs": [{"run": run, "accepted": accepted.get(run.pk)} for run in version.runs.all()],
        }
        for version, document, older in zip(found, documents, [*documents[1:], None], strict=True)
    ]
    draft = Document.from_json(journey.draft)
    return {
        "versions": rows[:SHOWN],
        "is_cut": len(rows) > SHOWN,
        "draft_changes": compare(documents[0], draft) if documents else [],
    }


def compare(before: Document, after: Document) -> list[str]:
    """Return what was changed from one document to another, one sentence a step."""
    old = {step.key: step for step in before}
    new = {step.key: step for step in after}
    found = []
    for step in after:
        if step.key not in old:
            found.append(_("“%(step)s” is new.") % {"step": _name(step)})
        elif fields := _fields(old[step.key], step):
            shown = {"step": _name(step), "fields": ", ".join(fields)}
            found.append(_("“%(step)s” is changed: %(fields)s.") % shown)
    found += [
        _("“%(step)s” is gone.") % {"step": _name(step)} for step in before if step.key not in new
    ]
    kept_before = [step.key for step in before.steps if step.key in new]
    kept_after = [step.key for step in after.steps if step.key in old]
    if kept_before != kept_after:
        found.append(_("The steps stand in another order."))
    return found


def _name(step: Step) -> str:
    return step.name or str(components.of(step).label)


def _fields(before: Step, after: Step) -> list[str]:
    """Return the names of the fields that differ, as the panel calls them; each once."""
    if before.component != after.component:
        return [_("how people enter")]
    labels = forms.of(after).base_fields
    found: dict[str, None] = {}
    for place in differences(before, after.name, after.config):
        kind, colon, parameter = place.partition(":")
        if kind == "parameter" and colon:
            found[parameter] = None
        elif place in _WITHOUT_FIELD:
            found[str(_WITHOUT_FIELD[place])] = None
        else:
            found[str(labels[place].label)] = None
    return list(found)
