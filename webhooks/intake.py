"""How a sender comes by work: whose turn it is, lanes, claims, gates, the read of a chunk."""

import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import structlog
from django.db import connection, transaction

from webhooks import claiming, closing, control, grants, lanes, preparing
from webhooks.choices import PlanState, StateByte, WebhookState
from webhooks.leases import Keeper
from webhooks.lines import Line, Options
from webhooks.models import Plan
from webhooks.outcomes import Judge
from webhooks.plans import PlanCache
from webhooks.preparing import Preparer
from webhooks.secrets import SecretError
from webhooks.targets import Target, TargetCache
from webhooks.work import ClaimedChunk, ClaimedMessage, Clock, Ending, Envelope, Held, Tried

log = structlog.get_logger(__name__)

# Somebody who waits for a merged person's other chunk is looked at again after this.
LEFT_OVER_SECONDS: Final = 5.0
# Claimed again after this when a chunk's webhook cannot be sent to as it is.
REFUSED_SECONDS: Final = 5.0


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
    ) -> None:
        """``record`` takes how those ended who get no message; ``only`` serves one webhook."""
        self.lines: dict[int, Line] = {}
        self.plans = PlanCache()
        self.targets = TargetCache()
        self._options = options
        self._keeper = keeper
        self._clock = clock
        self._only = only
        self._record = record
        self._due: list[int] = []
        self._look_at = 0.0

    # --- Whose turn it is -------------------------------------------------------------------------

    def take(self) -> bool:
        """Claim what there is room for; return whether anything was claimed."""
        if self._is_behind():
            return False
        if time.monotonic() >= self._look_at:
            self._look()
        claimed = False
        for webhook_id in list(self._due):
            line = self.lines.get(webhook_id)
            if line is None or not self._has_room(line):
                continue
            if self._take_chunk(line):
                claimed = True
            else:
                self._due.remove(webhook_id)
        return claimed

    def _is_behind(self) -> bool:
        """Tell whether a lease of ours ran out unseen: claiming now could take our own work."""
        return any(held.lease.left() <= 0 for line in self.lines.values() for held in line.holds)

    def _look(self) -> None:
        """Ask which webhooks have something due; take lanes and waiting messages of theirs."""
        self._look_at = time.monotonic() + self._options.idle_seconds
        with connection.cursor() as cursor:
            due, now = claiming.due_webhooks(cursor)
        if now is not None:
            self._clock.set(now)
        self._due = []
        for webhook_id, concurrency in due:
            if self._only in (None, webhook_id) and self._line(webhook_id, concurrency):
                self._due.append(webhook_id)
        for webhook_id in self._due:
            line = self.lines[webhook_id]
            if self._has_room(line):
                self._take_messages(line)
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
        if line is None or len(line.lane_numbers) < count:
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
        return line is not None and line.slots > 0

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
        with transaction.atomic(), connection.cursor() as cursor:
            found = claiming.claim_chunk(cursor, line.webhook_id, seconds=self._keeper.seconds)
            if found is None:
                return False
            chunk, token, began, now = found
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
            preparer = Preparer(cursor, chunk, held, target) if target else None
            # Where intents are written, one may be left of a statement whose answer was lost.
            has_intents = held.is_alone or (target is not None and target.at_most_once)
            if preparer is not None and (chunk.was_open or has_intents):
                self._look_back(preparer, chunk, held)
        if preparer is None or not self._may_go_out(chunk, held):
            self._refuse(held)
            return False
        with connection.cursor() as cursor:
            preparer.use(cursor)
            passed = preparer.messages(now=self._clock.now())
        line.holds.append(held)
        for tried in passed:
            self._record(tried)
        return True

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
        plan = Plan.objects.select_related("responsible", "webhook__workspace").get(
            pk=chunk.plan_id
        )
        if plan.send_until is not None and plan.send_until <= self._clock.now():
            closing.close_held(
                chunk.id, held.lease.token, to=StateByte.EXPIRED, reason="send_until"
            )
            return False
        if plan.state != PlanState.ACTIVE:
            return False
        if plan.responsible is None or not grants.gate(plan.responsible, plan.webhook).open:
            control.lose_permission(plan.pk, now=self._clock.now())
            log.warning("permission_lost", plan=plan.pk)
            return False
        return True

    def _refuse(self, held: Held) -> None:
        with connection.cursor() as cursor:
            claiming.hand_back_chunk(cursor, held.chunk_id, held.lease.token, delay=REFUSED_SECONDS)
        self._keeper.release(held.lease)

    # --- Waiting messages -------------------------------------------------------------------------

    def _take_messages(self, line: Line) -> None:
        with connection.cursor() as cursor:
            messages, token, began = claiming.claim_messages(
                cursor, line.webhook_id, seconds=self._keeper.seconds
            )
        if not messages:
            return
        careful = [each for each in messages if each.claims >= claiming.CAREFUL_CLAIMS]
        if careful and len(messages) > 1:
            # Worked one by one: all but the first of them, or all others, go back.
            kept = messages if len(careful) < len(messages) else careful[:1]
            kept = [each for each in kept if each not in careful] or careful[:1]
            back = [each.id for each in messages if each not in kept]
            with connection.cursor() as cursor:
                claiming.hand_back_messages(cursor, back, token)
            messages = kept
        ids = [each.id for each in messages]
        held = Held(
            lease=self._keeper.hold("webhooks_message", ids, token, began=began),
            webhook_id=line.webhook_id,
            is_alone=any(each.claims >= claiming.CAREFUL_CLAIMS for each in messages),
        )
        line.holds.append(held)
        for message in messages:
            self._take_message(line, held, message)

    def _take_message(self, line: Line, held: Held, message: ClaimedMessage) -> None:
        plan = self.plans.get(message.plan_id)
        envelope = preparing.stored_envelope(message, held, plan)
        if message.claims > claiming.INTENT:
            state = StateByte.UNCERTAIN if line.target.at_most_once else StateByte.DEAD
            self._end(envelope, state, "unknown" if line.target.at_most_once else "poison")
        elif message.expires_at is not None and message.expires_at <= self._clock.now():
            self._end(envelope, StateByte.EXPIRED, "expired")
        else:
            held.ready.append(envelope)

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
        return Judge(target, message_ids=preparing.message_ids(), schedule=self._options.schedule)
