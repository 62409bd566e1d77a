"""What the journeys' commands share: finding a journey, asking before many people are affected."""

import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import CommandError

from journeys.models import Journey, Run
from workspaces import permissions
from workspaces.management.base import ConsoleCommand
from workspaces.models import User

# Changes that affect more people ask first.
ASK_ABOVE: Final = 1_000


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
