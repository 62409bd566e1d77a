"""What the journeys' commands share: finding a journey or a run."""

from django.core.management.base import CommandError

from journeys.models import Journey, Run
from workspaces import permissions
from workspaces.models import User


def find_journey(number: int, actor: User | None = None) -> Journey:
    """Return a journey of a workspace that the actor is in; the operator is in all."""
    journeys = Journey.objects.select_related("workspace__organization")
    if actor is not None:
        journeys = journeys.filter(workspace__in=permissions.workspaces_of(actor))
    found = journeys.filter(pk=number).first()
    if found is None:
        raise CommandError(f"There is no journey {number}. See: manage.py journeys list.")
    return found


def find_run(number: int, actor: User | None = None) -> Run:
    runs = Run.objects.select_related("version", "journey__workspace", "responsible")
    if actor is not None:
        runs = runs.filter(workspace__in=permissions.workspaces_of(actor))
    found = runs.filter(pk=number).first()
    if found is None:
        raise CommandError(f"There is no run {number}. See: manage.py runs list.")
    return found
