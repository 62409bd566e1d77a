"""Fetching what a console page is about: another tenant's journey is as if there were none."""

from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404

from journeys import drafts
from journeys.definition import Document, Step
from journeys.models import Journey, Run
from workspaces import current
from workspaces.points import Point
from workspaces.views import WorkspaceRequest


def get_journey(request: WorkspaceRequest, pk: int) -> Journey:
    return get_object_or_404(
        Journey.objects.select_related("workspace", "changed_by"),
        pk=pk,
        workspace=request.workspace,
    )


def get_step(journey: Journey, key: UUID) -> Step:
    step = Document.from_json(journey.draft).step(key)
    if step is None:
        raise Http404
    return step


def get_step_as_known(journey: Journey, key: UUID, revision: int) -> Step:
    """Return a step, or as it was at ``revision`` when it has been deleted since."""
    step = Document.from_json(journey.draft).step(key) or drafts.step_at(journey, revision, key)
    if step is None:
        raise Http404
    return step


def get_run(request: WorkspaceRequest, pk: int, run: int) -> Run:
    return get_object_or_404(
        Run.objects.select_related("journey__workspace", "version", "responsible"),
        pk=run,
        journey=pk,
        workspace=request.workspace,
    )


def may(request: WorkspaceRequest, point: Point) -> bool:
    """Tell whether the visitor holds the point, from what is read once a request."""
    return current.rights(request).allows(request.workspace.pk, point)
