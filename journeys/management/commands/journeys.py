"""List, show, pause, resume and stop journeys."""

import json
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from journeys import runs
from journeys.choices import JourneyState
from journeys.ending import REASONS
from journeys.management.base import find_journey
from journeys.models import Journey
from workspaces import permissions
from workspaces.management.base import AskingCommand, Subcommands, find_workspace, table
from workspaces.models import User


class Command(AskingCommand):
    help = (
        "List, show, pause, resume and stop journeys. Examples: manage.py journeys list "
        "--workspace acme --state running · manage.py journeys stop 12 --finish --as li@acme.test"
    )

    def add_options(self, parser: ArgumentParser) -> None:
        words = Subcommands(parser)
        listing = words.add("list", self._list, "list journeys, the last changed first")
        listing.add_argument(
            "--workspace", metavar="W", help="of the workspace with this short name"
        )
        listing.add_argument("--state", choices=JourneyState.values, help="in this state")
        listing.add_argument("--json", action="store_true", help="print JSON")
        show = words.add("show", self._show, "show one journey: its runs and how far they are")
        show.add_argument("journey", type=int, metavar="JOURNEY", help="the journey's number")
        show.add_argument("--json", action="store_true", help="print JSON")
        pause = words.add("pause", self._pause, "send to nobody until it is resumed")
        resume = words.add("resume", self._resume, "go on; both gates are checked again")
        stop = words.add("stop", self._stop, "let nobody in any more; this is final")
        for changing in (pause, resume, stop):
            changing.add_argument("journey", type=int, metavar="JOURNEY", help="its number")
            self.add_yes(changing)
        choice = stop.add_mutually_exclusive_group(required=True)
        choice.add_argument(
            "--finish", action="store_true", help="who is inside goes on to the end"
        )
        choice.add_argument("--take-out", action="store_true", help="who is inside is taken out")

    def run(self, *, actor: User | None, **options: Any) -> None:
        options["run_word"](actor=actor, **options)

    def _list(
        self,
        *,
        actor: User | None,
        workspace: str | None = None,
        state: str | None = None,
        **options: Any,
    ) -> None:
        found = Journey.objects.filter(is_archived=False).select_related("workspace", "changed_by")
        if actor is not None:
            found = found.filter(workspace__in=permissions.workspaces_of(actor))
        if workspace:
            found = found.filter(workspace=find_workspace(workspace))
        if state:
            found = found.filter(state=state)
        if options["json"]:
            rows = [_plain(journey) for journey in found]
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        if not found:
            self.stdout.write("No journey matches.")
            return
        lines = [["", "Name", "Workspace", "State", "Last change"]]
        lines += [
            [
                f"{journey.pk}",
                journey.name,
                journey.workspace.slug,
                str(JourneyState(journey.state).label),
                f"{journey.changed_at:%Y-%m-%d %H:%M}",
            ]
            for journey in found
        ]
        self.stdout.write(table(lines))

    def _show(self, *, actor: User | None, journey: int, **options: Any) -> None:
        found = find_journey(journey, actor)
        progress = [
            runs.progress_of(run, now=timezone.now())
            for run in found.runs.select_related("version", "responsible").order_by("pk")
        ]
        if options["json"]:
            shown = {**_plain(found), "runs": [_numbers(each) for each in progress]}
            self.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2))
            return
        self.stdout.write(f"{found.name} ({found.workspace}): {JourneyState(found.state).label}")
        if found.state_reason in REASONS:
            self.stdout.write(str(REASONS[found.state_reason]))
        if progress:
            header = [
                "Run",
                "Version",
                "State",
                "People",
                "Accepted",
                "Failed",
                "Waiting",
                "Skipped",
            ]
            self.stdout.write(table([header, *(_row(each) for each in progress)]))

    def _pause(self, *, actor: User | None, journey: int, yes: bool, **options: Any) -> None:
        found = find_journey(journey, actor)
        self.confirm(people=runs.inside(found).total, what=f"Pausing “{found.name}”", yes=yes)
        runs.pause(journey=found, user=actor, now=timezone.now())
        self._done(f"“{found.name}” is paused. Resume it: manage.py journeys resume {found.pk}")

    def _resume(self, *, actor: User | None, journey: int, yes: bool, **options: Any) -> None:
        found = find_journey(journey, actor)
        self.confirm(people=runs.inside(found).total, what=f"Resuming “{found.name}”", yes=yes)
        runs.resume(journey=found, user=actor, now=timezone.now())
        self._done(f"“{found.name}” goes on.")

    def _stop(
        self, *, actor: User | None, journey: int, yes: bool, take_out: bool, **options: Any
    ) -> None:
        found = find_journey(journey, actor)
        self.confirm(people=runs.inside(found).total, what=f"Stopping “{found.name}”", yes=yes)
        inside = runs.stop(journey=found, user=actor, take_out=take_out, now=timezone.now())
        if take_out:
            self._done(f"“{found.name}” is stopped; {inside.total:,} people are taken out.")
        else:
            self._done(f"“{found.name}” is stopped; {inside.total:,} people go on to the end.")

    def _done(self, sentence: str) -> None:
        self.stdout.write(self.style.SUCCESS(sentence))


def _plain(journey: Journey) -> dict[str, Any]:
    return {
        "journey": journey.pk,
        "name": journey.name,
        "workspace": journey.workspace.slug,
        "state": journey.state,
        "reason": journey.state_reason,
        "changed_at": journey.changed_at.isoformat(),
    }


def _numbers(progress: runs.Progress) -> dict[str, Any]:
    return {
        "run": progress.run.pk,
        "version": progress.run.version.number,
        "state": progress.run.state,
        "people": progress.people,
        "accepted": progress.accepted,
        "failed": progress.failed,
        "waiting": progress.waiting,
        "skipped": progress.skipped,
        "skipped_by_reason": progress.skipped_by_reason,
        "expired": progress.expired,
        "cancelled": progress.cancelled,
        "uncertain": progress.uncertain,
    }


def _row(progress: runs.Progress) -> list[Any]:
    return [
        f"{progress.run.pk}",
        f"{progress.run.version.number}",
        str(progress.run.get_state_display()),
        progress.people,
        progress.accepted,
        progress.failed,
        progress.waiting,
        progress.skipped,
    ]
