"""List runs, and watch one until it ends."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from journeys import runs, uses
from journeys.choices import RunState
from journeys.management.base import find_journey, find_run
from journeys.models import Run
from workspaces import permissions
from workspaces.management.base import AskingCommand, Subcommands, table
from workspaces.models import User


class Command(AskingCommand):
    help = "List runs, or watch one until it ends. Example: manage.py runs watch 31"

    def add_options(self, parser: ArgumentParser) -> None:
        words = Subcommands(parser)
        listing = words.add("list", self._list, "list runs, the newest first")
        listing.add_argument("--journey", type=int, metavar="JOURNEY", help="of this journey alone")
        listing.add_argument("--open", action="store_true", help="only those that are not over")
        listing.add_argument("--limit", type=int, default=50, help="at most so many (default 50)")
        listing.add_argument("--json", action="store_true", help="print JSON")
        watch = words.add("watch", self._watch, "print a line a second until the run ends")
        watch.add_argument("number", type=int, metavar="RUN", help="the run's number")
        watch.add_argument("--every", type=float, default=1.0, help="seconds between two lines")

    def run(self, *, actor: User | None, **options: Any) -> None:
        options["run_word"](actor=actor, **options)

    def _list(
        self, *, actor: User | None, journey: int | None = None, limit: int = 50, **options: Any
    ) -> None:
        found = Run.objects.select_related("version", "journey__workspace", "responsible")
        if actor is not None:
            found = found.filter(workspace__in=permissions.workspaces_of(actor))
        if journey is not None:
            found = found.filter(journey=find_journey(journey, actor))
        if options["open"]:
            found = found.filter(state__in=uses.OPEN_STATES)
        rows = list(found[:limit])
        if options["json"]:
            shown = [
                {
                    "run": run.pk,
                    "journey": run.journey_id,
                    "name": run.journey.name,
                    "version": run.version.number,
                    "state": run.state,
                    "reason": run.state_reason,
                    "people": run.people,
                    "starts_at": run.starts_at.isoformat(),
                }
                for run in rows
            ]
            self.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2))
            return
        if not rows:
            self.stdout.write("No run matches.")
            return
        lines: list[list[Any]] = [["Run", "Journey", "Version", "State", "Starts", "People"]]
        lines += [
            [
                f"{run.pk}",
                run.journey.name,
                f"{run.version.number}",
                str(RunState(run.state).label),
                f"{run.starts_at:%Y-%m-%d %H:%M}",
                run.people,
            ]
            for run in rows
        ]
        self.stdout.write(table(lines))

    def _watch(self, *, actor: User | None, number: int, every: float, **options: Any) -> None:
        while True:
            run = find_run(number, actor)
            self.stdout.write(line_of(runs.progress_of(run, now=timezone.now())))
            self.stdout.flush()
            if run.state not in uses.OPEN_STATES:
                return
            time.sleep(every)


def line_of(progress: runs.Progress) -> str:
    """Return one line that says how far a run is."""
    left = f", {progress.seconds_left:,} s left" if progress.seconds_left is not None else ""
    return (
        f"{progress.percent:>3} %  {progress.run.get_state_display()}: {progress.people:,} people, "
        f"{progress.accepted:,} accepted, {progress.failed:,} failed, "
        f"{progress.skipped:,} skipped, {progress.waiting:,} waiting, "
        f"{progress.rate:,.0f} a second{left}"
    )
