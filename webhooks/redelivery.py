"""Sending again what has ended: a durable job with a checkpoint, worked by the senders."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from webhooks import grants, ids, plans, preparing, rebuilding, rows, states, tasks
from webhooks.choices import AttemptKind, DeliveryState, PlanState, StateByte
from webhooks.models import Plan, Redelivery, Webhook
from webhooks.rendering import SizeError
from webhooks.work import Recipient, Waiting
from workspaces import audit, permissions
from workspaces.permissions import Point

if TYPE_CHECKING:
    from workspaces.models import User, Workspace

log = structlog.get_logger(__name__)

# What a person may send again; ``uncertain`` only when they have looked at the other side.
STATES: Final = (DeliveryState.DEAD, DeliveryState.EXPIRED, DeliveryState.UNCERTAIN)
PEOPLE_AT_ONCE: Final = 200

# Whose request was never made has nothing to send again.
_WHERE: Final = """
d.workspace_id = %(workspace)s AND d.state = ANY(%(states)s) AND d.sent_id <> ''
    AND (%(plans)s::bigint[] IS NULL OR d.plan_id = ANY(%(plans)s))
    AND (%(webhook)s::bigint IS NULL OR d.webhook_id = %(webhook)s)
    AND (%(reason)s::text IS NULL OR d.reason = %(reason)s)
    AND (%(qaids)s::bigint[] IS NULL OR d.qaid = ANY(%(qaids)s))
    AND (%(since)s::timestamptz IS NULL OR d.updated_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR d.updated_at < %(until)s)
    AND (%(ids)s::text[] IS NULL OR (d.id = ANY(%(ids)s) AND d.day = ANY(%(days)s::date[])))
    AND EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = d.plan_id AND p.state <> 'cancelled')
"""

_NEXT: Final = f"""
SELECT d.id, d.day, d.plan_id, d.chunk_id FROM webhooks_delivery d
WHERE {_WHERE} AND d.day >= %(day)s AND d.id > %(checkpoint)s ORDER BY d.id LIMIT %(limit)s
"""


def selection(
    *,
    plan_ids: Sequence[int] | None = None,
    webhook: Webhook | None = None,
    reason: str | None = None,
    qaids: Sequence[int] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    delivery_ids: Sequence[str] | None = None,
    states: Sequence[str] = (DeliveryState.DEAD,),
) -> dict[str, Any]:
    """Return which deliveries to send again, as a job keeps it.

    Args:
        since, until: when a delivery changed last.

    Raises:
        ValidationError: nothing narrows the choice, or a state cannot be sent again.
    """
    if plan_ids is None and webhook is None and delivery_ids is None:
        raise ValidationError(_("Choose a run, a webhook or deliveries to send again."), "nothing")
    if not states or any(state not in STATES for state in states):
        message = _("Only what failed, came too late or has an unknown outcome can be sent again.")
        raise ValidationError(message, "state")
    return {
        "plans": list(plan_ids) if plan_ids is not None else None,
        "webhook": webhook.pk if webhook else None,
        "reason": reason,
        "qaids": list(qaids) if qaids else None,
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
        "delivery_ids": list(delivery_ids) if delivery_ids is not None else None,
        "states": [str(state) for state in states],
    }


def count(workspace: "Workspace", chosen: Mapping[str, Any]) -> int:
    """Return how many deliveries a selection holds now."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM webhooks_delivery d WHERE {_WHERE}",
            _values(workspace.pk, chosen),
        )
        return int(cursor.fetchone()[0])


def webhooks_of(workspace: "Workspace", chosen: Mapping[str, Any]) -> list[Webhook]:
    """Return the webhooks that a selection's deliveries go to."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT d.webhook_id FROM webhooks_delivery d WHERE {_WHERE}",
            _values(workspace.pk, chosen),
        )
        found = [webhook_id for (webhook_id,) in cursor.fetchall()]
    return list(Webhook.objects.filter(pk__in=found, workspace=workspace))


@transaction.atomic
def order(
    *, workspace: "Workspace", actor: "User | None", chosen: Mapping[str, Any], now: datetime
) -> Redelivery:
    """Order deliveries to be sent again, each once more under its own id.

    Args:
        actor: must hold the right to redeliver and pass both gates of every webhook; None
            for the command line, which the operator answers for.

    Raises:
        PermissionDenied: the right or a gate is missing; the sentence says which.
    """
    if actor is not None:
        _require(actor, workspace, webhooks_of(workspace, chosen))
    job = Redelivery.objects.create(
        workspace=workspace,
        ordered_by=actor,
        ordered_at=now,
        selection=dict(chosen),
        total=count(workspace, chosen),
    )
    audit.record(
        actor=actor,
        workspace=workspace,
        action="delivery.redelivery_ordered",
        obj=job,
        changes={"selection": dict(chosen), "people": job.total},
    )
    return job


def work(*, now: datetime | None = None, limit: int = PEOPLE_AT_ONCE) -> int:
    """Queue the next deliveries of the open job that has had least; return how many people.

    Called by every sender each second; a job is in one hand at a time, and where it stands
    is kept in the same transaction. One that cannot be worked ends with the reason: senders
    live on, and the other jobs with them.
    """
    moment = now or timezone.now()
    with transaction.atomic():
        job = (
            Redelivery.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(finished_at__isnull=True)
            .select_related("workspace", "ordered_by")
            .order_by("done", "pk")
            .first()
        )
        if job is None:
            return 0
        if job.ordered_by is not None:
            try:
                _require(job.ordered_by, job.workspace, webhooks_of(job.workspace, job.selection))
            except PermissionDenied as error:
                return _fail(job, str(error), moment)
        try:
            with transaction.atomic():
                people, found, checkpoint = _queue_next(job, limit, moment)
        except DatabaseError:
            raise
        except Exception:
            log.exception("redelivery_failed", job=job.pk)
            reason = _("The next of them could not be made ready. The operator’s log says why.")
            return _fail(job, reason, moment)
        job.done += people
        job.checkpoint = checkpoint or job.checkpoint
        job.finished_at = None if found == limit else moment
        job.save(update_fields=["done", "checkpoint", "finished_at"])
    return people


def _fail(job: Redelivery, reason: str, now: datetime) -> int:
    job.failure, job.finished_at = reason[:200], now
    job.save(update_fields=["failure", "finished_at"])
    return 0


def _require(actor: "User", workspace: "Workspace", found: Sequence[Webhook]) -> None:
    permissions.require(actor, workspace, Point.REDELIVER)
    for webhook in found:
        grants.require(actor, webhook)


def _values(workspace_id: int, chosen: Mapping[str, Any]) -> dict[str, Any]:
    delivery_ids = chosen.get("delivery_ids")
    days = None
    if delivery_ids is not None:
        days = sorted({day for each in delivery_ids if (day := ids.day_of(each)) is not None})
    return {
        "workspace": workspace_id,
        "states": list(chosen["states"]),
        "plans": chosen["plans"],
        "webhook": chosen.get("webhook"),
        "reason": chosen.get("reason"),
        "qaids": chosen.get("qaids"),
        "since": chosen.get("since"),
        "until": chosen.get("until"),
        "ids": delivery_ids,
        "days": days,
    }


def _queue_next(job: Redelivery, limit: int, now: datetime) -> tuple[int, int, str]:
    values = _values(job.workspace_id, job.selection) | {
        "day": ids.day_of(job.checkpoint) or date.min,
        "checkpoint": job.checkpoint,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, values)
        found = cursor.fetchall()
    groups: dict[tuple[int, int, date], list[str]] = {}
    for delivery_id, day, plan_id, chunk_id in found:
        groups.setdefault((chunk_id, plan_id, day), []).append(delivery_id)
    people = sum(
        _queue(job, plan_id, chunk_id, day, delivery_ids, now)
        for (chunk_id, plan_id, day), delivery_ids in sorted(groups.items())
    )
    return people, len(found), found[-1][0] if found else ""


def _queue(
    job: Redelivery, plan_id: int, chunk_id: int, day: date, delivery_ids: list[str], now: datetime
) -> int:
    """Put the people of one chunk back into messages that are due at once."""
    plan = Plan.objects.select_related("webhook").get(pk=plan_id)
    compiled = plans.compiled(plan)
    with connection.cursor() as cursor:
        chunk = states.lock(cursor, [chunk_id]).get(chunk_id)
        if chunk is None or plan.state == PlanState.CANCELLED:
            return 0
        cursor.execute(
            "UPDATE webhooks_delivery d SET state = 'queued', reason = 'redelivery',"
            " updated_at = clock_timestamp() FROM webhooks_delivery old"
            " WHERE d.day = %(day)s AND old.day = %(day)s AND d.id = old.id"
            " AND d.id = ANY(%(ids)s) AND d.state = ANY(%(states)s)"
            " RETURNING d.id, d.attempts, old.state, old.reason",
            {"day": day, "ids": delivery_ids, "states": list(job.selection["states"])},
        )
        taken = {row[0]: row[1:] for row in cursor.fetchall()}
        recipients = rebuilding.read(day, [each for each in delivery_ids if each in taken])
        for each in recipients:
            _attempts, state, reason = taken[each.delivery_id]
            chunk.move(each.position, StateByte.WAITING)
            if reason:
                chunk.tally(f"{state}:{reason}", -1)
        chunk.store(cursor)
        size = plan.webhook.batch_size
        if compiled.body.recipients_at_most is not None:
            size = min(size, compiled.body.recipients_at_most)
        rows.store_messages(
            cursor,
            [
                (compiled, chunk_id, day, message)
                for tries, batch in _batches(recipients, taken, size)
                for message in _messages(compiled, batch, tries, plan, now)
            ],
        )
    if job.ordered_by_id is not None:
        Plan.objects.filter(pk=plan_id).update(responsible_id=job.ordered_by_id)
    transaction.on_commit(partial(tasks.hint, plan.webhook_id))
    return len(recipients)


def _batches(
    recipients: Sequence[Recipient], taken: Mapping[str, Sequence[Any]], size: int
) -> list[tuple[int, list[Recipient]]]:
    """Group people who have been tried equally often, so that attempt numbers go on."""
    by_tries: dict[int, list[Recipient]] = {}
    for each in sorted(recipients, key=lambda recipient: recipient.position):
        by_tries.setdefault(taken[each.delivery_id][0], []).append(each)
    return [
        (tries, batch)
        for tries, found in by_tries.items()
        for batch in preparing.batched(found, size)
    ]


def _messages(
    compiled: plans.CompiledPlan, batch: list[Recipient], tries: int, plan: Plan, now: datetime
) -> list[Waiting]:
    """Make a message of a batch, or several where it would be longer than one may be."""
    try:
        return [_message(compiled, batch, tries, plan, now)]
    except SizeError:
        if len(batch) == 1:
            raise
        middle = len(batch) // 2
        return [
            message
            for half in (batch[:middle], batch[middle:])
            for message in _messages(compiled, half, tries, plan, now)
        ]


def _message(
    compiled: plans.CompiledPlan, batch: list[Recipient], tries: int, plan: Plan, now: datetime
) -> Waiting:
    message_id = preparing.message_ids().one([each.delivery_id for each in batch])
    return Waiting(
        id=message_id,
        body=rebuilding.body(compiled, message_id, batch),
        recipients=batch,
        tries=tries,
        delay=0.0,
        first_attempt_at=now,
        expires_at=now + timedelta(hours=plan.webhook.expiry_hours),
        kind=AttemptKind.MANUAL,
    )
