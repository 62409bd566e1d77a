"""Finding a person, and all that is known of one."""

from typing import Any, Final

from django.db import OperationalError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from identity import census, known, people, rule_sentences
from identity.models import Event, Profile
from journeys import deliveries
from journeys.deliveries import Filter
from journeys.views import readers
from journeys.views.access import may
from journeys.views.deliveries import shown_row
from webhooks import values
from workspaces.points import POINT_LABELS, Point
from workspaces.typed import line
from workspaces.views import WorkspaceRequest, workspace_view

FOUND_SHOWN: Final = 20
DELIVERIES_SHOWN: Final = 10
_ID_AT_MOST: Final = 500


@require_http_methods(["GET", "POST"])
@workspace_view()
def people_search(request: WorkspaceRequest) -> HttpResponse:
    """The search. The ID is posted, so that no address holds it; it leads to its person's page."""
    readers.let_read(request, readers.OF_PEOPLE)
    shown: dict[str, Any] = {
        "sources": census.sources(request.workspace),
        "may_set_up": may(request, Point.MANAGE_DATA),
        "typed": "",
        "error": "",
        "is_nobody": False,
        "found": [],
    }
    if request.method == "GET":
        return render(request, "journeys/people.html", shown)
    typed = line(request.POST.get("id"), at_most=_ID_AT_MOST + 1)
    shown["typed"] = typed[:_ID_AT_MOST]
    if not typed or len(typed) > _ID_AT_MOST:
        shown["error"] = _("Enter the whole ID of one person.")
        return render(request, "journeys/people.html", shown, status=422)
    found = people.find(request.workspace, value=typed)[:FOUND_SHOWN]
    if len(found) == 1:
        return redirect("journeys:person_page", request.workspace.slug, found[0].qaid)
    shown["is_nobody"] = not found
    shown["found"] = people.name(
        [profile.qaid for profile in found],
        id_types=list(request.workspace.id_types.order_by("priority")),
        in_clear=may(request, Point.VIEW_PROFILES),
    ).values()
    return render(request, "journeys/people.html", shown)


@require_GET
@workspace_view()
def people_census(request: WorkspaceRequest) -> HttpResponse:
    """How many people there are, and by which types of ID they are known."""
    readers.let_read(request, readers.OF_PEOPLE)
    id_types = list(request.workspace.id_types.enabled().order_by("priority"))
    try:
        counted = census.take(request.workspace, id_types, now=timezone.now())
    except OperationalError:
        return render(request, "journeys/_people_census.html", {"is_slow": True})
    shown = {
        "counted": counted,
        "rows": [
            {
                "id_type": each,
                "count": counted.known.get(each.pk, 0),
                "percent": counted.percent(each),
            }
            for each in id_types
        ],
    }
    return render(request, "journeys/_people_census.html", shown)


@require_GET
@workspace_view()
def person_page(request: WorkspaceRequest, qaid: int) -> HttpResponse:
    """Everything about one person; a merged one leads to the person they were merged into."""
    readers.let_read(request, readers.OF_PEOPLE)
    person = _person(request, qaid)
    if person.qaid != qaid:
        return redirect("journeys:person_page", request.workspace.slug, person.qaid)
    in_clear = may(request, Point.VIEW_PROFILES)
    qaids = people.former(person)
    sees_deliveries = may(request, Point.VIEW_DELIVERIES)
    chosen = Filter(workspace=request.workspace, qaids=tuple(qaids))
    sent = deliveries.page(chosen, in_clear=in_clear).rows if sees_deliveries else []
    shown = {
        "person": person,
        "name": people.label(person, in_clear=in_clear),
        "former": qaids[1:],
        "qaids": ",".join(map(str, qaids)),
        "ids": known.ids(person, in_clear=in_clear),
        "tags": _tags(person, in_clear=in_clear),
        "events": [_event(each, in_clear=in_clear) for each in known.events(qaids)],
        "deliveries": [shown_row(row) for row in sent[:DELIVERIES_SHOWN]],
        "may_see_deliveries": sees_deliveries,
        "may_see_events": readers.may_read(request, readers.OF_EVENTS),
        "may_set_up": may(request, Point.MANAGE_DATA),
        "in_clear": in_clear,
        "point": POINT_LABELS[Point.VIEW_PROFILES],
    }
    return render(request, "journeys/person.html", shown)


@require_GET
@workspace_view()
def person_audiences(request: WorkspaceRequest, qaid: int) -> HttpResponse:
    """The audiences that the person is in now: rules are asked for this."""
    readers.let_read(request, readers.OF_PEOPLE)
    person = _person(request, qaid)
    found = known.memberships(person, now=timezone.now())
    shown = {
        "inside": [each.audience for each in found if each.is_in],
        "unknown": [each.audience for each in found if each.is_in is None],
        "total": len(found),
        "may_see_audiences": readers.may_read(request, readers.OF_AUDIENCES),
    }
    return render(request, "journeys/_person_audiences.html", shown)


def _person(request: WorkspaceRequest, qaid: int) -> Profile:
    profiles = Profile.objects.select_related("workspace", "merged_into__workspace")
    found = get_object_or_404(profiles, workspace=request.workspace, qaid=qaid)
    return found.merged_into or found


def _tags(person: Profile, *, in_clear: bool) -> known.Tags:
    """Return the tags with their values as people write them."""
    found = known.tags(person, in_clear=in_clear)
    return found._replace(values=[each._replace(value=_shown(each)) for each in found.values])


def _shown(tag: known.TagValue) -> str:
    several = isinstance(tag.value, list | dict)
    return values.text_of(tag.value) if several else rule_sentences.shown(tag.value, tag.type)


def _event(event: Event, *, in_clear: bool) -> dict[str, Any]:
    attributes = [(code, values.text_of(value)) for code, value in event.attributes.items()]
    return {"event": event, "attributes": attributes if in_clear else []}
