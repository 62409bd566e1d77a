"""Celery's part in sending: hints that shorten a wait. Lost or doubled, they change nothing."""

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
    """Send what is due of one webhook for at most 20 s."""
    from webhooks import engine

    engine.drain(webhook_id=webhook_id, seconds=DRAIN_SECONDS)
