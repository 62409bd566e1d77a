"""Taking work: a chunk or waiting messages of one webhook, under a lease."""

import json
import time
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.backends.utils import CursorWrapper

from identity import resolution
from webhooks.breaker import PROBES
from webhooks.work import ClaimedChunk, ClaimedMessage

# Claimed so often, a row is worked one by one, with the intent written first.
CAREFUL_CLAIMS: Final = 3
# Written into ``Message.claims`` before a careful message is opened.
INTENT: Final = 100
MESSAGES_AT_ONCE: Final = 200

# A webhook has its turn when something of it is due: longest not served first. OFFSET 0 keeps
# PostgreSQL from going through all of each active plan instead of what is due.
_DUE_WEBHOOKS: Final = """
SELECT * FROM (
    SELECT c.webhook_id, CASE WHEN c.breaker <> 'closed' THEN least(w.concurrency, %(probes)s)
        WHEN c.breaker_ramp > 0 THEN least(w.concurrency, c.breaker_ramp)
        ELSE w.concurrency END, EXISTS (
        SELECT 1 FROM (
            SELECT m.plan_id FROM webhooks_message m
            WHERE m.webhook_id = c.webhook_id AND m.due_at <= statement_timestamp()
                AND (m.lease_until IS NULL OR m.lease_until < clock_timestamp())
                AND (%(of_plans)s::bigint[] IS NULL OR m.plan_id = ANY(%(of_plans)s))
            OFFSET 0
        ) AS due
        WHERE EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = due.plan_id AND p.state = 'active')
    ) AS has_messages, EXISTS (
        SELECT 1 FROM (
            SELECT k.plan_id FROM webhooks_chunk k
            WHERE k.webhook_id = c.webhook_id AND k.unsent > 0 AND k.due_at <= statement_timestamp()
                AND (k.lease_until IS NULL OR k.lease_until < clock_timestamp())
                AND (%(of_plans)s::bigint[] IS NULL OR k.plan_id = ANY(%(of_plans)s))
            OFFSET 0
        ) AS due
        WHERE EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = due.plan_id AND p.state = 'active')
    ) AS has_chunks, clock_timestamp(), c.last_served
    FROM webhooks_webhookcontrol c
    JOIN webhooks_webhook w ON w.id = c.webhook_id
    JOIN workspaces_workspace s ON s.id = w.workspace_id
    WHERE c.state = 'active' AND s.sending_stopped_at IS NULL
        AND (c.breaker <> 'open' OR c.breaker_until <= clock_timestamp())
) AS found
WHERE has_messages OR has_chunks
ORDER BY last_served NULLS FIRST, webhook_id
"""

_CLAIM_CHUNK: Final = """
WITH due AS (
    SELECT k.id, k.lease IS NOT NULL AS was_open
    FROM webhooks_chunk k
    WHERE k.webhook_id = %(webhook)s AND k.unsent > 0 AND k.due_at <= statement_timestamp()
        AND (k.lease_until IS NULL OR k.lease_until < clock_timestamp())
        AND (%(of_plans)s::bigint[] IS NULL OR k.plan_id = ANY(%(of_plans)s))
        AND EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = k.plan_id AND p.state = 'active')
    ORDER BY k.due_at, k.id LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_chunk k SET lease = %(token)s, claims = k.claims + 1,
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM due WHERE k.id = due.id
RETURNING k.id, k.plan_id, k.day, k.qaids, k.events, k.states, k.claims, due.was_open,
    clock_timestamp()
"""

# Whatever a message waited for beyond its due time (a pause, a breaker, a limit) counts
# against nobody's expiry.
_CLAIM_MESSAGES: Final = """
WITH due AS (
    SELECT m.id, m.lease IS NOT NULL AS was_open
    FROM webhooks_message m
    WHERE m.webhook_id = %(webhook)s AND m.due_at <= statement_timestamp()
        AND (m.lease_until IS NULL OR m.lease_until < clock_timestamp())
        AND (%(of_plans)s::bigint[] IS NULL OR m.plan_id = ANY(%(of_plans)s))
        AND EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = m.plan_id AND p.state = 'active')
    ORDER BY m.due_at, m.id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_message m SET lease = %(token)s, claims = m.claims + 1,
    lease_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    attempts = m.attempts + due.was_open::int,
    expires_at = m.expires_at + (clock_timestamp() - m.due_at), due_at = clock_timestamp()
FROM due WHERE m.id = due.id
RETURNING m.id, m.plan_id, m.chunk_id, m.day, m.delivery_ids, m.positions, m.body, m.kind,
    m.attempts, m.first_attempt_at, m.expires_at, m.claims, m.splits, due.was_open,
    clock_timestamp()
"""

# The try whose outcome nobody knows takes a number, so that the ledger shows it.
_UNKNOWN_ATTEMPTS: Final = """
INSERT INTO webhooks_attempt
    (day, webhook_id, delivery_id, message_id, number, kind, at, outcome)
SELECT u.day, %s, u.delivery_id, u.message_id, u.number, 'unknown', clock_timestamp(), 'unknown'
FROM unnest(%s::date[], %s::text[], %s::text[], %s::int[])
    AS u (day, delivery_id, message_id, number)
ON CONFLICT DO NOTHING
"""


class DueWebhook(NamedTuple):
    """A webhook that something is due of."""

    id: int
    concurrency: int  # As much of it as the breaker allows.
    has_messages: bool
    has_chunks: bool


def due_webhooks(
    cursor: CursorWrapper, *, plan_ids: Sequence[int] | None = None
) -> tuple[list[DueWebhook], datetime | None]:
    """Return the webhooks that have something due, in the order of their turns; and the time.

    Args:
        plan_ids: look at these plans alone, here and when something is claimed.
    """
    cursor.execute(_DUE_WEBHOOKS, {"probes": PROBES, "of_plans": _listed(plan_ids)})
    rows = cursor.fetchall()
    return [DueWebhook(*row[:4]) for row in rows], rows[0][4] if rows else None


def claim_chunk(
    cursor: CursorWrapper,
    webhook_id: int,
    *,
    token: UUID,
    seconds: float,
    plan_ids: Sequence[int] | None = None,
) -> tuple[ClaimedChunk, float, datetime] | None:
    """Claim the chunk due longest; return it, when that began, and the database's time."""
    began = time.monotonic()
    cursor.execute(
        _CLAIM_CHUNK,
        {
            "webhook": webhook_id,
            "token": str(token),
            "seconds": seconds,
            "of_plans": _listed(plan_ids),
        },
    )
    row = cursor.fetchone()
    if row is None:
        return None
    chunk_id, plan_id, day, qaids, events, states, claims, was_open, now = row
    chunk = ClaimedChunk(
        chunk_id,
        plan_id,
        day,
        qaids,
        json.loads(events) if events else None,
        bytes(states),
        claims,
        was_open,
    )
    return chunk, began, now


def claim_messages(
    cursor: CursorWrapper,
    webhook_id: int,
    *,
    token: UUID,
    seconds: float,
    limit: int = MESSAGES_AT_ONCE,
    plan_ids: Sequence[int] | None = None,
) -> tuple[list[ClaimedMessage], float]:
    """Claim waiting messages that are due; a try that was open at a death becomes *unknown*."""
    began = time.monotonic()
    with transaction.atomic():
        cursor.execute(
            _CLAIM_MESSAGES,
            {
                "webhook": webhook_id,
                "token": str(token),
                "seconds": seconds,
                "limit": limit,
                "of_plans": _listed(plan_ids),
            },
        )
        messages, unknown = [], []
        for *values, was_open, _now in cursor.fetchall():
            message = ClaimedMessage(*values)._replace(body=bytes(values[6]))
            messages.append(message)
            if was_open:
                unknown += [
                    (message.day, delivery_id, message.id, message.attempts)
                    for delivery_id in message.delivery_ids
                ]
        record_unknown(cursor, webhook_id, unknown)
    return messages, began


def erased(cursor: CursorWrapper, messages: Sequence[ClaimedMessage]) -> set[str]:
    """Return the delivery ids of people who were erased while they waited for another try."""
    delivery_ids = [each for message in messages for each in message.delivery_ids]
    days = sorted({message.day for message in messages})
    cursor.execute(
        "SELECT id, qaid FROM webhooks_delivery WHERE day = ANY(%s) AND id = ANY(%s)",
        [days, delivery_ids],
    )
    qaids = dict(cursor.fetchall())
    forgotten = resolution.erased(cursor, list(qaids.values()))
    return {each for each, qaid in qaids.items() if qaid in forgotten}


def _listed(plan_ids: Sequence[int] | None) -> list[int] | None:
    return None if plan_ids is None else list(plan_ids)


def record_unknown(
    cursor: CursorWrapper, webhook_id: int, rows: Sequence[tuple[date, str, str, int]]
) -> None:
    """Write an attempt of unknown outcome for each (day, delivery id, message id, number)."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(_UNKNOWN_ATTEMPTS, [webhook_id, *columns])


def served(cursor: CursorWrapper, webhook_id: int) -> None:
    """Note that a webhook has had its turn."""
    cursor.execute(
        "UPDATE webhooks_webhookcontrol SET last_served = clock_timestamp() WHERE webhook_id = %s",
        [webhook_id],
    )


def hand_back_chunk(cursor: CursorWrapper, chunk_id: int, token: UUID, *, delay: float = 0) -> bool:
    """Give up a chunk of which nothing is open; it counts as never claimed."""
    cursor.execute(
        "UPDATE webhooks_chunk SET lease = NULL, lease_until = NULL,"
        " claims = greatest(claims - 1, 0), due_at = CASE WHEN %s > 0"
        " THEN clock_timestamp() + make_interval(secs => %s) ELSE due_at END"
        " WHERE id = %s AND lease = %s AND unsent > 0",
        [delay, delay, chunk_id, str(token)],
    )
    return bool(cursor.rowcount)


def hand_back_all(cursor: CursorWrapper, webhook_id: int, token: UUID) -> None:
    """Give up whatever a claim took whose answer never came; nothing of it was opened."""
    for table in ("webhooks_chunk", "webhooks_message"):
        cursor.execute(
            f"UPDATE {table} SET lease = NULL, lease_until = NULL,"
            " claims = greatest(claims - 1, 0) WHERE webhook_id = %s AND lease = %s",
            [webhook_id, str(token)],
        )


def hand_back_messages(cursor: CursorWrapper, message_ids: list[str], token: UUID) -> None:
    """Give up messages that were not opened."""
    cursor.execute(
        "UPDATE webhooks_message SET lease = NULL, lease_until = NULL,"
        " claims = greatest(claims - 1, 0) WHERE id = ANY(%s) AND lease = %s",
        [message_ids, str(token)],
    )
