"""The run page: how far it is, why people wait or were left out; pause, resume, stop."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from journeys import runs, uses
from journeys.attention import marks_of
from journeys.models import Journey, Run
from journeys.views import progress
from journeys.views.access import get_journey, get_run, may
from journeys.views.answers import go_to, refused, said, show_again
from workspaces import parts
from workspaces.points import Point
from workspaces.sentences import joined
from workspaces.views import WorkspaceRequest, workspace_view


@require_GET
@workspace_view()
def run(request: WorkspaceRequest, pk: int, run: int) -> HttpResponse:
    """How a run goes, renewed every two seconds while it goes on."""
    found = get_run(request, pk, run)
    marks = marks_of([found.journey]).get(found.journey_id, [])
    numbers = parts.read(lambda: progress.shown(found, now=timezone.now()))
    shown = {
        **_about(request, found),
        **(numbers or {"is_open": found.state in uses.OPEN_STATES}),
        "numbers_failed": numbers is None,
        "marks": marks,
    }
    return render(request, "journeys/run.html", shown)


@require_GET
@workspace_view()
def run_numbers(request: WorkspaceRequest, pk: int, run: int) -> HttpResponse:
    """The numbers alone; the header's state and buttons with them when these have changed."""
    found = get_run(request, pk, run)
    shown = {**_about(request, found), **progress.shown(found, now=timezone.now())}
    shown["header_changed"] = request.GET.get("known") != shown["known"]
    return render(request, "journeys/_numbers.html", shown)


def _about(request: WorkspaceRequest, found: Run) -> dict[str, Any]:
    newest = found.journey.runs.values_list("pk", flat=True).first()
    stopped = ".stopped" if request.workspace.sending_is_stopped else ""
    return {
        "journey": found.journey,
        "run": found,
        "is_newest": newest == found.pk,
        "known": f"{found.journey.state}.{found.state}{stopped}",
        "may_edit": may(request, Point.AUTOMATED_MARKETING),
        "may_publish": may(request, Point.PUBLISH_JOURNEYS),
        "may_find": may(request, Point.VIEW_DELIVERIES),
    }


@require_http_methods(["GET", "POST"])
@workspace_view(Point.PUBLISH_JOURNEYS)
def pause(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Ask, with the count of this moment; then pause."""
    journey = get_journey(request, pk)
    if request.method == "GET":
        shown = {"journey": journey, "inside": runs.inside(journey)}
        return render(request, "journeys/_pause.html", shown)
    return _change(
        request,
        journey,
        lambda: runs.pause(journey=journey, user=request.user, now=timezone.now()),
        done=_("Paused. Nobody is sent to."),
    )


@require_POST
@workspace_view(Point.PUBLISH_JOURNEYS)
def resume(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Go on; who resumes becomes responsible, and passes both gates of every webhook."""
    journey = get_journey(request, pk)
    return _change(
        request,
        journey,
        lambda: runs.resume(journey=journey, user=request.user, now=timezone.now()),
        done=_("Resumed."),
    )


@require_http_methods(["GET", "POST"])
@workspace_view(Point.PUBLISH_JOURNEYS)
def stop(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Ask what becomes of those inside, with both counts; then stop for good."""
    journey = get_journey(request, pk)
    inside = request.POST.get("inside", "")
    if request.method == "GET" or inside not in ("finish", "take_out"):
        shown = {
            "journey": journey,
            "inside": runs.inside(journey),
            "error": _("Choose what becomes of the people inside.") if request.POST else "",
        }
        status = 422 if request.method == "POST" else 200
        return render(request, "journeys/_stop.html", shown, status=status)
    return _change(
        request,
        journey,
        lambda: runs.stop(
            journey=journey,
            user=request.user,
            take_out=inside == "take_out",
            now=timezone.now(),
        ),
        done=_("Stopped. Nobody enters any more."),
    )


def _change(
    request: WorkspaceRequest, journey: Journey, change: Callable[[], object], *, done: str
) -> HttpResponse:
    """Do it, and let the page that shows the journey renew its numbers, or the list its rows."""
    try:
        change()
    except PermissionDenied as denied:
        return refused(str(denied), status=403)
    except ValidationError as error:
        return refused(joined(error.messages), status=422)
    if not request.htmx:
        newest = journey.runs.values_list("pk", flat=True).first()
        address = [request.workspace.slug, journey.pk, newest]
        return go_to(request, reverse("journeys:run", args=address))
    list_of_all = reverse("journeys:list", args=[request.workspace.slug])
    if (request.htmx.current_url_abs_path or "").partition("?")[0] == list_of_all:
        messages.success(request, done)
        return show_again(request, list_of_all)
    response = said(HttpResponse(status=204), done)
    return trigger_client_event(response, "run-changed", {"journey": journey.pk})
