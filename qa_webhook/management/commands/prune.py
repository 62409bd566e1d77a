"""Let go of what is older than it has to be kept."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from qa_webhook import retention
from qa_webhook.retention import Ages
from workspaces import audit
from workspaces.choices import Via
from workspaces.management.base import KeepLines

HELP = """Let go of what is older than it has to be kept.

Deliveries and attempts by whole days, events by whole months, then test sends (the last one of
each webhook stays), notices and ended sessions. 0 keeps a kind for ever; what is not given comes
from KEEP_DELIVERY_DAYS, KEEP_EVENT_MONTHS, KEEP_TEST_DAYS and KEEP_NOTICE_DAYS. A day with people
who still wait stays. What went is gone: it is not shown, cannot be sent again, and its receipts
are not known any more. The counts of runs stay, and the audit trail tells what went of deliveries,
events and test sends. Run it daily, from cron or a timer.

Examples:
  manage.py prune --dry-run
  manage.py prune --delivery-days 90 --event-months 13
"""
KINDS = ("delivery_days", "event_months", "test_days", "notice_days")


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=KeepLines, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        for kind in KINDS:
            parser.add_argument(
                f"--{kind.replace('_', '-')}", type=int, metavar="N", help="0 keeps them for ever"
            )
        parser.add_argument("--dry-run", action="store_true", help="say what would go")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")

    @audit.through(Via.COMMAND)
    def handle(self, *args: Any, dry_run: bool, as_json: bool, **options: Any) -> None:
        kept = {
            kind: getattr(settings, f"KEEP_{kind.upper()}")
            if options[kind] is None
            else options[kind]
            for kind in KINDS
        }
        rows = []
        for pruned in retention.prune(Ages(**kept), now=timezone.now(), dry_run=dry_run):
            rows.append({"what": pruned.what, "number": pruned.number, "names": pruned.names})
            if not as_json:
                names = f": {', '.join(pruned.names)}" if pruned.names else ""
                went = "would go" if dry_run else "gone"
                self.stdout.write(f"{pruned.number:,} {pruned.what} {went}{names}")
        if as_json:
            self.stdout.write(json.dumps(rows))
