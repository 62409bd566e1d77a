"""Who may read the pages that open with one of several points."""

from typing import Final

from django.core.exceptions import PermissionDenied

from journeys.views.access import may
from workspaces.points import POINT_LABELS, Point
from workspaces.views import WorkspaceRequest

# The first one is named to whoever has none of them.
# A marketer sees what an audience is; who manages data changes it.
OF_AUDIENCES: Final = (Point.MANAGE_DATA, Point.AUTOMATED_MARKETING)
OF_EVENTS: Final = (Point.VIEW_DELIVERIES, Point.MANAGE_DATA)
OF_PEOPLE: Final = (Point.VIEW_PROFILES, Point.MANAGE_DATA)


def may_read(request: WorkspaceRequest, points: tuple[Point, ...]) -> bool:
    return any(may(request, point) for point in points)


def let_read(request: WorkspaceRequest, points: tuple[Point, ...]) -> None:
    if not may_read(request, points):
        raise PermissionDenied(POINT_LABELS[points[0]])
