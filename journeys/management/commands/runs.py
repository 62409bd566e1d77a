"""List runs, and watch one until it ends."""

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from journeys import components, runs, uses
from journeys.choices import RunState
from journeys.management.base import find_journey, find_run
from journeys.models import Run
from workspaces import permissions
from workspaces.management.base import AskingCommand, KeepLines, Subcommands, table
from workspaces.models import User

HELP = """List runs, or watch one until it ends.

watch draws one table over and over in a terminal, and prints a line each second into a file or a
pipe. It ends with the run: with 0 when that is finished, with 1 when it was stopped or ended
abnormally, with 130 after Ctrl-C, which leaves the run alone.

Examples:
  manage.py runs list --open
  manage.py runs watch 31
  manage.py runs watch 31 --json --every 10 > run.jsonl
"""
INTERRUPTED = 130  # As a shell says it of what Ctrl-C ended.


class Command(AskingCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=KeepLines, **kwargs)

    def add_options(self, parser: ArgumentParser) -> None:
        words = Subcommands(parser)
        listing = words.add("list", self._list, "list runs, the newest first")
        listing.add_argument("--journey", type=int, metavar="JOURNEY", help="of this journey alone")
        listing.add_argument("--open", action="store_true", help="only those that are not over")
        listing.add_argument("--limit", type=int, default=50, help="at most so many (default 50)")
        listing.add_argument("--json", action="store_true", help="print JSON")
        watch = words.add("watch", self._watch, "show how far it is each second until it ends")
        watch.add_argument("number", type=int, metavar="RUN", help="the run's number")
        watch.add_argument("--json", action="store_true", help="print a JSON object a line")
        watch.add_argument("--every", type=float, default=1.0, help="seconds between two looks")

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
        drawn = 0
        try:
            while True:
                run = find_run(number, actor)
                progress = runs.progress_of(run, now=timezone.now())
                if options["json"]:
                    self.stdout.write(json.dumps(plain(progress)))
                elif self.stdout.isatty():
                    drawn = self._redraw(progress, drawn)
                else:
                    self.stdout.write(line_of(progress))
                self.stdout.flush()
                if run.state not in uses.OPEN_STATES:
                    break
                time.sleep(every)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        if run.state != RunState.FINISHED:
            sys.exit(1)

    def _redraw(self, progress: runs.Progress, drawn: int) -> int:
        """Draw the table over the one of before; return how many lines it has."""
        lines = [line_of(progress), "", *steps_of(progress).splitlines()]
        above = f"\x1b[{drawn}F\x1b[J" if drawn else ""
        self.stdout.write(above + "\n".join(lines))
        return len(lines)


def steps_of(progress: runs.Progress) -> str:
    """Return a table of the run's sending steps, which people pass one after the other."""
    head = ["Step", "Webhook", "Waiting", "Accepted", "Failed", "Skipped", "Too late", "Unknown"]
    rows: list[list[Any]] = [head]
    for step in progress.steps:
        counts = step.counts
        rows.append(
            [
                step.step.name or str(components.of(step.step).label),
                step.plan.webhook.name,
                counts.queued,
                counts.delivered,
                counts.dead,
                counts.skipped,
                counts.expired,
                counts.uncertain,
            ]
        )
    return table(rows)


def plain(progress: runs.Progress) -> dict[str, Any]:
    return {
        "run": progress.run.pk,
        "state": progress.run.state,
        "percent": progress.percent,
        "people": progress.people,
        "accepted": progress.accepted,
        "failed": progress.failed,
        "skipped": progress.skipped,
        "expired": progress.expired,
        "cancelled": progress.cancelled,
        "uncertain": progress.uncertain,
        "waiting": progress.waiting,
        "people_per_second": round(progress.rate, 2),
        "seconds_left": progress.seconds_left,
    }


def line_of(progress: runs.Progress) -> str:
    """Return one line that says how far a run is."""
    left = f", {progress.seconds_left:,} s left" if progress.seconds_left is not None else ""
    return (
        f"{progress.percent:>3}%  {progress.run.get_state_display()}: {progress.people:,} people, "
        f"{progress.accepted:,} accepted, {progress.failed:,} failed, "
        f"{progress.skipped:,} skipped, {progress.waiting:,} waiting, "
        f"{progress.rate:,.0f} a second{left}"
    )
