"""How a sender comes by work: whose turn it is, lanes, claims, gates, the read of a chunk."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Final
from uuid import UUID, uuid4

import structlog
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from webhooks import (
    breaker,
    claiming,
    closing,
    control,
    fault_points,
    grants,
    lanes,
    preparing,
    rebuilding,
)
from webhooks.choices import BreakerState, StateByte, WebhookState
from webhooks.control import Flags
from webhooks.leases import Keeper
from webhooks.lines import Line, Options
from webhooks.models import Delivery, Plan
from webhooks.outcomes import Judge
from webhooks.plans import PlanCache
from webhooks.preparing import Preparer
from webhooks.rendering import BindingError
from webhooks.secrets import SecretError
from webhooks.targets import Target, TargetCache
from webhooks.work import (
    ClaimedChunk,
    ClaimedMessage,
    Clock,
    Ending,
    Envelope,
    Held,
    Tried,
    Waiting,
)

log = structlog.get_logger(__name__)

# Somebody who waits for a merged person's other chunk is looked at again after this.
LEFT_OVER_SECONDS: Final = 5.0
# Claimed again after this when a chunk's webhook cannot be sent to as it is.
REFUSED_SECONDS: Final = 5.0
# Lanes that others hold are asked for again after this.
LANES_SECONDS: Final = 1.0
# Gates that were open are asked again after this.
GATES_SECONDS: Final = 1.0


class Intake:
    """Claims work into lines while there is room for it."""

    def __init__(
        self,
        *,
        options: Options,
        keeper: Keeper,
        clock: Clock,
        only: int | None,
        record: Callable[[Tried], None],
        flags: Callable[[int], Flags],
        breathe: Callable[[], None],
        plan_ids: Sequence[int] | None = None,
    ) -> None:
        """Serve all webhooks, or ``only`` one.

        Args:
            plan_ids: claim of these plans alone.
            record: takes how those ended who get no message.
            flags: the flags of a plan, as the sender last read them.
            breathe: moves on what is open, in the middle of long work.
        """
        self.lines: dict[int, Line] = {}
        self.plans = PlanCache()
        self.targets = TargetCache()
        self._options = options
        self._keeper = keeper
        self._clock = clock
        self._only = only
        self._plan_ids = plan_ids
        self._record = record
        self._flags = flags
        self._breathe = breathe
        # Webhooks that something is due of, and whether messages wait there.
        self._due: dict[int, bool] = {}
        self._look_at = 0.0
        self._orphans: list[tuple[int, UUID]] = []
        # Plans whose gates were found open, and how long that is taken for granted.
        self._open_until: dict[int, float] = {}

    # --- Whose turn it is -------------------------------------------------------------------------

    def take(self) -> bool:
        """Claim what there is room for; return whether anything was claimed."""
        if self._is_behind():
            return False
        self._adopt()
        if time.monotonic() >= self._look_at:
            self._look()
        claimed = False
        for webhook_id in list(self._due):
            line = self.lines.get(webhook_id)
            if line is None or not self._has_room(line):
                continue
            # Whoever has waited for another try goes before whoever has not been tried.
            if self._due[webhook_id]:
                claimed = self._due[webhook_id] = self._take_messages(line)
            elif self._take_chunk(line):
                claimed = True
            else:
                del self._due[webhook_id]
        return claimed

    def _adopt(self) -> None:
        """Hand back what claims took whose answer was lost with the connection."""
        while self._orphans:
            with connection.cursor() as cursor:
                claiming.hand_back_all(cursor, *self._orphans[-1])
            self._orphans.pop()

    def _is_behind(self) -> bool:
        """Tell whether a lease of ours ran out unseen: claiming now could take our own work."""
        return any(held.lease.left() <= 0 for line in self.lines.values() for held in line.holds)

    def _look(self) -> None:
        """Ask which webhooks have something due; take lanes and waiting messages of theirs."""
        self._look_at = time.monotonic() + self._options.idle_seconds
        with connection.cursor() as cursor:
            due, now = claiming.due_webhooks(cursor, plan_ids=self._plan_ids)
        if now is not None:
            self._clock.set(now)
        self._due = {
            webhook.id: webhook.has_messages
            for webhook in due
            if self._only in (None, webhook.id) and self._line(webhook.id, webhook.concurrency)
        }
        for line in list(self.lines.values()):
            if not line.holds and line.webhook_id not in self._due:
                self.close(line)

    def _line(self, webhook_id: int, concurrency: int) -> bool:
        """Have lanes of a webhook, one part more at each look; False when none is free."""
        line = self.lines.get(webhook_id)
        if line is not None and line.lane_lease is not None and line.lane_lease.lost:
            self._keeper.release(line.lane_lease)
            line.lane_lease, line.lane_numbers = None, []
        if line is not None and line.lane_lease is not None and self._is_over(line):
            if not line.holds:
                self.close(line)
            return False
        count = lanes.count_of(concurrency)
        held = sum(number < count for number in line.lane_numbers) if line else 0
        is_new = line is None
        is_due = line is None or time.monotonic() >= line.lanes_at
        if is_due and held < count and (line is None or self._is_wanting(line)):
            token = line.lane_lease.token if line and line.lane_lease else uuid4()
            began = time.monotonic()
            taken = lanes.take(
                webhook_id,
                concurrency=concurrency,
                wanted=max(1, count // 4),
                token=token,
                seconds=self._keeper.seconds,
            )
            if taken:
                line = line or self._new_line(webhook_id)
                if line is None:
                    lanes.give_back(webhook_id, token)
                    return False
                if line.lane_lease is None:
                    line.since = began
                    line.lane_lease = self._keeper.hold(
                        "webhooks_lane", [webhook_id], token, began=began
                    )
                line.lane_numbers += taken
                with connection.cursor() as cursor:
                    claiming.served(cursor, webhook_id)
            elif line is not None:
                line.lanes_at = began + LANES_SECONDS
        # One that holds nothing back is read with the flags.
        if line is not None and (is_new or line.breaker is not None):
            self._wake(line)
        return line is not None and line.slots > 0

    def _is_wanting(self, line: Line) -> bool:
        """Tell whether we can have more open than our lanes carry; other lanes are for others."""
        return line.slots < self._options.slots

    def _wake(self, line: Line) -> None:
        """Begin to probe a receiver in trouble when its pause is over."""
        found = breaker.read([line.webhook_id]).get(line.webhook_id)
        if found is not None and found.state != BreakerState.CLOSED:
            rules, now = self._options.breaker, self._clock.now()
            found = breaker.wake(line.webhook_id, now=now, rules=rules)
        line.breaker = found

    def _is_over(self, line: Line) -> bool:
        """Tell whether it is time to let other senders have a turn."""
        return time.monotonic() - line.since > self._options.drain_seconds

    def _new_line(self, webhook_id: int) -> Line | None:
        target = self._target(webhook_id)
        if target is None:
            return None
        line = Line(webhook_id, target, self._judge(target))
        self.lines[webhook_id] = line
        return line

    def close(self, line: Line) -> None:
        """Give the lanes of a webhook back."""
        if line.lane_lease is not None:
            self._keeper.release(line.lane_lease)
            lanes.give_back(line.webhook_id, line.lane_lease.token)
        self.lines.pop(line.webhook_id, None)

    def _has_room(self, line: Line) -> bool:
        if (
            line.has_alone
            or sum(len(each.holds) for each in self.lines.values()) >= self._options.claims
        ):
            return False
        return line.chunks < self._options.chunks and line.ready < 2 * max(line.slots, 1)

    # --- Chunks -----------------------------------------------------------------------------------

    def _take_chunk(self, line: Line) -> bool:
        with self._claiming(line) as token:
            found = self._claim_chunk(line, token)
            if found is None:
                return False
            held, chunk, preparer = found
            if fault_points.ON:
                fault_points.reach("after_claim")
            passed = self._prepare(held, chunk, preparer)
        if passed is None:
            self._refuse(held)
            return False
        line.holds.append(held)
        for tried in passed:
            self._record(tried)
        return True

    @contextlib.contextmanager
    def _claiming(self, line: Line) -> Iterator[UUID]:
        """Give a token to claim with; what it took when this fails goes back as soon as it can."""
        token = uuid4()
        try:
            yield token
        except Exception:
            self._keeper.forget(token)
            self._orphans.append((line.webhook_id, token))
            raise

    def _claim_chunk(
        self, line: Line, token: UUID
    ) -> tuple[Held, ClaimedChunk, Preparer | None] | None:
        """Claim, and look at what a dead sender left, in one transaction."""
        with transaction.atomic(), connection.cursor() as cursor:
            found = claiming.claim_chunk(
                cursor,
                line.webhook_id,
                token=token,
                seconds=self._keeper.seconds,
                plan_ids=self._plan_ids,
            )
            if found is None:
                return None
            chunk, began, now = found
            self._clock.set(now)
            held = Held(
                lease=self._keeper.hold("webhooks_chunk", [chunk.id], token, began=began),
                webhook_id=line.webhook_id,
                chunk_id=chunk.id,
                plan=self.plans.get(chunk.plan_id),
                day=chunk.day,
                is_alone=chunk.claims >= claiming.CAREFUL_CLAIMS,
            )
            target = self.refresh(line)
            if target is None:
                return held, chunk, None
            preparer = Preparer(cursor, chunk, held, target)
            # Where intents are written, one may be left of a statement whose answer was lost.
            if chunk.was_open or held.is_alone or target.at_most_once:
                self._look_back(preparer, chunk, held)
            return held, chunk, preparer

    def _prepare(
        self, held: Held, chunk: ClaimedChunk, preparer: Preparer | None
    ) -> list[Tried] | None:
        """Read and render; None when nothing may or can go out."""
        if preparer is None or not self._may_go_out(chunk, held):
            return None
        try:
            with connection.cursor() as cursor:
                preparer.use(cursor)
                return preparer.messages(breathe=self._breathe)
        except (BindingError, ValidationError, ValueError) as error:
            # Of the plan or the webhook, not of one person: nobody fails for it.
            log.exception("plan_unsendable", plan=chunk.plan_id, error=type(error).__name__)
            control.stop_plan(chunk.plan_id, reason=control.UNSENDABLE, now=self._clock.now())
            return None

    def _look_back(self, preparer: Preparer, chunk: ClaimedChunk, held: Held) -> None:
        if chunk.was_open:
            log.warning("chunk_claimed_again", chunk=chunk.id, claims=chunk.claims)
        for ending in preparer.after_a_death():
            intent = Envelope(
                id="",
                body=b"",
                recipients=[ending.recipient],
                held=held,
                plan=held.plan,  # type: ignore[arg-type]  # A chunk has one.
                chunk_id=chunk.id,
                day=chunk.day,
                has_intent=True,
            )
            self._record(Tried(held, [ending], intent, outcome="unknown", tries=chunk.claims - 1))

    def _may_go_out(self, chunk: ClaimedChunk, held: Held) -> bool:
        """Ask the gates of the responsible member and the step's last moment, at each claim."""
        send_until = self._flags(chunk.plan_id).send_until
        if send_until is not None and send_until <= self._clock.now():
            closing.close_held(
                chunk.id, held.lease.token, to=StateByte.EXPIRED, reason="send_until"
            )
            return False
        return self._has_permission(chunk.plan_id)

    def _has_permission(self, plan_id: int) -> bool:
        """Ask both gates of the responsible member; without them the plan is paused.

        What was found open is good for a second: a busy sender claims many times in one.
        """
        now = time.monotonic()
        if self._open_until.get(plan_id, 0.0) > now:
            return True
        plans = Plan.objects.select_related("responsible", "webhook__workspace")
        plan = plans.filter(pk=plan_id).first()
        if plan is None:
            return False  # Its workspace was deleted.
        if plan.responsible and grants.gate(plan.responsible, plan.webhook).open:
            self._open_until[plan_id] = now + GATES_SECONDS
            return True
        control.lose_permission(plan_id, now=self._clock.now())
        log.warning("permission_lost", plan=plan_id)
        return False

    def _refuse(self, held: Held) -> None:
        with connection.cursor() as cursor:
            claiming.hand_back_chunk(cursor, held.chunk_id, held.lease.token, delay=REFUSED_SECONDS)
        self._keeper.release(held.lease)

    # --- Waiting messages -------------------------------------------------------------------------

    def _take_messages(self, line: Line) -> bool:
        """Claim what is due; return whether more is."""
        with self._claiming(line) as token, connection.cursor() as cursor:
            messages, began = claiming.claim_messages(
                cursor,
                line.webhook_id,
                token=token,
                seconds=self._keeper.seconds,
                plan_ids=self._plan_ids,
            )
            # What comes due meanwhile is taken together at the next look.
            has_more = len(messages) == claiming.MESSAGES_AT_ONCE
            messages = self._permitted(messages, cursor, token)
        if not messages:
            return has_more
        careful = [
            each for each in messages if claiming.CAREFUL_CLAIMS <= each.claims <= claiming.INTENT
        ]
        if careful:
            # One that senders died with is worked alone; the others wait for that.
            back = [each.id for each in messages if each is not careful[0]]
            with connection.cursor() as cursor:
                claiming.hand_back_messages(cursor, back, token)
            messages = careful[:1]
        ids = [each.id for each in messages]
        held = Held(
            lease=self._keeper.hold("webhooks_message", ids, token, began=began),
            webhook_id=line.webhook_id,
            is_alone=bool(careful),
        )
        line.holds.append(held)
        flags = control.read_flags(sorted({each.plan_id for each in messages}))
        with connection.cursor() as cursor:
            erased = claiming.erased(cursor, messages)
        for message in messages:
            self._take_message(line, held, message, flags, erased)
        return has_more

    def _permitted(
        self, messages: list[ClaimedMessage], cursor: CursorWrapper, token: UUID
    ) -> list[ClaimedMessage]:
        """Return those whose responsible member still has both gates; hand the others back."""
        plan_ids = {each.plan_id for each in messages}
        permitted = {plan_id for plan_id in plan_ids if self._has_permission(plan_id)}
        back = [each.id for each in messages if each.plan_id not in permitted]
        if back:
            claiming.hand_back_messages(cursor, back, token)
        return [each for each in messages if each.plan_id in permitted]

    def _take_message(
        self,
        line: Line,
        held: Held,
        message: ClaimedMessage,
        flags: Mapping[int, Flags],
        erased: Set[str],
    ) -> None:
        plan = self.plans.get(message.plan_id)
        send_until = flags[message.plan_id].send_until
        envelope = preparing.stored_envelope(message, held, plan)
        if message.claims > claiming.INTENT:
            state = StateByte.UNCERTAIN if line.target.at_most_once else StateByte.DEAD
            self._end(envelope, state, "unknown" if line.target.at_most_once else "poison")
        elif not erased.isdisjoint(message.delivery_ids):
            self._leave_out(envelope, erased)
        elif message.expires_at is not None and message.expires_at <= self._clock.now():
            self._end(envelope, StateByte.EXPIRED, "expired")
        elif send_until is not None and send_until <= self._clock.now():
            self._end(envelope, StateByte.EXPIRED, "send_until")
        else:
            envelope.ready_at = self._clock.seconds()
            held.ready.append(envelope)

    def _leave_out(self, envelope: Envelope, erased: Set[str]) -> None:
        """Cancel people who were erased; whoever else is in their message gets a new one."""
        left = [each.delivery_id for each in envelope.recipients if each.delivery_id not in erased]
        rows = Delivery.objects.filter(day=envelope.day, pk__in=left)
        reasons = dict(rows.values_list("pk", "reason"))
        people = rebuilding.read(envelope.day, left)
        now = self._clock.now()
        waiting = []
        if people:
            message_id = preparing.message_ids().one(left)
            waiting = [
                Waiting(
                    id=message_id,
                    body=rebuilding.body(envelope.plan, message_id, people),
                    recipients=people,
                    tries=envelope.tries,
                    delay=0.0,
                    first_attempt_at=envelope.first_attempt_at or now,
                    expires_at=envelope.expires_at or now,
                    kind=envelope.kind,
                    splits=envelope.splits,
                )
            ]
        gone = [each for each in envelope.recipients if each.delivery_id in erased]
        endings = [Ending(each, StateByte.CANCELLED, "erased") for each in gone]
        endings += [Ending(each, StateByte.WAITING, reasons[each.delivery_id]) for each in people]
        self._record(
            Tried(
                held=envelope.held,
                envelope=envelope,
                endings=endings,
                waiting=waiting,
                tries=envelope.tries,
                is_counted=False,
            )
        )

    def _end(self, envelope: Envelope, state: StateByte, reason: str) -> None:
        """End a waiting message's people without another try."""
        self._record(
            Tried(
                held=envelope.held,
                envelope=envelope,
                endings=[Ending(each, state, reason) for each in envelope.recipients],
                tries=envelope.tries,
                is_counted=False,
            )
        )

    # --- What acts at once ------------------------------------------------------------------------

    def refresh(self, line: Line) -> Target | None:
        """Read the webhook again when what is known of it is older than a second."""
        target = self._target(line.webhook_id)
        if target is not None and target is not line.target:
            line.target, line.judge = target, self._judge(target)
        return target

    def _target(self, webhook_id: int) -> Target | None:
        """Read a webhook; one whose key cannot be read is paused: nothing goes out unsigned."""
        try:
            return self.targets.get(webhook_id)
        except SecretError:
            control.stop_by_engine(
                webhook_id,
                state=WebhookState.PAUSED,
                reason=control.KEY_MISSING,
                now=self._clock.now(),
            )
            return None

    def _judge(self, target: Target) -> Judge:
        return Judge(
            target,
            message_ids=preparing.message_ids(),
            schedule=self._options.schedule,
            send_until=lambda plan: self._flags(plan.id).send_until,
        )
