"""The one way into the engine: chunks of people for a plan."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from django.db import connection, transaction
from psycopg2.extras import Json, execute_values

from webhooks import partitions, tasks
from webhooks.models import Plan, Webhook

# Of messages to one person each. Batches are gone sooner: there a claim is worth more people.
CHUNK_PEOPLE: Final = 500
BATCH_CHUNK_MESSAGES: Final = 40
BATCH_CHUNK_PEOPLE: Final = 2_000

_INSERT: Final = """
INSERT INTO webhooks_chunk (workspace_id, webhook_id, plan_id, number, day, qaids, events, states,
    due_at, claims, size, queued, delivered, dead, expired, cancelled, skipped, uncertain, unsent,
    unadvanced, tallies)
SELECT {workspace}, {webhook}, {plan}, v.number, '{day}', v.qaids, v.events,
    decode(repeat('00', v.size), 'hex'), v.due_at, 0, v.size, v.size, 0, 0, 0, 0, 0, 0, v.size,
    0, '{{}}'
FROM (VALUES %s) AS v (number, qaids, events, due_at, size)
ON CONFLICT (plan_id, number) DO NOTHING
RETURNING size
"""


class NewChunk(NamedTuple):
    """People to send to; the same ``number`` of a plan is planned once, whatever it holds."""

    number: int
    qaids: Sequence[int]
    # One ``{"id": event id, "attributes": {…}}`` a person, for event starts.
    events: Sequence[Mapping[str, Any]] | None = None
    # When it may be sent, if not at once.
    due_at: datetime | None = None


def chunk_people(webhook: Webhook) -> int:
    """Return how many people a chunk of this webhook holds: whole messages, 500 people or more."""
    size = webhook.batch_size
    wanted = max(CHUNK_PEOPLE, min(BATCH_CHUNK_MESSAGES * size, BATCH_CHUNK_PEOPLE))
    return -(-wanted // size) * size


def submit(*, plan: Plan, chunks: Sequence[NewChunk], now: datetime) -> int:
    """Plan chunks; return the number of people in those that are new.

    Part of the caller's transaction: the caller's checkpoint and the chunks are seen
    together or not at all. A chunk whose number the plan has already is left alone.

    Raises:
        NoPartition: today's partition is missing.
    """
    rows = [
        (
            chunk.number,
            list(chunk.qaids),
            Json(list(chunk.events)) if chunk.events is not None else None,
            chunk.due_at or now,
            len(chunk.qaids),
        )
        for chunk in chunks
        if chunk.qaids
    ]
    if not rows:
        return 0
    day = partitions.day_of(now)
    partitions.require(day)
    statement = _INSERT.format(
        workspace=int(plan.workspace_id), webhook=int(plan.webhook_id), plan=int(plan.pk), day=day
    )
    with connection.cursor() as cursor, connection.wrap_database_errors:
        sizes = execute_values(
            cursor.cursor,
            statement,
            rows,
            template="(%s, %s::bigint[], %s::jsonb, %s::timestamptz, %s)",
            page_size=200,
            fetch=True,
        )
    transaction.on_commit(partial(tasks.hint, plan.webhook_id))
    return sum(size for (size,) in sizes)
