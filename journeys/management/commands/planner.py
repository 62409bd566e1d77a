import signal
import threading
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from journeys import runner
from journeys.runner import Swept
from workspaces import clock

HELP = """Start runs, let people into event journeys, hand them on, end what is done.

Works from rows in PostgreSQL alone, five times a second, so any number of planners on any
number of machines share the work, with or without a broker. Ctrl-C or SIGTERM ends it after
the transaction that is open; kill -9 loses nothing and doubles nothing either.

Examples:
  manage.py planner
  manage.py planner --once          do what is to be done now, then end (for a script)
"""


class _Formatter(RawDescriptionHelpFormatter):
    """Keep the help's own lines."""


class Command(BaseCommand):
    help = HELP
    requires_system_checks: list[str] = []  # It starts again and again; `make check` has asked.

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=_Formatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when nothing is left to do")

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        if once:
            while not (swept := runner.sweep(now=clock.now())).is_idle:
                self._tell(swept)
            return
        stopping = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        runner.run(
            is_stopping=stopping.is_set,
            wait=stopping.wait,
            on_sweep=self._tell if options["verbosity"] > 1 else lambda swept: None,
        )

    def _tell(self, swept: Swept) -> None:
        done = {name: getattr(swept, name) for name in swept.__slots__}
        self.stdout.write(", ".join(f"{value:,} {name}" for name, value in done.items() if value))
