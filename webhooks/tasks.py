"""Celery's part in sending: hints that shorten a wait. Lost or doubled, they change nothing."""

import time
from typing import Any, Final

from celery import shared_task

from qa_webhook import hints

# After an outage stale hints must evaporate, not stampede.
HINT_SECONDS: Final = hints.EXPIRES_SECONDS
DRAIN_SECONDS: Final = 20.0


def hint(webhook_id: int) -> None:
    """Say that something of a webhook may be due."""
    publish(drain_lane, webhook_id)


def publish(task: Any, *arguments: int) -> bool:
    """Publish a hint without ever failing or hanging its caller."""
    return hints.hint(task, *arguments)


@shared_task(ignore_result=True, expires=HINT_SECONDS)
def drain_lane(webhook_id: int) -> None:
    """Send what is due of one webhook for at most 20 s; then whoever is next in the queue."""
    from webhooks import engine

    until = time.monotonic() + DRAIN_SECONDS
    engine.drain(webhook_id=webhook_id, seconds=DRAIN_SECONDS)
    if time.monotonic() >= until:
        hint(webhook_id)


@shared_task(ignore_result=True, expires=HINT_SECONDS)
def hint_due() -> None:
    """Hint at what is due and nobody serves: a retry whose time has come, or whose hint was lost.

    Senders look by themselves; where only workers send, nobody else would.
    """
    from django.db import connection

    from webhooks import claiming, lanes

    with connection.cursor() as cursor:
        due, _now = claiming.due_webhooks(cursor)
    for webhook_id in lanes.unserved([each.id for each in due]):
        hint(webhook_id)
