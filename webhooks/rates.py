"""Requests a second, exact over all senders: one bucket a webhook, by the database's clock."""

from typing import Final

from django.db import connection

# The bucket holds a fifth of a second, so that no second carries much more than its rate.
BURST_SECONDS: Final = 0.2

_TAKE: Final = """
WITH filled AS (
    SELECT webhook_id, least(%(burst)s, tokens + %(rate)s * extract(epoch FROM
        clock_timestamp() - coalesce(tokens_at, clock_timestamp() - interval '1 day'))) AS level
    FROM webhooks_webhookcontrol WHERE webhook_id = %(webhook)s FOR UPDATE
)
UPDATE webhooks_webhookcontrol c SET tokens_at = clock_timestamp(),
    tokens = filled.level - least(floor(filled.level), %(wanted)s)
FROM filled WHERE c.webhook_id = filled.webhook_id
RETURNING least(floor(filled.level), %(wanted)s)
"""


def take(webhook_id: int, *, rate: int, wanted: int) -> int:
    """Return how many of the wanted requests may go out now; waiting for more uses no attempt."""
    burst = max(1.0, rate * BURST_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE, {"webhook": webhook_id, "rate": rate, "burst": burst, "wanted": wanted}
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0
