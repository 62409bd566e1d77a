"""Finding out on the run page why one person got a message, or did not."""

from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from identity import people
from journeys import explain
from journeys.views.access import get_run, may
from workspaces.points import Point
from workspaces.views import WorkspaceRequest, workspace_view

# One value may be an ID of several types, and so of several people.
SHOWN: Final = 3


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
