"""Stop all sending, of one workspace or of all, within seconds."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.utils import timezone

from webhooks.models import Chunk
from workspaces import permissions, tenants
from workspaces.management.base import AskingCommand, find_workspace
from workspaces.models import User, Workspace


class Command(AskingCommand):
    help = (
        "Stop all sending, of one workspace or of all. Within 5 s nothing more goes out; people "
        "keep their place and a banner says why. Undo it with resume_sending. Example: manage.py "
        "stop_sending --workspace acme --reason 'wrong prices in the coupon engine'"
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", metavar="W", help="of this workspace alone")
        parser.add_argument("--reason", required=True, help="shown to everybody in the workspace")
        self.add_yes(parser)

    def run(
        self,
        *,
        actor: User | None,
        reason: str = "",
        workspace: str | None = None,
        yes: bool = False,
        **options: Any,
    ) -> None:
        chosen = workspaces_for(actor, workspace)
        waiting = Chunk.objects.filter(workspace__in=chosen, queued__gt=0)
        people = waiting.aggregate(people=Sum("queued"))["people"] or 0
        self.confirm(people=people, what="Stopping all sending", yes=yes)
        for each in chosen:
            if tenants.stop_sending(workspace=each, reason=reason, actor=actor, now=timezone.now()):
                self.stdout.write(self.style.SUCCESS(f"{each}: sending is stopped."))
            else:
                self.stdout.write(f"{each}: sending was stopped already.")


def workspaces_for(actor: User | None, slug: str | None) -> list[Workspace]:
    """Return the workspace of this short name, or all that the actor administers."""
    found = Workspace.objects.select_related("organization")
    if actor is not None:
        found = permissions.workspaces_administered_by(actor).select_related("organization")
    if slug is not None:
        found = found.filter(pk=find_workspace(slug).pk)
    if actor is not None and not found:
        raise PermissionDenied("Only administrators stop all sending, or let it go on.")
    return list(found)
