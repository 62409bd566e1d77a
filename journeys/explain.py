"""Why one person got something from a journey, or did not: the verdict first, then each fact.

The screen that finds a person and ``manage.py explain`` both show what is told here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connection
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identity import audience_rules, masking
from identity.models import EventAttribute, Identifier, IdType, IncomingEvent, Profile
from journeys import components, context, enrolling, entering, stages
from journeys.choices import RunState
from journeys.components.event import EventConfig
from journeys.definition import Document
from journeys.ending import REASONS
from journeys.models import Enrollment, Journey, Run
from journeys.stages import Stage
from webhooks import holding, ledger, plans
from webhooks.answers import Outcome, reason_sentence
from webhooks.choices import (
    AttemptKind,
    BreakerState,
    DeliveryState,
    Encryption,
    PlanState,
    StateByte,
    WebhookState,
)
from webhooks.ledger import Try
from webhooks.models import Delivery, Message, Plan, Receipt
from workspaces.sentences import joined, listed

EVENTS_SHOWN: Final = 20
RUNS_LOOKED_AT: Final = 20
_BITS: Final = 0x7F

# Where a person stands in the chunks of a run: one index range of chunks a plan.
_PLACES: Final = """
SELECT c.plan_id, c.id, one.qaid, one.place - 1, get_byte(c.states, one.place::int - 1),
    c.due_at, c.events -> (one.place::int - 1)
FROM webhooks_chunk c
CROSS JOIN LATERAL unnest(c.qaids) WITH ORDINALITY AS one (qaid, place)
WHERE c.plan_id = ANY(%s) AND c.qaids && %s::bigint[] AND one.qaid = ANY(%s)
ORDER BY c.id
"""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the timeline. ``details`` are for whoever opens them."""

    kind: str  # journey, audience, event, entry, id, variable, request, attempt, receipt, wait.
    sentence: str
    at: datetime | None = None
    step: str = ""
    is_bad: bool = False
    is_good: bool = False  # The try that was accepted.
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeline:
    verdict: str
    is_good: bool  # Whether the last message was accepted.
    facts: list[Fact]
    qaid: int
    run: Run | None = None

    def lines(self, *, zone: Any) -> list[str]:
        """Return the timeline as text, the verdict on the first line."""
        found = [self.verdict]
        for fact in self.facts:
            at = timezone.localtime(fact.at, zone).strftime("%Y-%m-%d %H:%M:%S") if fact.at else ""
            step = f"{fact.step}: " if fact.step else ""
            found.append(f"{at:<19}  {step}{fact.sentence}")
            found += [f"{'':<21}{name}: {value}" for name, value in fact.details.items()]
        return found


class _Place(NamedTuple):
    plan_id: int
    chunk_id: int
    qaid: int
    position: int
    state: int
    due_at: datetime
    event: dict[str, Any] | None


def _place(row: Sequence[Any]) -> _Place:
    plan_id, chunk_id, qaid, position, byte, due_at, event = row
    read = json.loads(event) if event else None
    return _Place(plan_id, chunk_id, qaid, position, byte & _BITS, due_at, read)


def explain(
    *, journey: Journey, person: Profile, in_clear: bool, now: datetime, run: Run | None = None
) -> Timeline:
    """Tell what a journey did with one person, and why.

    Args:
        run: which run; without it the newest that knows them.
        in_clear: whether the reader may see people; without it IDs are masked and answers left out.
    """
    return _Explaining(journey, person, in_clear, now, run).timeline()


class _Explaining:
    def __init__(
        self, journey: Journey, person: Profile, in_clear: bool, now: datetime, run: Run | None
    ) -> None:
        self.journey, self.person = journey, person
        self.in_clear, self.now, self.run = in_clear, now, run
        self.zone = journey.workspace.zone
        self.qaids = [person.pk, *person.merged.values_list("pk", flat=True)]
        self.id_types: dict[int, IdType] = {
            each.pk: each for each in journey.workspace.id_types.all()
        }
        self.facts: list[Fact] = []
        self.kept_out = ""  # Why the latest event let nobody in.

    def timeline(self) -> Timeline:
        runs = [self.run] if self.run else self._newest_runs()
        if not runs:
            return self._done(_("Not sent: the journey has not been published."), None)
        run, places = self._run_that_knows(runs)
        self._tell_run(run)
        if run.is_event:
            self._tell_events(run)
        if not places:
            return self._done(self._outside(run), run)
        if not run.is_event:
            self._add("audience", _("In the audience when it was counted."), run.started_at)
        last: tuple[str, bool] = ("", False)
        for place in places[-EVENTS_SHOWN:]:
            last = self._tell_place(run, place)
        verdict, is_good = last
        return self._done(verdict, run, is_good=is_good)

    def _newest_runs(self) -> list[Run]:
        found = self.journey.runs.select_related("version", "responsible").order_by("-pk")
        return list(found[:RUNS_LOOKED_AT])

    def _done(self, verdict: str, run: Run | None, *, is_good: bool = False) -> Timeline:
        dated = [fact for fact in self.facts if fact.at]
        undated = [fact for fact in self.facts if not fact.at]
        # The oldest first, then what holds now, last what is still to come.
        undated.sort(key=lambda fact: fact.kind == "wait")
        ordered = [*sorted(dated, key=lambda fact: fact.at or self.now), *undated]
        return Timeline(verdict, is_good, ordered, self.person.pk, run)

    # --- Which run ----------------------------------------------------------------------------

    def _run_that_knows(self, runs: Sequence[Run]) -> tuple[Run, list[_Place]]:
        """Return the newest run in whose chunks the person stands, else the newest."""
        for run in runs:
            if places := self._places([stage.plan_id for stage in stages.of(run.pk)]):
                return run, places
        return runs[0], []

    def _places(self, plan_ids: Sequence[int]) -> list[_Place]:
        with connection.cursor() as cursor:
            cursor.execute(_PLACES, [list(plan_ids), self.qaids, self.qaids])
            return [_place(row) for row in cursor.fetchall()]

    def _tell_run(self, run: Run) -> None:
        shown = {"number": run.version.number}
        self._add(
            "journey", _("Version %(number)d was published.") % shown, run.version.published_at
        )
        if run.started_at and not run.is_event:
            people = ngettext(
                "The run started with %(count)s person.",
                "The run started with %(count)s people.",
                run.people,
            )
            count = formats.number_format(run.people, force_grouping=True)
            self._add("audience", people % {"count": count}, run.started_at)
        if run.state == RunState.PAUSED:
            reason = str(REASONS.get(run.state_reason, ""))
            self._add("journey", joined([_("The journey is paused."), reason]), bad=True)
        if run.ended_at:
            self._add("journey", _("The run ended."), run.ended_at)

    # --- Not inside ---------------------------------------------------------------------------

    def _outside(self, run: Run) -> str:
        if run.is_event:
            return self._outside_event(run)
        if run.started_at is None:
            starts = {"time": self._time(run.starts_at)}
            if run.state == RunState.STOPPED:
                return _("Not sent: the run was stopped before it started.")
            return _("Not sent yet: the run starts on %(time)s.") % starts
        if run.pages.filter(qaids__overlap=self.qaids).exists():
            return _("Waiting: in the audience, and about to be planned.")
        self._tell_audiences(run)
        at = {"time": self._time(run.started_at)}
        return _("Not sent: not in the audience when it was counted on %(time)s.") % at

    def _tell_audiences(self, run: Run) -> None:
        document = Document.from_json(run.version.document)
        loaded = context.load(workspace=self.journey.workspace, documents=[document], now=self.now)
        for audience in loaded.audiences.values():
            is_in = audience_rules.contains(audience, self.person.pk, now=self.now)
            sentence = _("In “%(name)s” now.") if is_in else _("Not in “%(name)s” now.")
            self._add("audience", sentence % {"name": audience.name}, bad=not is_in)

    def _outside_event(self, run: Run) -> str:
        if self.kept_out:
            return _("Not sent: %(why)s") % {"why": self.kept_out}
        if any(fact.kind == "event" for fact in self.facts):
            return _("Waiting: the event has come in and is about to be taken.")
        return _("Not sent: no such event of this person is known.")

    # --- Events -------------------------------------------------------------------------------

    def _tell_events(self, run: Run) -> None:
        config = enrolling.start_config(run)
        attributes = list(EventAttribute.objects.filter(event_type=run.event_type_id))
        types = {each.code: each.type for each in attributes}
        names = {each.code: each.name for each in attributes}
        events = list(
            IncomingEvent.objects.filter(
                profile__in=self.qaids, event_type=run.event_type_id
            ).order_by("-received_at")[:EVENTS_SHOWN]
        )
        entered = dict(
            Enrollment.objects.filter(
                run=run, event_id__in=[event.event_id for event in events]
            ).values_list("event_id", "entered_at")
        )
        for event in events:
            self._add(*self._event(run, config, event, entered, types, names))

    def _event(
        self,
        run: Run,
        config: EventConfig,
        event: IncomingEvent,
        entered: Mapping[str, datetime],
        types: Mapping[str, str],
        names: Mapping[str, str],
    ) -> tuple[str, str, datetime, bool]:
        if event.event_id in entered:
            return "event", _("The event came in and let the person in."), event.received_at, False
        if event.taken_at is None:
            return "event", _("The event came in and waits to be taken."), event.received_at, False
        why = entering.why_not(
            run,
            config,
            event.attributes,
            taken_at=event.taken_at,
            types=types,
            names=names,
        )
        self.kept_out = self.kept_out or why
        return "event", why, event.received_at, True

    # --- One step -----------------------------------------------------------------------------

    def _tell_place(self, run: Run, place: _Place) -> tuple[str, bool]:
        """Tell all of one person at one step; return the verdict and whether it is good."""
        plan = Plan.objects.select_related("webhook__control", "webhook__workspace").get(
            pk=place.plan_id
        )
        stage = next(each for each in stages.of(run.pk) if each.plan_id == place.plan_id)
        step = self._step_name(run, stage)
        before = len(self.facts)
        delivery = self._delivery(place)
        sources = self._tell_ids(plan)
        if delivery:
            self._tell_delivery(plan, delivery)
        verdict, is_good = self._verdict(plan, place, delivery, sources)
        self.facts[before:] = [replace(fact, step=step) for fact in self.facts[before:]]
        return verdict, is_good

    def _step_name(self, run: Run, stage: Stage) -> str:
        step = Document.from_json(run.version.document).step(stage.step_key)
        if step is None:
            return ""
        return step.name or str(components.of(step).label)

    def _delivery(self, place: _Place) -> Delivery | None:
        return Delivery.objects.filter(
            plan=place.plan_id, qaid=place.qaid, chunk_id=place.chunk_id, position=place.position
        ).first()

    def _tell_ids(self, plan: Plan) -> int:
        """Tell which IDs are known now, by type and source; return the number of data sources."""
        types = (plan.definition["id_type"], plan.definition["reach_id_type"])
        wanted = {each["id"]: each for each in types}
        sources = self.journey.workspace.data_sources.count()
        known = Identifier.objects.filter(profile=self.person, id_type__in=wanted).select_related(
            "data_source"
        )
        by_type: dict[int, list[str]] = {}
        for identifier in known.order_by("-last_seen"):
            kind = self.id_types[identifier.id_type_id]
            value = masking.shown(identifier.value, kind, in_clear=self.in_clear)
            named = {"value": value, "source": identifier.data_source.name}
            by_type.setdefault(kind.pk, []).append(_("%(value)s (%(source)s)") % named)
        for pk, each in wanted.items():
            values = listed(by_type.get(pk, []))
            shown = {"id_type": self._type_name(each), "values": values}
            if pk in by_type:
                self._add("id", _("%(id_type)s known now: %(values)s.") % shown)
            else:
                self._add("id", self._no_id(each, sources), bad=True)
        return sources

    def _type_name(self, named: Mapping[str, Any]) -> str:
        """Return what an ID type is called now, or was when it was still there."""
        kind = self.id_types.get(named["id"])
        return kind.name if kind else plans.id_type_name(named)

    def _no_id(self, named: Mapping[str, Any], sources: int) -> str:
        sentence = ngettext(
            "no %(id_type)s in the only data source.",
            "no %(id_type)s in any of %(count)d data sources.",
            sources,
        )
        return sentence % {"id_type": self._type_name(named), "count": sources}

    def _tell_delivery(self, plan: Plan, delivery: Delivery) -> None:
        compiled = plans.compiled(plan)
        for mask, sentence in (
            (delivery.defaulted, _("The default went out for: %(names)s.")),
            (delivery.blanked, _("Nothing went out for: %(names)s.")),
        ):
            names = [variable for _parameter, variable in compiled.parameters.mask_names(mask)]
            if names:
                shown = {"names": listed(names)}
                self._add("variable", sentence % shown, delivery.first_attempt_at)
        tries = ledger.tries_of(delivery)
        counted = [each for each in tries if each.kind != AttemptKind.LATE]
        for each in tries:
            is_last = bool(counted) and each is counted[-1]
            self._tell_try(plan, delivery, each, is_first=each is tries[0], is_last=is_last)
        for receipt in Receipt.objects.filter(delivery_id=delivery.pk):
            self._tell_receipt(plan, receipt)

    def _tell_try(
        self, plan: Plan, delivery: Delivery, each: Try, *, is_first: bool, is_last: bool
    ) -> None:
        details: dict[str, str] = {}
        if is_first:
            details = {_("Delivery"): delivery.pk, _("Message"): delivery.message_id}
            if sent := self._sent_id(plan, delivery):
                details[_("Sent to")] = sent
        if self.in_clear and each.answer:
            details[_("Answer")] = each.answer
        self._add(
            "request" if is_first else "attempt",
            self._answered(each) if is_first else self._attempted(each),
            each.at,
            good=is_last and delivery.state == DeliveryState.DELIVERED,
            details=details,
        )

    def _tell_receipt(self, plan: Plan, receipt: Receipt) -> None:
        value = plan.webhook.receipt_codes.get(receipt.code, receipt.code)
        shown = {"value": value}
        self._add(
            "receipt", _("The other system reported: %(value)s.") % shown, receipt.occurred_at
        )

    def _sent_id(self, plan: Plan, delivery: Delivery) -> str:
        if not delivery.sent_id:
            return ""
        if plan.definition.get("encryption", Encryption.NONE) != Encryption.NONE:
            return _("encrypted")
        kind = self.id_types.get(plan.definition["id_type"]["id"])
        if kind is None:
            return masking.HIDDEN
        return masking.shown(delivery.sent_id, kind, in_clear=self.in_clear)

    def _answered(self, each: Try) -> str:
        if each.status_code is not None:
            return _("The request was answered with %(status)d after %(ms)d ms.") % {
                "status": each.status_code,
                "ms": each.duration_ms or 0,
            }
        if each.outcome and each.outcome != Outcome.ANSWERED:
            return str(reason_sentence(each.outcome))
        return _("The request got no answer.")

    def _attempted(self, each: Try) -> str:
        return joined([_("Try %(number)d.") % {"number": each.number}, self._answered(each)])

    # --- The verdict --------------------------------------------------------------------------

    def _verdict(
        self, plan: Plan, place: _Place, delivery: Delivery | None, sources: int
    ) -> tuple[str, bool]:
        webhook = plan.webhook.name
        reason = delivery.reason if delivery else ""
        shown = {"webhook": webhook, "why": self._why(plan, reason, sources)}
        match StateByte(place.state):
            case StateByte.DELIVERED:
                at = delivery.updated_at if delivery else place.due_at
                code = ledger.last_statuses([delivery])[delivery.pk] if delivery else None
                status = _(", answered with %(status)d") % {"status": code} if code else ""
                accepted = _("Accepted by %(webhook)s on %(time)s%(status)s.")
                return accepted % {**shown, "time": self._time(at), "status": status}, True
            case StateByte.DEAD:
                return _("Failed: %(why)s") % shown, False
            case StateByte.SKIPPED:
                return _("Not sent: %(why)s") % shown, False
            case StateByte.EXPIRED:
                return _("Too late: it could not be sent to %(webhook)s in time.") % shown, False
            case StateByte.CANCELLED:
                return _("Not sent: the person was taken out when the run was stopped."), False
            case StateByte.UNCERTAIN:
                unknown = _("Outcome unknown: nobody can say whether %(webhook)s took it.")
                return unknown % shown, False
            case _ if plan.state == PlanState.CANCELLED:
                return _("Not sent: the person was taken out when the run was stopped."), False
            case _:
                waits = self._waits(plan, place)
                self._add("wait", waits)
                return _("Waiting: %(why)s") % {"why": waits}, False

    def _why(self, plan: Plan, reason: str, sources: int) -> str:
        kinds = {"no_id": "id_type", "no_reach_id": "reach_id_type"}
        if reason in kinds:
            return self._no_id(plan.definition[kinds[reason]], sources)
        return str(reason_sentence(reason)) if reason else ""

    def _waits(self, plan: Plan, place: _Place) -> str:
        control = getattr(plan.webhook, "control", None)
        if plan.webhook.workspace.sending_is_stopped:
            return _("sending is stopped in this workspace.")
        if plan.state == PlanState.PAUSED:
            return _("the journey is paused.")
        if control and control.state != WebhookState.ACTIVE:
            return _("the webhook “%(name)s” is not active.") % {"name": plan.webhook.name}
        if control and control.breaker == BreakerState.OPEN:
            shown = {
                "name": plan.webhook.name,
                "time": self._time(control.breaker_until or self.now),
            }
            return _("“%(name)s” is in trouble; it is asked again on %(time)s.") % shown
        if control and control.breaker == BreakerState.PROBING:
            shown = {"name": plan.webhook.name}
            return _("“%(name)s” is in trouble; a few requests are trying it again.") % shown
        message = Message.objects.filter(
            chunk=place.chunk_id, positions__contains=[place.position]
        ).first()
        due_at = message.due_at if message else place.due_at
        if due_at > holding.HELD_AFTER:
            return _("an operator holds these people back.")
        if due_at > self.now:
            return _("the next try is on %(time)s.") % {"time": self._time(due_at)}
        return _("it will be sent soon.")

    # --- Small things -------------------------------------------------------------------------

    def _add(
        self,
        kind: str,
        sentence: str,
        at: datetime | None = None,
        bad: bool = False,
        good: bool = False,
        details: Mapping[str, str] | None = None,
    ) -> None:
        text = sentence[:1].upper() + sentence[1:]
        self.facts.append(Fact(kind, text, at, is_bad=bad, is_good=good, details=details or {}))

    def _time(self, at: datetime) -> str:
        local = timezone.localtime(at, self.zone)
        shown = {"time": formats.date_format(local, "DATETIME_FORMAT"), "zone": self.zone.key}
        return _("%(time)s (%(zone)s)") % shown
