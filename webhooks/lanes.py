"""Lanes: the slots in which a webhook's requests may be open, over all senders.

A lane is a slot, not an owner. Whoever holds one may claim any due chunk or message of its
webhook and have as many requests open as the lane carries, so the sum over all senders
never passes the webhook's concurrency, and one webhook cannot use up another's.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import connection

# One webhook's requests are spread over at most so many senders.
LANES_AT_MOST: Final = 16
# Below this a lane is not worth its rows.
SLOTS_AT_LEAST: Final = 8
# After so long a lane goes back, so that senders take turns.
DRAIN_SECONDS: Final = 20.0

_TAKE: Final = """
WITH free AS (
    SELECT id FROM webhooks_lane
    WHERE webhook_id = %(webhook)s AND number < %(count)s
        AND (lease IS NULL OR lease_until < clock_timestamp())
    ORDER BY number LIMIT %(wanted)s FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_lane l SET lease = %(token)s, last_served = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM free WHERE l.id = free.id RETURNING l.number
"""


def count_of(concurrency: int) -> int:
    """Return how many lanes a webhook has."""
    return max(1, min(LANES_AT_MOST, concurrency // SLOTS_AT_LEAST))


def slots_of(concurrency: int, numbers: Sequence[int]) -> int:
    """Return how many requests the holder of these lanes may have open."""
    if concurrency < 1:
        return 0
    count = count_of(concurrency)
    share, rest = divmod(concurrency, count)
    return sum(share + (number < rest) for number in numbers if number < count)


def take(
    webhook_id: int, *, concurrency: int, wanted: int, token: UUID, seconds: float
) -> list[int]:
    """Take up to ``wanted`` free lanes of a webhook; return their numbers."""
    count = count_of(concurrency)
    values: dict[str, str | int | float] = {
        "webhook": webhook_id,
        "count": count,
        "wanted": wanted,
        "token": str(token),
        "seconds": seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, values)
        taken = [number for (number,) in cursor.fetchall()]
        if not taken:
            # Lanes are made when they are first wanted.
            cursor.execute(
                "INSERT INTO webhooks_lane (webhook_id, number)"
                " SELECT %s, number FROM generate_series(0, %s) number"
                " WHERE NOT EXISTS (SELECT 1 FROM webhooks_lane l"
                "  WHERE l.webhook_id = %s AND l.number = number.number)"
                " ON CONFLICT DO NOTHING",
                [webhook_id, count - 1, webhook_id],
            )
            if cursor.rowcount:
                cursor.execute(_TAKE, values)
                taken = [number for (number,) in cursor.fetchall()]
    return taken


def unserved(webhook_ids: Sequence[int]) -> list[int]:
    """Return those of which nobody holds a lane, in their order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT webhook_id FROM webhooks_lane"
            " WHERE webhook_id = ANY(%s) AND lease_until >= clock_timestamp()",
            [list(webhook_ids)],
        )
        served = {webhook_id for (webhook_id,) in cursor.fetchall()}
    return [each for each in webhook_ids if each not in served]


def give_back(webhook_id: int, token: UUID) -> None:
    """Return all lanes of a webhook that are held under this token."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_lane SET lease = NULL, lease_until = NULL"
            " WHERE webhook_id = %s AND lease = %s",
            [webhook_id, str(token)],
        )
