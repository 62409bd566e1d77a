"""Holding people who wait back until they are released, and ending their waiting for good.

Held is a due time a thousand years off, on the chunk or the message that holds the people: no
claim finds it, every count stays as it is, and taking the years off again gives everybody the
same place in the queue; a claim adds what they waited beyond it to their expiry, as always.
Rows under a lease are in a sender's hands and left alone: those people are sent to, or come back
and can be held then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from webhooks import rows, states, tasks
from webhooks.choices import DeliveryState, StateByte
from webhooks.models import Plan, Webhook
from webhooks.signals import deliveries_settled
from workspaces import audit, permissions
from workspaces.permissions import Point

if TYPE_CHECKING:
    from workspaces.models import User, Workspace

YEARS: Final = timedelta(days=365_250)
# Whatever is due after this is held.
HELD_AFTER: Final = datetime(2900, 1, 1, tzinfo=UTC)
GIVEN_UP: Final = "given_up"
CHUNKS_AT_ONCE: Final = 50
MESSAGES_AT_ONCE: Final = 2_000

_CHOSEN: Final = """
{row}.workspace_id = %(workspace)s
    AND (%(webhook)s::bigint IS NULL OR {row}.webhook_id = %(webhook)s)
    AND (%(plans)s::bigint[] IS NULL OR {row}.plan_id = ANY(%(plans)s))
    AND EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = {row}.plan_id AND p.state <> 'cancelled')
"""
# Whoever was not tried yet has no error, so an error class chooses among messages alone.
_CHUNKS: Final = f"k.unsent > 0 AND %(reason)s::text IS NULL AND {_CHOSEN.format(row='k')}"
_MESSAGES: Final = f"""{_CHOSEN.format(row="m")}
    AND (%(reason)s::text IS NULL OR EXISTS (SELECT 1 FROM webhooks_delivery d
        WHERE d.day = m.day AND d.id = ANY(m.delivery_ids) AND d.reason = %(reason)s))
"""
_COUNT: Final = f"""
SELECT coalesce(sum(people), 0), coalesce(sum(people) FILTER (WHERE is_held), 0),
    coalesce(sum(people) FILTER (WHERE is_leased), 0)
FROM (
    SELECT k.unsent AS people, k.due_at > %(held)s AS is_held, k.lease IS NOT NULL AS is_leased
    FROM webhooks_chunk k WHERE {_CHUNKS}
    UNION ALL
    SELECT cardinality(m.positions), m.due_at > %(held)s, m.lease IS NOT NULL
    FROM webhooks_message m WHERE {_MESSAGES}
) AS waiting
"""
_HOLD: Final = (
    f"""
WITH chosen AS (
    SELECT k.id FROM webhooks_chunk k
    WHERE {_CHUNKS} AND k.lease IS NULL AND k.due_at <= %(held)s
    ORDER BY k.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_chunk k SET due_at = k.due_at + %(years)s FROM chosen WHERE k.id = chosen.id
RETURNING k.unsent
""",
    f"""
WITH chosen AS (
    SELECT m.id FROM webhooks_message m
    WHERE {_MESSAGES} AND m.lease IS NULL AND m.due_at <= %(held)s
    ORDER BY m.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_message m SET due_at = m.due_at + %(years)s
FROM chosen WHERE m.id = chosen.id RETURNING cardinality(m.positions)
""",
)
_RELEASE: Final = (
    f"""
WITH chosen AS (
    SELECT k.id FROM webhooks_chunk k
    WHERE {_CHUNKS} AND k.due_at > %(held)s
    ORDER BY k.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_chunk k SET due_at = k.due_at - %(years)s FROM chosen WHERE k.id = chosen.id
RETURNING k.unsent
""",
    f"""
WITH chosen AS (
    SELECT m.id FROM webhooks_message m
    WHERE {_MESSAGES} AND m.due_at > %(held)s
    ORDER BY m.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_message m SET due_at = m.due_at - %(years)s
FROM chosen WHERE m.id = chosen.id RETURNING cardinality(m.positions)
""",
)
_TO_END: Final = f"""
SELECT id FROM (
    SELECT k.id FROM webhooks_chunk k WHERE {_CHUNKS} AND k.lease IS NULL
    UNION
    SELECT m.chunk_id FROM webhooks_message m WHERE {_MESSAGES} AND m.lease IS NULL
) AS found WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many people of a selection wait, and how many of them are held or in a sender's hands."""

    people: int
    held: int
    in_hands: int


def due_at(moment: datetime) -> datetime:
    """Return when something is due that may be held: without the years."""
    return moment - YEARS if moment > HELD_AFTER else moment


def selection(
    *,
    webhook: Webhook | None = None,
    plan_ids: Sequence[int] | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return which waiting people are meant.

    Args:
        plan_ids: of a run, or of one step of it.
        reason: how the last try ended, like ``status_503``; who was not tried is left out.

    Raises:
        ValidationError: nothing narrows the choice.
    """
    if webhook is None and plan_ids is None:
        raise ValidationError(_("Choose a run or a webhook."), "nothing")
    return {
        "webhook": webhook.pk if webhook else None,
        "plans": list(plan_ids) if plan_ids is not None else None,
        "reason": reason,
    }


def count(workspace: "Workspace", chosen: Mapping[str, Any]) -> Waiting:
    """Return how many people a selection holds now."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, _values(workspace, chosen))
        return Waiting(*map(int, cursor.fetchone()))


def hold(*, workspace: "Workspace", actor: "User | None", chosen: Mapping[str, Any]) -> int:
    """Let people wait until they are released; return how many. It counts against no expiry."""
    return _move(_HOLD, "held", workspace, actor, chosen)


def release(*, workspace: "Workspace", actor: "User | None", chosen: Mapping[str, Any]) -> int:
    """Let held people go on at the place where they were; return how many."""
    released = _move(_RELEASE, "released", workspace, actor, chosen)
    if webhook_id := chosen["webhook"]:
        tasks.hint(webhook_id)
    return released


def expire(
    *,
    workspace: "Workspace",
    actor: "User | None",
    chosen: Mapping[str, Any],
    on_people: Callable[[int], None] = lambda done: None,
) -> int:
    """End people who wait as expired, held or not; return how many.

    Args:
        on_people: told now and then how many have been ended.
    """
    _require(actor, workspace)
    values = _values(workspace, chosen) | {"limit": CHUNKS_AT_ONCE, "after": 0}
    ended = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_TO_END, values)
            found = [chunk_id for (chunk_id,) in cursor.fetchall()]
        if not found:
            break
        ended += _end(found, values)
        on_people(ended)
        values["after"] = found[-1]
    _record(workspace, actor, "given_up", chosen, ended)
    return ended


def _require(actor: "User | None", workspace: "Workspace") -> None:
    if actor is not None:
        permissions.require(actor, workspace, Point.WEBHOOK_MANAGEMENT)


def _values(workspace: "Workspace", chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **chosen,
        "workspace": workspace.pk,
        "held": HELD_AFTER,
        "years": YEARS,
        "limit": MESSAGES_AT_ONCE,
    }


def _move(
    statements: Sequence[str],
    act: str,
    workspace: "Workspace",
    actor: "User | None",
    chosen: Mapping[str, Any],
) -> int:
    """Change row after row, in short transactions; what is changed is not found again."""
    _require(actor, workspace)
    people = 0
    for statement in statements:
        while True:
            with connection.cursor() as cursor:
                cursor.execute(statement, _values(workspace, chosen))
                moved = cursor.fetchall()
            if not moved:
                break
            people += sum(number for (number,) in moved)
    _record(workspace, actor, act, chosen, people)
    return people


def _end(chunk_ids: Sequence[int], values: Mapping[str, Any]) -> int:
    """End who waits in these chunks, unless somebody took them since we looked."""
    ended = 0
    plan_ids = set()
    with transaction.atomic(), connection.cursor() as cursor:
        for chunk in states.lock(cursor, chunk_ids).values():
            plan_ids.add(chunk.plan_id)
            if chunk.lease is None and values["reason"] is None:
                places = chunk.positions(StateByte.QUEUED)
            else:
                places = []
            cursor.execute(
                f"DELETE FROM webhooks_message m WHERE m.chunk_id = %(chunk)s AND m.lease IS NULL"
                f" AND {_MESSAGES} RETURNING m.day, m.delivery_ids, m.positions",
                {**values, "chunk": chunk.id},
            )
            for day, delivery_ids, positions in cursor.fetchall():
                cursor.execute(
                    "UPDATE webhooks_delivery SET state = %s, reason = %s,"
                    " updated_at = clock_timestamp()"
                    " WHERE day = %s AND id = ANY(%s::text[]) AND state = 'queued'",
                    [DeliveryState.EXPIRED, GIVEN_UP, day, rows.words(delivery_ids)],
                )
                places += positions
            for place in places:
                chunk.move(place, StateByte.EXPIRED, GIVEN_UP)
            chunk.store(cursor)
            ended += len(places)
        transaction.on_commit(
            partial(
                deliveries_settled.send,
                sender=Plan,
                plan_ids=sorted(plan_ids),
                chunk_ids=list(chunk_ids),
            )
        )
    return ended


def _record(
    workspace: "Workspace",
    actor: "User | None",
    act: str,
    chosen: Mapping[str, Any],
    people: int,
) -> None:
    webhook = Webhook.objects.filter(pk=chosen["webhook"]).first() if chosen["webhook"] else None
    audit.record(
        actor=actor,
        workspace=workspace,
        action=f"delivery.{act}",
        obj=webhook or workspace,
        changes={"selection": dict(chosen), "people": people},
    )
