"""Reading what was sent: one delivery with its tries and its exact request, and pages of many."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from django.db.models import Max, Min, Q, QuerySet

from webhooks import ids, plans, rebuilding
from webhooks.choices import AttemptKind
from webhooks.models import Attempt, Chunk, Delivery, Message, Plan, Webhook
from workspaces.models import Workspace

PAGE: Final = 50


class Try(NamedTuple):
    """One try to send to one person; the first stands in the delivery's own row."""

    number: int
    kind: str
    at: datetime | None
    outcome: str
    status_code: int | None
    answer: str
    duration_ms: int | None


class Place(NamedTuple):
    """Where a page ends; the next one begins after it."""

    updated_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    deliveries: list[Delivery]
    following: Place | None


def find(delivery_id: str, *, workspace: Workspace | None = None) -> Delivery | None:
    """Return a delivery by its id; the day in the id says which partition holds it."""
    day = ids.day_of(delivery_id)
    if day is None:
        return None
    found = Delivery.objects.filter(day=day, pk=delivery_id)
    return (found.filter(workspace=workspace) if workspace else found).first()


def tries_of(delivery: Delivery) -> list[Try]:
    """Return every try in order: the delivery's own row is the first, attempts are the others."""
    rows = Attempt.objects.filter(day=delivery.day, delivery_id=delivery.pk)
    found = [
        Try(
            row.number,
            row.kind,
            row.at,
            row.outcome,
            row.status_code,
            row.answer,
            row.duration_ms,
        )
        for row in rows.order_by("number", "at")
    ]
    if delivery.first_attempt_at is None or any(each.number == 1 for each in found):
        return found
    outcome = "answered" if delivery.status_code else delivery.reason
    first = Try(
        1,
        AttemptKind.AUTO,
        delivery.first_attempt_at,
        outcome,
        delivery.status_code,
        delivery.answer,
        delivery.duration_ms,
    )
    return [first, *found]


def last_statuses(deliveries: Collection[Delivery]) -> dict[str, int | None]:
    """Return by its id what each delivery's last try was answered with: one query for all.

    The row holds the answer to the first try; one that came too late decided nothing.
    """
    rows = (
        Attempt.objects.filter(
            day__in={each.day for each in deliveries},
            delivery_id__in=[each.pk for each in deliveries if each.first_attempt_at],
        )
        .exclude(kind=AttemptKind.LATE)
        .order_by("number", "at")
        .values_list("delivery_id", "status_code")
    )
    return {each.pk: each.status_code for each in deliveries} | dict(rows)


def body_of(delivery: Delivery) -> bytes | None:
    """Return the exact bytes of the last message the person was part of; None when none was made.

    Raises:
        BindingError: the plan's definition no longer compiles.
    """
    if not delivery.message_id or not delivery.sent_id:
        return None
    waiting = Message.objects.filter(pk=delivery.message_id).values_list("body", flat=True).first()
    if waiting is not None:
        return bytes(waiting)
    plan = plans.compiled(delivery.plan)
    together = [delivery.pk]
    if delivery.webhook.batch_size > 1:
        together = _sent_together(delivery)
    recipients = rebuilding.read(delivery.day, together)
    return rebuilding.body(plan, delivery.message_id, recipients)


def _sent_together(delivery: Delivery) -> list[str]:
    """Return the ids of all people of the delivery's message, in their order.

    They stand in one chunk, so their ids can be made from it: no index is needed.
    """
    chunk = Chunk.objects.get(pk=delivery.chunk_id)
    found = (
        Delivery.objects.filter(
            day=delivery.day, pk__in=_delivery_ids(chunk), message_id=delivery.message_id
        )
        .order_by("position")
        .values_list("pk", flat=True)
    )
    return list(found)


def _delivery_ids(chunk: Chunk) -> list[str]:
    making = plans.compiled(chunk.plan).delivery_ids(chunk.day)
    if chunk.events is None:
        return making.many(chunk.qaids)
    return making.many(chunk.qaids, [str(event["id"]) for event in chunk.events])


def page(
    workspace: Workspace,
    *,
    plan: Plan | None = None,
    plan_ids: Sequence[int] | None = None,
    webhook: Webhook | None = None,
    states: Sequence[str] = (),
    reason: str = "",
    qaids: Sequence[int] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    after: Place | None = None,
    limit: int = PAGE,
) -> Page:
    """Return the next page of a workspace's deliveries, the latest change first.

    By place, not by number: the thousandth page costs what the first one does. Plans keep it to
    the days on which they were planned, whatever else the workspace has sent since.
    """
    found: QuerySet[Delivery] = Delivery.objects.filter(workspace=workspace)
    wanted = {
        "plan": plan,
        "webhook": webhook,
        "reason": reason or None,
        "qaid__in": list(qaids) or None,
        "updated_at__gte": since,
        "updated_at__lt": until,
    }
    found = found.filter(**{name: value for name, value in wanted.items() if value is not None})
    if states:
        found = found.filter(state__in=list(states))
    if plan_ids is not None:
        days = Chunk.objects.filter(plan__in=plan_ids).aggregate(first=Min("day"), last=Max("day"))
        if days["first"] is None:
            return Page([], None)
        found = found.filter(plan__in=plan_ids, day__range=(days["first"], days["last"]))
    if after is not None:
        found = found.filter(
            Q(updated_at__lt=after.updated_at) | Q(updated_at=after.updated_at, id__gt=after.id),
            updated_at__lte=after.updated_at,
        )
    rows = list(found.order_by("-updated_at", "id")[: limit + 1])
    shown = rows[:limit]
    following = Place(shown[-1].updated_at, shown[-1].pk) if len(rows) > limit else None
    return Page(shown, following)
