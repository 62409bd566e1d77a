"""Fetching what a console page is about: another tenant's journey is as if there were none."""

from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from journeys import drafts
from journeys.definition import Document, Step
from journeys.models import Journey, Run
from workspaces import current, permissions
from workspaces.points import POINT_LABELS, Point
from workspaces.sentences import joined
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


def refusal(request: WorkspaceRequest) -> str:
    """Return why the visitor may not change journeys here and whom to ask, or an empty string."""
    if may(request, Point.AUTOMATED_MARKETING):
        return ""
    missing = {"permission": POINT_LABELS[Point.AUTOMATED_MARKETING]}
    administrators = permissions.administrators_of(request.workspace)[:1]
    return joined(
        [
            _("You may look at this journey, and not change it."),
            _("The permission “%(permission)s” is missing.") % missing,
            *(
                _("Ask %(name)s, who administers this workspace.") % {"name": each}
                for each in administrators
            ),
        ]
    )
