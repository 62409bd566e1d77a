"""Check everything an operator would check, and say what to do next."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from qa_webhook import checkup
from qa_webhook.checkup import Finding, Level
from workspaces.management.base import KeepLines

HELP = """Check the installation, and say for each finding what to do next.

Database and its role, migrations, partitions ahead, broker, cache, clock, every stored secret,
live processes, the scheduler, queues, open transactions, lost claims, disk. It changes nothing.
Ends with 1 when something fails, else with 0; what is only a warning goes on working.

Examples:
  manage.py doctor
  manage.py doctor --json | jq '.[] | select(.level != "ok")'
"""


class Command(BaseCommand):
    help = HELP
    requires_system_checks: list[str] = []  # What they would stop at is to be told here.

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=KeepLines, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")

    def handle(self, *args: Any, as_json: bool = False, **options: Any) -> None:
        found: list[Finding] = []
        for finding in checkup.findings():
            found.append(finding)
            if not as_json:
                self._show(finding)
        if as_json:
            self.stdout.write(
                json.dumps([each.as_json() for each in found], ensure_ascii=False, indent=2)
            )
        if any(each.level == Level.FAIL for each in found):
            sys.exit(1)

    def _show(self, finding: Finding) -> None:
        style = {
            Level.OK: self.style.SUCCESS,
            Level.WARN: self.style.WARNING,
            Level.FAIL: self.style.ERROR,
        }[finding.level]
        self.stdout.write(f"{style(f'{finding.level:<4}')}  {finding.check:<12}  {finding.found}")
        if finding.todo:
            self.stdout.write(f"{'':<20}{finding.todo}")
