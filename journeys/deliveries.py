"""The deliveries of a workspace as people look for them: by journey, step, reason, time, person.

What is narrowed to runs is read from their chunks, so that it has whoever waits and as many as the
run page counts; the rest are the latest deliveries of the workspace. When something changed stands
in the deliveries alone, so what is narrowed to a time is read from them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from identity import masking, people
from identity.models import IdType
from journeys import components, stages
from journeys.definition import Document
from journeys.models import Journey, Run
from webhooks import ledger, redelivery, standing
from webhooks.choices import DeliveryState, Encryption
from webhooks.models import Delivery, Plan, Webhook
from webhooks.standing import Wanted
from workspaces.models import Workspace
from workspaces.typed import is_storable

# Who has no delivery, or was filled in for, is known to the chunks alone.
_OF_CHUNKS: Final = frozenset(
    [DeliveryState.QUEUED, DeliveryState.CANCELLED, DeliveryState.EXPIRED, "default", "blank"]
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries of a workspace; ``tally`` is a reason as ``Chunk.tallies`` counts it."""

    workspace: Workspace
    journey: Journey | None = None
    run: Run | None = None
    step: UUID | None = None
    webhook: Webhook | None = None
    state: DeliveryState | None = None
    tally: str = ""
    qaids: tuple[int, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_by_run(self) -> bool:
        if self.since or self.until:
            return (self.state or self.tally.partition(":")[0]) in _OF_CHUNKS
        return bool(self.run or self.webhook or self.state or self.tally)

    @property
    def may_hold_repeatable(self) -> bool:
        """Tell whether something that can be sent again may be among them."""
        state = self.state or self.tally.partition(":")[0]
        return not state or state in redelivery.STATES

    def plan_ids(self) -> list[int]:
        """Return the plans of the steps that are looked at."""
        if self.run is not None:
            return [
                stage.plan_id
                for stage in stages.of(self.run.pk)
                if self.step in (None, stage.step_key)
                and (self.webhook is None or stage.webhook_id == self.webhook.pk)
            ]
        found = Plan.objects.filter(workspace=self.workspace)
        if self.webhook is not None:
            found = found.filter(webhook=self.webhook)
        return list(found.order_by("-pk").values_list("pk", flat=True))

    def wanted(self) -> Wanted:
        return Wanted(self.plan_ids(), self.state, self.tally, self.qaids, self.since, self.until)

    def to_send_again(self) -> dict[str, Any]:
        """Return the selection of all that match and can be sent again.

        Raises:
            ValidationError: what is looked at cannot be sent again.
        """
        state, _colon, reason = self.tally.partition(":")
        wanted = self.state or state
        return redelivery.selection(
            plan_ids=self.plan_ids(),
            reason=reason or None,
            qaids=self.qaids,
            since=self.since,
            until=self.until,
            states=[wanted] if wanted else [DeliveryState.DEAD, DeliveryState.EXPIRED],
        )


class Row(NamedTuple):
    """One delivery as a list shows it; ``run`` is None for what no journey sent."""

    at: datetime
    qaid: int
    sent_to: str
    person: str  # Where it was sent to, else another ID of the person.
    run: Run | None
    journey: str
    step: str
    webhook: str
    state: DeliveryState
    reason: str
    plan: Plan
    status_code: int | None  # Of the last try.
    attempts: int
    delivery_id: str

    @property
    def can_be_repeated(self) -> bool:
        return bool(self.sent_to) and self.state in redelivery.STATES


class Page(NamedTuple):
    rows: list[Row]
    following: str  # Hand it in as ``after``; empty on the last page.


def page(chosen: Filter, *, after: str = "", in_clear: bool) -> Page:
    """Return the next page. A place that means nothing is the first page.

    Args:
        in_clear: whether the reader may see people's IDs.
    """
    naming = _Naming(chosen.workspace, in_clear=in_clear)
    if chosen.is_by_run:
        found = standing.page(chosen.wanted(), after=_place(after))
        following = ".".join(map(str, found.following)) if found.following else ""
        return Page(naming.rows_of_people(found.people), following)
    counted_as, _colon, reason = chosen.tally.partition(":")
    state = chosen.state or counted_as
    # Without plans no index knows what was not accepted.
    is_by_plan = chosen.run or (state and state != DeliveryState.DELIVERED)
    latest = ledger.page(
        chosen.workspace,
        plan_ids=chosen.plan_ids() if is_by_plan else None,
        webhook=chosen.webhook,
        states=[state] if state else (),
        reason=reason,
        qaids=chosen.qaids,
        since=chosen.since,
        until=chosen.until,
        after=_moment(after),
    )
    place = latest.following
    following = f"{place.updated_at.isoformat()}~{place.id}" if place else ""
    return Page(naming.rows(latest.deliveries), following)


def everything(chosen: Filter, *, in_clear: bool) -> Iterator[Row]:
    """Yield every row, for an export; never more than a page of them is in memory."""
    after = ""
    while True:
        found = page(chosen, after=after, in_clear=in_clear)
        yield from found.rows
        after = found.following
        if not after:
            return


def _place(after: str) -> standing.Place | None:
    parts = after.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    plan_id, number, position = (int(part[:18]) for part in parts)
    return standing.Place(plan_id, number, position)


def _moment(after: str) -> ledger.Place | None:
    moment, _tilde, delivery_id = after.partition("~")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return ledger.Place(at, delivery_id) if at.tzinfo and is_storable(delivery_id) else None


class _Naming:
    """Gives rows the names that people know, and the ID as the reader may see it."""

    def __init__(self, workspace: Workspace, *, in_clear: bool) -> None:
        self._workspace, self._in_clear = workspace, in_clear
        self._id_types: dict[int, IdType] = {each.pk: each for each in workspace.id_types.all()}
        self._plans: dict[int, Plan] = {}
        self._runs: dict[int, Run] = {}
        self._steps: dict[int, str] = {}
        self._people: dict[int, people.Named] = {}
        self._statuses: dict[str, int | None] = {}

    def rows_of_people(self, found: Sequence[standing.Person]) -> list[Row]:
        self._load({each.place.plan_id for each in found})
        self._statuses = ledger.last_statuses([each.delivery for each in found if each.delivery])
        self._name([each.qaid for each in found if not (each.delivery and each.delivery.sent_id)])
        return [self._row_of(each) for each in found]

    def rows(self, deliveries: Sequence[Delivery]) -> list[Row]:
        self._load({delivery.plan_id for delivery in deliveries})
        self._statuses = ledger.last_statuses(deliveries)
        self._name([delivery.qaid for delivery in deliveries if not delivery.sent_id])
        return [
            self._row(
                self._plans[each.plan_id],
                each.qaid,
                DeliveryState(each.state),
                each.updated_at,
                each.pk,
                each,
            )
            for each in deliveries
        ]

    def _row_of(self, person: standing.Person) -> Row:
        plan = self._plans[person.place.plan_id]
        return self._row(
            plan, person.qaid, person.state, person.at, person.delivery_id, person.delivery
        )

    def _row(
        self,
        plan: Plan,
        qaid: int,
        state: DeliveryState,
        at: datetime,
        delivery_id: str,
        delivery: Delivery | None,
    ) -> Row:
        run = self._runs.get(plan.run_id)
        sent_to = self._sent_to(plan, delivery.sent_id) if delivery else ""
        named = self._people.get(qaid)
        return Row(
            at=at,
            qaid=qaid,
            sent_to=sent_to,
            person=sent_to or (named.label if named else people.unnamed()),
            run=run,
            journey=run.journey.name if run else str(plan.labels.get("journey", "")),
            step=self._steps.get(plan.pk, ""),
            webhook=plan.webhook.name,
            state=state,
            reason=delivery.reason if delivery else "",
            plan=plan,
            status_code=self._statuses.get(delivery_id),
            attempts=delivery.attempts if delivery else 0,
            delivery_id=delivery_id,
        )

    def _sent_to(self, plan: Plan, value: str) -> str:
        if not value:
            return ""
        if plan.definition.get("encryption", Encryption.NONE) != Encryption.NONE:
            return value if self._in_clear else f"{value[:4]}{masking.HIDDEN}"
        id_type = self._id_types.get(plan.definition["id_type"]["id"])
        if id_type is None:
            return masking.HIDDEN
        return masking.shown(value, id_type, in_clear=self._in_clear)

    def _name(self, qaids: Sequence[int]) -> None:
        if qaids:
            id_types = sorted(self._id_types.values(), key=lambda each: each.priority)
            self._people = people.name(qaids, id_types=id_types, in_clear=self._in_clear)

    def _load(self, plan_ids: set[int]) -> None:
        self._plans = Plan.objects.select_related("webhook").in_bulk(plan_ids)
        runs = Run.objects.filter(workspace=self._workspace).select_related("journey", "version")
        self._runs = runs.in_bulk({plan.run_id for plan in self._plans.values()})
        documents = {pk: Document.from_json(run.version.document) for pk, run in self._runs.items()}
        for plan in self._plans.values():
            document = documents.get(plan.run_id)
            step = document.step(plan.step_key) if document else None
            self._steps[plan.pk] = (step.name or str(components.of(step).label)) if step else ""
