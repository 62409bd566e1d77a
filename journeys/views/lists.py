"""The list of journeys, and what is done to one journey as a whole."""

from typing import Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from journeys import checklist, drafts, listing
from journeys.checklist import Checklist
from journeys.choices import JourneyState
from journeys.drafts import StaleDraft
from journeys.forms.journeys import CreateForm, NameForm
from journeys.views.access import get_journey, may
from journeys.views.answers import go_to, refused, show_again
from workspaces import current, parts
from workspaces.points import Point
from workspaces.sentences import joined
from workspaces.typed import line, whole
from workspaces.views import WorkspaceRequest, workspace_view

PAGE_SIZE: Final = 50
UNDER_WAY: Final = (JourneyState.SCHEDULED, JourneyState.RUNNING, JourneyState.PAUSED)


@require_GET
@workspace_view()
def journey_list(request: WorkspaceRequest) -> HttpResponse:
    words = line(request.GET.get("q"), at_most=200)
    state = request.GET.get("state", "")
    sort = request.GET.get("sort", "")
    sort = sort if listing.is_sort(sort) else listing.DEFAULT_SORT
    found = listing.find(request.workspace, words=words)
    totals = listing.totals(found)
    page = Paginator(listing.page_of(found, state=state, sort=sort), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    segments = _segments(totals, state)
    steps = parts.read(lambda: _first_steps(request))
    shown = {
        "rows": listing.rows(list(page), workspace=request.workspace, now=timezone.now()),
        "page": page,
        "segments": segments,
        "words": words,
        "state": state,
        "state_label": next((each["label"] for each in segments[1:] if each["current"]), ""),
        "sort": sort,
        "is_first_use": not totals and not words,
        "steps": None if steps is None or steps.is_done else steps,
        "steps_failed": steps is None,
        "may_edit": may(request, Point.AUTOMATED_MARKETING),
        "may_publish": may(request, Point.PUBLISH_JOURNEYS),
        "under_way": UNDER_WAY,
    }
    return render(request, "journeys/list.html", shown)


def _first_steps(request: WorkspaceRequest) -> Checklist:
    """Return what is to do before the first journey sends."""
    return checklist.of(
        workspace=request.workspace,
        points=current.rights(request).points.get(request.workspace.pk, ()),
        now=timezone.now(),
    )


def _segments(totals: dict[str, int], state: str) -> list[dict[str, object]]:
    """Return the filter by state: those that occur, and the one that is chosen."""
    everything = sum(count for key, count in totals.items() if key != listing.ARCHIVED)
    labels = [*JourneyState.choices, (listing.ARCHIVED, _("Archived"))]
    of_state = [
        {"key": key, "label": label, "count": totals.get(key, 0), "current": key == state}
        for key, label in labels
        if key in totals or key == state
    ]
    is_all = not any(each["current"] for each in of_state)
    return [{"key": "", "label": _("All"), "count": everything, "current": is_all}, *of_state]


@require_http_methods(["GET", "POST"])
@workspace_view(Point.AUTOMATED_MARKETING)
def create(request: WorkspaceRequest) -> HttpResponse:
    """The dialog of a new journey; it leads on to the editor."""
    form = CreateForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        journey = drafts.create(
            workspace=request.workspace,
            user=request.user,
            name=form.cleaned_data["name"],
            start=form.cleaned_data["start"],
            now=timezone.now(),
        )
        return go_to(request, reverse("journeys:editor", args=[request.workspace.slug, journey.pk]))
    status = 422 if form.is_bound else 200
    return render(request, "journeys/_create.html", {"form": form}, status=status)


@require_http_methods(["GET", "POST"])
@workspace_view(Point.AUTOMATED_MARKETING)
def rename(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """The dialog that renames a journey; the page is shown anew afterwards."""
    journey = get_journey(request, pk)
    form = NameForm(
        request.POST if request.method == "POST" else None, initial={"name": journey.name}
    )
    status = 422 if form.is_bound else 200
    if form.is_valid():
        revision = whole(request.POST.get("revision"))
        try:
            drafts.rename(
                journey=journey,
                revision=-1 if revision is None else revision,
                user=request.user,
                name=form.cleaned_data["name"],
                now=timezone.now(),
            )
        except StaleDraft as stale:
            journey.refresh_from_db()
            again = _("%(what)s Press Rename to do it anyway.") % {"what": stale.message}
            form.add_error(None, again)
            status = 409
        else:
            return show_again(request, journey.get_absolute_url())
    shown = {"journey": journey, "form": form}
    return render(request, "journeys/_rename.html", shown, status=status)


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def duplicate(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Make a copy and open it; who may not use one of its webhooks may not copy it either."""
    journey = get_journey(request, pk)
    try:
        copy = drafts.duplicate(journey=journey, user=request.user, now=timezone.now())
    except PermissionDenied as denied:
        return refused(str(denied), status=403)
    except ValidationError as error:
        return refused(joined(error.messages), status=422)
    return go_to(request, reverse("journeys:editor", args=[request.workspace.slug, copy.pk]))


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def archive(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Take a journey out of the list, or with ``restore`` bring it back."""
    journey = get_journey(request, pk)
    archived = "restore" not in request.POST
    if archived and journey.state in UNDER_WAY:
        sentence = _("The journey is under way. Stop it, or wait until it has finished.")
        return refused(sentence, status=422)
    drafts.archive(journey=journey, user=request.user, archived=archived)
    done = _("“%(name)s” is archived.") if archived else _("“%(name)s” is back in the list.")
    messages.success(request, done % {"name": journey.name})
    return go_to(request, reverse("journeys:list", args=[request.workspace.slug]))
