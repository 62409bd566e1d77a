"""The hourly upkeep, over all apps."""

import os

from celery import shared_task
from django.core.management import call_command
from django.utils import timezone

import identity.ingestion
import identity.partitions
import webhooks.partitions
import webhooks.usage_ends
from workspaces import mailing
from workspaces.heartbeats import Heart


@shared_task(ignore_result=True)
def upkeep() -> None:
    """Make the partitions of the time ahead, and clear or tell what runs out; at any time."""
    now = timezone.now()
    webhooks.partitions.ensure_ahead(now=now)
    identity.partitions.ensure_ahead(now=now)
    identity.ingestion.prune(now=now)
    webhooks.usage_ends.tell(now=now)
    call_command("clearsessions")


@shared_task(ignore_result=True)
def mail_notices() -> None:
    """Mail what stands unread behind the bell, where mail is set up."""
    mailing.send_due(now=timezone.now())


@shared_task(ignore_result=True)
def tick() -> None:
    """Write down that a tick of the scheduler came through, and which worker took it."""
    Heart("worker", pid=os.getppid(), is_new=False).beat()  # Not the child's, which changes.
