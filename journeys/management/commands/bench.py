import json
import os
import platform
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

# How many people each is about, unless told otherwise.
PEOPLE = {
    "pipeline": 100_000,
    "scale": 1_000_000,
    "batch": 300_000,
    "latency": 150_000,
    "neighbour": 200_000,
    "events": 20_000,
    "pages": 23_570,
}

HELP = """Measure the product on this machine, in one run.

Works in a database of its own, which is dropped afterwards: no real data is read or
touched. Needs the owner's right to create databases, and wrk for its ceiling.

  pipeline   people a second with two senders, receiver and database on this machine;
             in the same run one Celery task a person, tuned, and wrk on the same receiver
  scale      the rate at a million people beside that at 10,000; memory meanwhile
  batch      fifty people a message beside one
  latency    a receiver that takes 50 ms, beside what its open requests allow
  neighbour  seconds from due to sent, alone and beside a webhook that hangs with 200,000 people
  events     seconds from an event's report to its request, at 500 events a second
  pages      milliseconds of each page and of its parts, after a journey was sent to so many

Examples:
  manage.py bench pipeline --json
  manage.py bench scale --people 200000 --json
  manage.py bench pages --people 1000000 --json
"""


class _Formatter(RawDescriptionHelpFormatter):
    """Keep the help's own lines."""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=_Formatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="pipeline", choices=list(PEOPLE))
        defaults = ", ".join(f"{name} {people}" for name, people in PEOPLE.items())
        parser.add_argument("--people", type=int, help=f"how many (default: {defaults})")
        parser.add_argument(
            "--naive-people", type=int, default=2_000, help="how many for the obvious design"
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON alone")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from benchmarks import event_latency, neighbour, pages, pipeline, rates
        except ModuleNotFoundError:
            raise CommandError("The directory benchmarks/ is not installed here.") from None
        people = PEOPLE[options["name"]] if options["people"] is None else options["people"]
        if people < 1:
            raise CommandError("--people must be 1 or more.")
        say = (lambda line: None) if options["as_json"] else self.stderr.write
        measures = {
            "scale": rates.scale,
            "batch": rates.batch,
            "latency": rates.latency,
            "neighbour": neighbour.run,
            "events": event_latency.run,
            "pages": pages.run,
        }
        if options["name"] == "pipeline":
            figures = pipeline.run(people=people, naive_people=options["naive_people"], say=say)
        else:
            figures = measures[options["name"]](people=people, say=say)
        figures["machine"] = {
            "processors": os.cpu_count(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
        }
        self.stdout.write(json.dumps(figures, indent=None if options["as_json"] else 2))
