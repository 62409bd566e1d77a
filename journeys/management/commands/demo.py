import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from journeys.demo import running
from journeys.demo.running import DemoError, Figures

_LABELS = {
    "events": "purchases, as history and as events",
    "people": "people planned",
    "delivered": "accepted by the receiver",
    "skipped": "skipped",
    "dead": "failed",
    "requests": "requests at the receiver",
    "signatures_verified": "signatures verified there",
    "duplicates": "duplicates there",
    "receipts": "receipts that it sent back",
    "seconds": "seconds from publishing to the last answer",
    "people_per_second": "people a second",
}


class Command(BaseCommand):
    help = (
        "Run the main job once, in a database of its own, and end: load the CDNOW customers from "
        "files, publish an audience journey to all of them and an event journey that listens for "
        "purchases, report the last days' purchases over HTTP, deliver to a real receiver and "
        "take its receipts. Figures come from the receiver's own ledger; when it disagrees with "
        "the console's, the command fails."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object alone")
        parser.add_argument(
            "--senders", type=int, default=2, help="sender processes (default: %(default)s)"
        )

        parser.add_argument(
            "--latency",
            type=int,
            default=0,
            metavar="N",
            help="report N purchases more, one by one, and time each from accepted to received",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options["json"]
        # disable=None: a bar in a terminal, silence in a log.
        bar = tqdm(unit=" people", disable=True if as_json else None, file=sys.stderr)
        bar.clear()

        def watch(ended: int, planned: int) -> None:
            bar.total = planned
            bar.update(ended - bar.n)

        def say(line: str) -> None:
            if not as_json:
                bar.clear()
                self.stdout.write(line)
                self.stdout.flush()

        try:
            figures = running.run(
                senders=options["senders"], say=say, watch=watch, latencies=options["latency"]
            )
        except DemoError as error:
            raise CommandError(str(error)) from None
        finally:
            bar.close()
        if as_json:
            self.stdout.write(json.dumps(figures.to_json()))
        else:
            self._show(figures)

    def _show(self, figures: Figures) -> None:
        self.stdout.write("")
        for name, label in _LABELS.items():
            value = getattr(figures, name)
            self.stdout.write(f"{value:>12,}  {label}")
            if name == "skipped":
                for reason, number in figures.skipped_by_reason.items():
                    self.stdout.write(f"{number:>12,}    {reason}")
        if found := figures.latency:
            self.stdout.write(f"{found.p50:>12.3f}  seconds from accepted event to request, median")
            self.stdout.write(f"{found.p95:>12.3f}  seconds, 95th percentile of {found.events}")
