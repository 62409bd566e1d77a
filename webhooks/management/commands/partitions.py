from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from webhooks import partitions


class Command(BaseCommand):
    help = (
        "Make the days ahead that deliveries are planned on (the scheduler does the same), and "
        "with --keep-days drop older ones whole. Example: manage.py partitions --keep-days 90"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--keep-days", type=int, help="drop deliveries older than this")
        parser.add_argument("--dry-run", action="store_true", help="say what would be dropped")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        made = partitions.ensure_ahead(now=now)
        self.stdout.write(f"{made} days made.")
        keep = options["keep_days"]
        if keep is None:
            return
        if keep < 1:
            raise CommandError("--keep-days must be 1 or more.")
        day = partitions.day_of(now) - timedelta(days=keep)
        if options["dry_run"]:
            days = partitions.before(day=day)
            self.stdout.write(f"{len(days)} days would be dropped.")
            return
        days = partitions.drop_before(day=day)
        self.stdout.write(f"{len(days)} days dropped.")
