"""What every changing command shares: who does it, the audit's door, errors as one sentence."""

import sys
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any, Final

from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management.base import BaseCommand, CommandError

from workspaces import audit
from workspaces.choices import Via
from workspaces.models import Organization, User, Workspace

# Changes that affect more people ask first.
ASK_ABOVE: Final = 1_000


class KeepLines(RawDescriptionHelpFormatter):
    """Keep the help's own lines."""


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


class AskingCommand(ConsoleCommand):
    """A command that asks a person before it affects many, and never asks a script."""

    def add_yes(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--yes", action="store_true", help="do not ask, however many people are affected"
        )

    def confirm(self, *, people: int, what: str, yes: bool) -> None:
        """Ask when more than 1,000 people are affected.

        Raises:
            CommandError: the answer was no, or nobody is there to answer.
        """
        if yes or people <= ASK_ABOVE:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{what} affects {people:,} people. Say --yes to do it.")
        answer = input(f"{what} affects {people:,} people. Go on? [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was changed.")


class Subcommands:
    """The words behind a command, each with its own help and function."""

    def __init__(self, parser: ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(dest="word", required=True, metavar="WHAT")

    def add(self, word: str, run: Callable[..., None], text: str) -> ArgumentParser:
        made: ArgumentParser = self._parsers.add_parser(word, help=text, description=text)
        made.set_defaults(run_word=run)
        # May stand behind the word as well as before it.
        made.add_argument(
            "--as",
            dest="actor",
            metavar="EMAIL",
            default=SUPPRESS,
            help="do it with this member's rights, and in their name in the audit trail",
        )
        return made


def table(rows: list[list[Any]]) -> str:
    """Return rows as aligned columns, numbers to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*texts, strict=True)]
    lines = []
    for row, cells in zip(rows, texts, strict=True):
        aligned = [
            text.rjust(width) if isinstance(cell, int) else text.ljust(width)
            for cell, text, width in zip(row, cells, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


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
