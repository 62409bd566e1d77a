"""The events that came in, and what they started."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from identity import event_sample, incoming, people
from identity.models import EventType, IncomingEvent, Profile
from journeys import entering
from journeys.views import readers
from journeys.views.access import may
from journeys.views.filters import Option, qaids_of
from webhooks import values
from workspaces import permissions
from workspaces.points import POINT_LABELS, Point
from workspaces.typed import line, whole
from workspaces.views import WorkspaceRequest, workspace_view

_ID_AT_MOST: Final = 500


@require_http_methods(["GET", "POST"])
@workspace_view()
def event_list(request: WorkspaceRequest) -> HttpResponse:
    """The list. An ID is posted, so that no address holds it; its person's QAID stands there."""
    readers.let_read(request, readers.OF_EVENTS)
    if request.method == "POST":
        return _find(request)
    now = timezone.now()
    event_types = _event_types(request)
    code = request.GET.get("type", "")
    chosen = next((each for each in event_types if each.code == code), None)
    wanted = [chosen] if chosen else event_types
    qaids = qaids_of(request.GET.get("person", ""))
    after = _place(request.GET.get("after", ""))
    page = (
        incoming.page_of_people(
            request.workspace, wanted, qaids=_with_former(request, qaids), now=now, after=after
        )
        if qaids
        else incoming.page(wanted, after=after)
    )
    following = page.following
    shown = {
        "event_types": event_types,
        "summary": _summary(event_types),
        "chosen": chosen,
        "types": [Option(each.code, each.name, each == chosen) for each in event_types],
        "person": ",".join(map(str, qaids)),
        "rows": _rows(request, page.events, event_types),
        "following": f"{following.received_at.isoformat()}~{following.id}" if following else "",
        "is_first": after is None,
        **_rights(request),
    }
    if not page.events and not qaids and after is None and wanted:
        shown |= _nothing_yet(request, wanted[0], now)
    return render(request, "journeys/events.html", shown)


@require_GET
@workspace_view()
def event_summary(request: WorkspaceRequest) -> HttpResponse:
    """How many of each type came in lately, and which journeys listen for it."""
    readers.let_read(request, readers.OF_EVENTS)
    event_types = _event_types(request)
    counts = incoming.counts(event_types, now=timezone.now())
    shown = {"summary": _summary(event_types, counts)}
    return render(request, "journeys/_event_summary.html", shown)


def _summary(
    event_types: Sequence[EventType], counts: Mapping[int, incoming.Counts] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of the summary; without counts they keep the place of those to come."""
    listeners = entering.listeners(event_types)
    return [
        {"event_type": each, "counts": (counts or {}).get(each.pk), "runs": listeners[each.pk]}
        for each in event_types
    ]


def _event_types(request: WorkspaceRequest) -> list[EventType]:
    return list(request.workspace.event_types.prefetch_related("attributes").order_by("name"))


def _rights(request: WorkspaceRequest) -> dict[str, Any]:
    return {
        "in_clear": may(request, Point.VIEW_PROFILES),
        "may_see_deliveries": may(request, Point.VIEW_DELIVERIES),
        "may_see_people": readers.may_read(request, readers.OF_PEOPLE),
        "may_set_up": may(request, Point.MANAGE_DATA),
        "point": POINT_LABELS[Point.VIEW_PROFILES],
    }


def _find(request: WorkspaceRequest) -> HttpResponse:
    """Lead to the events of whoever has exactly this ID."""
    typed = line(request.POST.get("id"), at_most=_ID_AT_MOST)
    query = {"type": request.GET.get("type", "")}
    if typed:
        found = [each.pk for each in people.find(request.workspace, value=typed)]
        # Nobody: a number that is no person's, so that the page says that nothing matches.
        query["person"] = ",".join(map(str, found)) or "0"
    here = reverse("journeys:events", args=[request.workspace.slug])
    return redirect(f"{here}?{urlencode({key: value for key, value in query.items() if value})}")


def _with_former(request: WorkspaceRequest, qaids: Sequence[int]) -> list[int]:
    """Return the QAIDs with those that were merged into them: events stay with theirs."""
    merged = Profile.objects.filter(workspace=request.workspace, merged_into__in=qaids)
    return [*qaids, *merged.values_list("qaid", flat=True)]


def _place(after: str) -> incoming.Place | None:
    moment, _tilde, number = after.partition("~")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    pk = whole(number)
    return incoming.Place(at, pk) if at.tzinfo and pk is not None else None


def _rows(
    request: WorkspaceRequest, events: Sequence[IncomingEvent], event_types: Sequence[EventType]
) -> list[dict[str, Any]]:
    if not events:
        return []
    in_clear = may(request, Point.VIEW_PROFILES)
    named = people.name(
        list({event.profile_id for event in events}),
        id_types=list(request.workspace.id_types.order_by("priority")),
        in_clear=in_clear,
    )
    outcomes = entering.outcomes(events, request.workspace)
    names = {
        (event_type.pk, attribute.code): attribute.name
        for event_type in event_types
        for attribute in event_type.attributes.all()
    }
    return [
        {
            "event": event,
            "person": named[event.profile_id],
            "outcomes": outcomes.get(event.pk, ()),
            "attributes": [
                (names.get((event.event_type_id, code), code), values.text_of(value))
                for code, value in event.attributes.items()
            ]
            if in_clear
            else [],
        }
        for event in events
    ]


def _nothing_yet(request: WorkspaceRequest, event_type: EventType, now: datetime) -> dict[str, Any]:
    """Return what teaches to send the first event; ``last`` is when the latest one happened."""
    address = request.build_absolute_uri(reverse("api_events"))
    return {
        "first": event_type,
        "last": incoming.last_of(event_type),
        "curl": event_sample.curl(event_type, address=address, now=now),
        "administrators": permissions.administrators_of(request.workspace)[:1],
    }
