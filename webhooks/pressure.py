"""Back-pressure: how many people may wait for a webhook before nobody is planned for it."""

from collections.abc import Iterable
from typing import Final

from django.db import connection

# The high-water mark: so many people, or what the webhook's rate takes in so many seconds.
PEOPLE_AT_LEAST: Final = 50_000
SECONDS: Final = 60
# Rows that are summed up; a queue of more chunks is full however few people each holds. Who is
# held back, or waits in a paused run, stands in nobody's way and is not counted.
_CHUNKS_AT_MOST: Final = 20_000

_FULL: Final = """
SELECT w.id FROM webhooks_webhook w CROSS JOIN LATERAL (
    SELECT count(*) AS chunks, coalesce(sum(found.unsent), 0) AS people FROM (
        SELECT k.unsent FROM webhooks_chunk k
        WHERE k.webhook_id = w.id AND k.unsent > 0 AND k.due_at <= statement_timestamp()
            AND EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = k.plan_id AND p.state = 'active')
        LIMIT %(chunks)s
    ) found
) waiting
WHERE w.id = ANY(%(webhooks)s) AND (waiting.chunks = %(chunks)s OR waiting.people
    >= greatest(%(people)s, %(seconds)s::bigint * coalesce(w.rate_per_second, 0) * w.batch_size))
"""


def full(webhook_ids: Iterable[int]) -> set[int]:
    """Return those for which enough people wait: whoever else is to come waits where they are."""
    asked = sorted(set(webhook_ids))
    if not asked:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            _FULL,
            {
                "webhooks": asked,
                "people": PEOPLE_AT_LEAST,
                "seconds": SECONDS,
                "chunks": _CHUNKS_AT_MOST,
            },
        )
        return {webhook_id for (webhook_id,) in cursor.fetchall()}
