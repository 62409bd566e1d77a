"""Who is in an audience: counted when asked, with some people to recognise it by."""

from collections.abc import Sequence
from typing import Any, Final

from django.db import OperationalError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from identity import audience_rules, audiences, masking
from identity.models import Audience, Identifier
from journeys.views import readers
from journeys.views.access import may
from workspaces.points import POINT_LABELS, Point
from workspaces.views import WorkspaceRequest, workspace_view

SAMPLE: Final = 10
IDS_SHOWN: Final = 2


def get_audience(request: WorkspaceRequest, pk: int) -> Audience:
    return get_object_or_404(
        Audience.objects.select_related("workspace", "created_by"),
        pk=pk,
        workspace=request.workspace,
    )


def address(request: WorkspaceRequest, audience: Audience) -> str:
    return reverse("journeys:audience", args=[request.workspace.slug, audience.pk])


@require_GET
@workspace_view()
def audience_people(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """How many people are in it now, with ``sample`` some of them too."""
    readers.let_read(request, readers.OF_AUDIENCES)
    found = get_audience(request, pk)
    shown = people_of(found, request, sample="sample" in request.GET)
    return render(request, "journeys/_audience_people.html", shown)


def people_of(found: Audience, request: WorkspaceRequest, *, sample: bool) -> dict[str, Any]:
    """Return the context of ``journeys/_audience_people.html``; the audience may be unsaved."""
    now = timezone.now()
    in_clear = may(request, Point.VIEW_PROFILES)
    try:
        with audiences.patience():
            count = audience_rules.count(found, now=now)
            some = audience_rules.sample(found, size=SAMPLE, now=now) if sample else []
    except OperationalError:
        return {"is_slow": True, "with_sample": sample}
    return {
        "count": count,
        "with_sample": sample,
        "people": _people(some, in_clear=in_clear),
        "in_clear": in_clear,
        "may_see_people": readers.may_read(request, readers.OF_PEOPLE),
        "point": POINT_LABELS[Point.VIEW_PROFILES],
    }


def _people(qaids: Sequence[int], *, in_clear: bool) -> list[dict[str, Any]]:
    ids: dict[int, list[dict[str, str]]] = {qaid: [] for qaid in qaids}
    rows = Identifier.objects.filter(profile__in=qaids, id_type__enabled=True)
    for each in rows.select_related("id_type").order_by("id_type__priority", "-last_seen"):
        value = masking.shown(each.value, each.id_type, in_clear=in_clear)
        shown = {"type": each.id_type.name, "value": value}
        # Two data sources may report the same.
        if len(ids[each.profile_id]) < IDS_SHOWN and shown not in ids[each.profile_id]:
            ids[each.profile_id].append(shown)
    return [{"qaid": qaid, "ids": found} for qaid, found in ids.items()]
