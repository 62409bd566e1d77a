"""Let sending go on that was stopped by stop_sending."""

from argparse import ArgumentParser
from typing import Any

from django.db.models import Sum

from journeys.management.commands.stop_sending import workspaces_for
from webhooks.models import Chunk
from workspaces import tenants
from workspaces.management.base import AskingCommand
from workspaces.models import User


class Command(AskingCommand):
    help = (
        "Let sending go on, of one workspace or of all, that stop_sending stopped. Example: "
        "manage.py resume_sending --workspace acme"
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", metavar="W", help="of this workspace alone")
        self.add_yes(parser)

    def run(
        self,
        *,
        actor: User | None,
        workspace: str | None = None,
        yes: bool = False,
        **options: Any,
    ) -> None:
        chosen = [each for each in workspaces_for(actor, workspace) if each.sending_is_stopped]
        waiting = Chunk.objects.filter(workspace__in=chosen, queued__gt=0)
        people = waiting.aggregate(people=Sum("queued"))["people"] or 0
        self.confirm(people=people, what="Letting sending go on", yes=yes)
        for each in chosen:
            if tenants.resume_sending(workspace=each, actor=actor):
                self.stdout.write(self.style.SUCCESS(f"{each}: sending goes on."))
        if not chosen:
            self.stdout.write("Sending is stopped nowhere.")
