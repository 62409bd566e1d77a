"""What every changing command shares: who does it, the audit's door, errors as one sentence."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management.base import BaseCommand, CommandError

from workspaces import audit
from workspaces.choices import Via
from workspaces.models import Organization, User, Workspace


class ConsoleCommand(BaseCommand):
    """A command that changes something. Subclasses write ``add_options`` and ``run``.

    ``--as EMAIL`` runs it with that member's rights and in their name; without it the
    operator's command line may do everything.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--as",
            dest="actor",
            metavar="EMAIL",
            help="do it with this member's rights, and in their name in the audit trail",
        )
        self.add_options(parser)

    def add_options(self, parser: ArgumentParser) -> None:
        """Add the command's own arguments."""

    def handle(self, *args: Any, actor: str | None = None, **options: Any) -> None:
        doer = find_user(actor) if actor else None
        try:
            with audit.through(Via.COMMAND):
                self.run(actor=doer, **options)
        except ValidationError as error:
            raise CommandError("\n".join(error.messages)) from error
        except PermissionDenied as error:
            raise CommandError(f"{actor} may not do this. {error}".strip()) from error

    def run(self, *, actor: User | None, **options: Any) -> None:
        raise NotImplementedError


def find_user(email: str) -> User:
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None:
        raise CommandError(f"Nobody active has the e-mail address “{email}”.")
    return user


def find_organization(slug: str) -> Organization:
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Organization.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"No organization has the short name “{slug}”. There are: {known}.")
    return found


def find_workspace(slug: str) -> Workspace:
    found = Workspace.objects.select_related("organization").filter(slug=slug).first()
    if found is None:
        known = ", ".join(Workspace.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"No workspace has the short name “{slug}”. There are: {known}.")
    return found
