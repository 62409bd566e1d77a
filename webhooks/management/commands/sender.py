import contextlib
import gc
import os
import signal
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from webhooks import engine
from webhooks.lines import Options

HELP = """Send what is due, until it is stopped.

The truth is in PostgreSQL: any number of senders on any number of machines share the work,
with or without a broker. Ctrl-C or SIGTERM lets what is open end, records it and hands the
rest back; kill -9 loses nothing either, its share is taken over when its leases end.

Examples:
  manage.py sender
  manage.py sender --processes 4
  manage.py sender --once          send what is due now, then end (for a script)
"""

# Thousands of people are in hand at a time and none of them in a cycle: looking for cycles as
# often as Python does by itself costs a tenth of a sender's time.
GC_THRESHOLDS = (50_000, 20, 100)
# A child that dies is started again after this.
RESTART_SECONDS = 1.0


class _Formatter(RawDescriptionHelpFormatter):
    """Keep the help's own lines."""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=_Formatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--processes", type=int, default=1, help="how many to run (default 1)")
        parser.add_argument("--seconds", type=float, help="end after so long")
        parser.add_argument("--once", action="store_true", help="end when nothing is due")
        parser.add_argument("--webhook", type=int, metavar="ID", help="serve this webhook alone")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1:
            raise CommandError("--processes must be 1 or more.")
        if options["processes"] == 1:
            self._send(options, parent=None)
        else:
            self._supervise(options)

    def _send(self, options: dict[str, Any], *, parent: int | None) -> None:
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        sender = engine.Sender(options=Options.of_settings(), webhook_id=options["webhook"])
        if parent is not None:
            sender.is_wanted = lambda: os.getppid() == parent

        def stop(number: int, frame: FrameType | None) -> None:
            sender.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if options["once"]:
            settled = sender.drain(seconds=options["seconds"] or float("inf"))
            self.stdout.write(f"{settled} people settled.")
            return
        sender.run(seconds=options["seconds"])

    # --- Several processes ------------------------------------------------------------------------

    def _supervise(self, options: dict[str, Any]) -> None:
        """Fork before any connection is open, so that the children share this process's memory."""
        connections.close_all()
        gc.collect()
        gc.freeze()
        self._is_stopping = False
        self._children: dict[int, float] = {}
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for _ in range(options["processes"]):
            self._fork(options)
        while self._children:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                break
            self._children.pop(pid, None)
            if self._is_stopping or options["once"] or options["seconds"]:
                continue
            code = os.waitstatus_to_exitcode(status)
            self.stderr.write(f"A sender ended with {code}; starting it again.")
            time.sleep(RESTART_SECONDS)
            if not self._is_stopping:
                self._fork(options)

    def _fork(self, options: dict[str, Any]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = time.monotonic()
            return
        code = 1
        try:
            self._send(options, parent=parent)
            code = 0
        finally:
            connections.close_all()
            self.stdout.flush()
            # No exit handlers: they belong to the parent.
            os._exit(code)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
