"""The hourly upkeep of the database, over all apps."""

from celery import shared_task
from django.core.management import call_command
from django.utils import timezone

import identity.ingestion
import identity.partitions
import webhooks.partitions


@shared_task(ignore_result=True)
def upkeep() -> None:
    """Make the partitions of the time ahead, and clear what has run out. May run at any time."""
    now = timezone.now()
    webhooks.partitions.ensure_ahead(now=now)
    identity.partitions.ensure_ahead(now=now)
    identity.ingestion.prune(now=now)
    call_command("clearsessions")
