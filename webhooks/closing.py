"""Ending whole chunks unsent, cancelled or too late: bytes only, the ledger reads the chunk."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from webhooks import rows, states
from webhooks.choices import DeliveryState, PlanState, StateByte
from webhooks.models import Plan
from webhooks.signals import deliveries_settled
from webhooks.states import ChunkStates

CHUNKS_AT_ONCE: Final = 50

# A dead holder's chunk is closed when its lease ends.
_TO_CANCEL: Final = """
SELECT c.id FROM webhooks_chunk c
WHERE c.plan_id = %s AND c.queued > 0
    AND (c.unsent = 0 OR c.lease_until IS NULL OR c.lease_until < clock_timestamp())
    AND NOT EXISTS (SELECT 1 FROM webhooks_message m
        WHERE m.chunk_id = c.id AND m.lease_until >= clock_timestamp())
ORDER BY c.id LIMIT %s
"""


def close_cancelled() -> int:
    """End everybody of cancelled plans who is in nobody's hands; return how many people."""
    closed = 0
    plans = Plan.objects.filter(state=PlanState.CANCELLED, closed_at__isnull=True)
    for plan_id in list(plans.values_list("pk", flat=True)):
        closed += _close_plan(plan_id)
    return closed


def _close_plan(plan_id: int) -> int:
    closed = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_TO_CANCEL, [plan_id, CHUNKS_AT_ONCE])
            found = [chunk_id for (chunk_id,) in cursor.fetchall()]
            if not found:
                break
            for chunk in states.lock(cursor, found).values():
                if chunk.is_leased and chunk.positions(StateByte.QUEUED):
                    continue  # Claimed since we looked.
                closed += _cancel(cursor, chunk)
                chunk.store(cursor)
        deliveries_settled.send(sender=Plan, plan_ids=[plan_id], chunk_ids=found)
        if len(found) < CHUNKS_AT_ONCE:
            break
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_plan SET closed_at = %s WHERE id = %s AND NOT EXISTS ("
            "SELECT 1 FROM webhooks_chunk WHERE plan_id = %s AND queued > 0)",
            [timezone.now(), plan_id, plan_id],
        )
    return closed


def _cancel(cursor: CursorWrapper, chunk: ChunkStates) -> int:
    cursor.execute(
        "DELETE FROM webhooks_message WHERE chunk_id = %s RETURNING day, delivery_ids", [chunk.id]
    )
    for day, delivery_ids in cursor.fetchall():
        cursor.execute(
            "UPDATE webhooks_delivery SET state = %s, reason = 'cancelled',"
            " updated_at = clock_timestamp()"
            " WHERE day = %s AND id = ANY(%s::text[]) AND state = 'queued'",
            [DeliveryState.CANCELLED, day, rows.words(delivery_ids)],
        )
    places = chunk.positions(StateByte.QUEUED, StateByte.WAITING)
    for place in places:
        chunk.move(place, StateByte.CANCELLED, "cancelled")
    return len(places)


def close_held(chunk_id: int, token: UUID, *, to: StateByte, reason: str) -> int:
    """End everybody of a chunk we hold who has not been sent to; return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        chunk = states.lock(cursor, [chunk_id]).get(chunk_id)
        if chunk is None or chunk.lease != str(token):
            return 0
        places: Sequence[int] = chunk.positions(StateByte.QUEUED)
        for place in places:
            chunk.move(place, to, reason)
        chunk.store(cursor)
        plan_id = chunk.plan_id
    deliveries_settled.send(sender=Plan, plan_ids=[plan_id], chunk_ids=[chunk_id])
    return len(places)
