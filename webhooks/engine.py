"""The sender: claims chunks and waiting messages, sends them, settles what comes back.

One process, one thread that sends and one that keeps the leases. No transaction is open
while the other side takes its time. Every sender looks into PostgreSQL itself; a hint from
the broker only shortens the wait.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from webhooks import (
    claiming,
    closing,
    control,
    fault_points,
    partitions,
    preparing,
    rates,
    rebuilding,
    redelivery,
    settling,
)
from webhooks.answers import Action, Verdict
from webhooks.choices import PlanState, StateByte, WebhookState
from webhooks.control import Flags
from webhooks.headers import message_lines
from webhooks.intake import LEFT_OVER_SECONDS, Intake
from webhooks.leases import Keeper
from webhooks.lines import Line, Options
from webhooks.models import Plan
from webhooks.outcomes import Repack
from webhooks.plans import CompiledPlan
from webhooks.receiver_health import ReceiverHealth
from webhooks.signals import deliveries_settled
from webhooks.transport import Answer, CurlTransport, Request, Transport
from webhooks.work import Clock, Envelope, Held, Recipient, Tried
from workspaces.heartbeats import Heart

log = structlog.get_logger(__name__)

# The longest a sender waits for the network before it looks after everything else.
POLL_SECONDS: Final = 0.02
HOUSEKEEPING_SECONDS: Final = 1.0
PARTITIONS_SECONDS: Final = 3_600.0
# After the database was gone, the first try to reach it again, doubling up to the second.
BACK_OFF_SECONDS: Final = (0.2, 5.0)
# At most so many intents are written before their sockets open.
INTENTS_AT_ONCE: Final = 100

_DATABASE_ERRORS: Final = (OperationalError, InterfaceError)


class Sender:
    """One sending loop. Make it after forking, in the thread that runs it."""

    def __init__(
        self,
        *,
        options: Options | None = None,
        transport: Transport | None = None,
        webhook_id: int | None = None,
        plan_ids: Sequence[int] | None = None,
    ) -> None:
        """``webhook_id`` or ``plan_ids``: serve those alone; without a transport, libcurl sends."""
        self.options = options or Options.of_settings()
        self.transport = transport or CurlTransport(slots=self.options.slots)
        self.settled = 0
        self.is_stopping = False
        # Asked each second: a child whose parent is gone ends.
        self.is_wanted: Callable[[], bool] = lambda: True
        self._clock = Clock()
        self._keeper = Keeper(self.options.lease_seconds)
        self._heart: Heart | None = None
        self._intake = Intake(
            options=self.options,
            keeper=self._keeper,
            clock=self._clock,
            only=webhook_id,
            plan_ids=plan_ids,
            record=self._record,
            flags=self._flag,
            breathe=self._breathe,
        )
        self._health = ReceiverHealth(
            lines=self._intake.lines,
            clock=self._clock,
            rules=self.options.breaker,
            drop=self._drop,
        )
        self._pending: list[Tried] = []
        self._pending_people = 0
        self._flush_at = 0.0
        self._flags: dict[int, Flags] = {}
        self._flags_at = 0.0
        self._housekeeping_at = self._partitions_at = 0.0
        self._is_tuned = False
        self._down_until = 0.0
        self._back_off = BACK_OFF_SECONDS[0]

    # --- Running ----------------------------------------------------------------------------------

    def start(self) -> None:
        self._keeper.start()

    def _tune(self) -> None:
        """Set what this session differs in from others.

        Pages are in memory, else the planner reads whole tables for 500 people. And a sender
        that is frozen within a transaction must not keep its rows locked beyond its lease.
        """
        if not self._is_tuned:
            with connection.cursor() as cursor:
                cursor.execute("SET random_page_cost = 1.1")
                cursor.execute(
                    "SET idle_in_transaction_session_timeout = %s",
                    [int(self.options.lease_seconds * 1000)],
                )
            self._is_tuned = True

    def run(self, *, seconds: float | None = None) -> None:
        """Send until ``stop`` or for so long; then end what is open and hand back the rest."""
        self.start()
        self._heart = Heart("sender")
        until = None if seconds is None else time.monotonic() + seconds
        try:
            while not self.is_stopping and (until is None or time.monotonic() < until):
                if not self.turn():
                    time.sleep(self.options.idle_seconds / 2)
            self.finish()
            with self._surviving():
                self._heart.stop()
        finally:
            self.close()

    def drain(self, *, seconds: float) -> int:
        """Send until nothing is due or the time is over; return the number of people settled."""
        self.start()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and not self.is_stopping:
                if not self.turn() and not self._lines_hold_work():
                    break
            self.finish()
        finally:
            self.close()
        return self.settled

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when what is open has been settled."""
        self.is_stopping = True

    def turn(self) -> bool:
        """Do one round of everything; return whether there is anything in our hands."""
        self._send()
        # What came in is settled before anything is claimed: a lease that ran out while this
        # process was frozen, and that nobody took, is still good for that.
        if self._is_up and self._is_flush_due():
            with self._surviving():
                self._flush()
        if self._is_up:
            with self._surviving():
                self._look_after()
        return self._lines_hold_work()

    def finish(self) -> None:
        """Open nothing more, settle what is open, hand back the rest."""
        for line in self._intake.lines.values():
            line.clear()
        while self.transport.open or self._pending:
            self._collect(POLL_SECONDS)
            if self._pending and self._is_up:
                with self._surviving():
                    self._flush()
        with self._surviving():
            self._let_go()
            for line in list(self._intake.lines.values()):
                self._intake.close(line)

    def close(self) -> None:
        self._keeper.stop()
        self.transport.close()

    @property
    def _is_up(self) -> bool:
        """Whether the database was there when it was last needed, or may be asked again."""
        return time.monotonic() >= self._down_until

    def _lines_hold_work(self) -> bool:
        return bool(self._pending) or any(line.holds for line in self._intake.lines.values())

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Outlive a database that went away: connect anew after a while, with everything kept."""
        try:
            yield
            self._back_off = BACK_OFF_SECONDS[0]
        except _DATABASE_ERRORS as error:
            log.warning("database_away", error=type(error).__name__, seconds=self._back_off)
            with contextlib.suppress(*_DATABASE_ERRORS):
                connection.close()
            self._is_tuned = False
            self._down_until = time.monotonic() + self._back_off
            self._back_off = min(self._back_off * 2, BACK_OFF_SECONDS[1])

    # --- Looking after what is held ---------------------------------------------------------------

    def _look_after(self) -> None:
        self._tune()
        now = time.monotonic()
        if now >= self._flags_at:
            self._flags_at = now + self.options.flags_seconds
            self._read_flags()
            self._health.read()
            for line in self._intake.lines.values():
                self._intake.refresh(line)
        if now >= self._housekeeping_at:
            self._housekeeping_at = now + HOUSEKEEPING_SECONDS
            if not self.is_wanted():
                self.stop()
            if self._heart is not None:
                self._heart.beat(losses=self._keeper.losses)
            closing.close_cancelled()
            redelivery.work()
            self._health.tell()
        if now >= self._partitions_at:
            self._partitions_at = now + PARTITIONS_SECONDS
            partitions.ensure_ahead(now=timezone.now())
        self._let_go()
        if not self.is_stopping:
            self._intake.take()

    def _read_flags(self) -> None:
        plans = {
            plan.id
            for line in self._intake.lines.values()
            for held in line.holds
            for plan in self._plans_of(held)
        }
        self._flags = control.read_flags(sorted(plans)) if plans else {}

    @staticmethod
    def _plans_of(held: Held) -> list[CompiledPlan]:
        if held.plan is not None:
            return [held.plan]
        return [envelope.plan for envelope in held.ready]

    def _flag(self, plan_id: int) -> Flags:
        found = self._flags.get(plan_id)
        if found is None:
            found = self._flags.setdefault(
                plan_id, control.read_flags([plan_id]).get(plan_id, Flags(plan=PlanState.CANCELLED))
            )
        return found

    def _let_go(self) -> None:
        """Release claims that are done, lost, paused or cancelled, once nothing of them is open."""
        for line in self._intake.lines.values():
            for held in list(line.holds):
                if held.lease.lost or self.is_stopping:
                    held.ready.clear()
                if held.ready or not held.is_idle:
                    continue
                line.holds.remove(held)
                self._release(held)

    def _release(self, held: Held) -> None:
        self._keeper.release(held.lease)
        if held.lease.lost:
            return
        if not held.chunk_id:
            with connection.cursor() as cursor:
                claiming.hand_back_messages(cursor, held.lease.ids, held.lease.token)
            return
        if held.plan is None:
            return
        flags = self._flag(held.plan.id)
        if flags.plan == PlanState.CANCELLED:
            closing.close_held(
                held.chunk_id, held.lease.token, to=StateByte.CANCELLED, reason="cancelled"
            )
        elif flags.send_until is not None and flags.send_until <= self._clock.now():
            closing.close_held(
                held.chunk_id, held.lease.token, to=StateByte.EXPIRED, reason="send_until"
            )
        else:
            # A chunk with nobody left to send to is not touched by this.
            with connection.cursor() as cursor:
                delay = LEFT_OVER_SECONDS if held.is_left_over else 0.0
                claiming.hand_back_chunk(cursor, held.chunk_id, held.lease.token, delay=delay)
        deliveries_settled.send(sender=Plan, plan_ids=[held.plan.id], chunk_ids=[held.chunk_id])

    # --- Sending ----------------------------------------------------------------------------------

    def _send(self) -> None:
        self._open_all()
        wait = POLL_SECONDS
        if self._pending:
            wait = min(wait, max(0.0, self._flush_at - time.monotonic()))
        if not self.transport.open and self._lines_hold_work():
            time.sleep(min(wait, 0.005))  # For a token, a lease or the database.
        self._collect(wait)

    def _open_all(self) -> None:
        lines = [line for line in self._intake.lines.values() if line.holds]
        # What senders died with has the process to itself.
        alone = next((line for line in lines if line.has_alone), None)
        for line in lines if alone is None else [alone]:
            # While the database is away nothing new is opened: it could not be settled.
            if self._is_up and not self.is_stopping:
                with self._surviving():
                    self._open(line)

    def _breathe(self) -> None:
        """Take what came in and open others in its place, as long as it need not be settled."""
        if not self._is_flush_due():
            self._collect(0.0)
            self._open_all()

    def _open(self, line: Line) -> None:
        slots = line.slots
        target = line.target
        for held, ready in line.queues():
            if line.open >= slots or not self.transport.free:
                return
            if not self._is_lasting(line, held):
                continue
            if line.has_alone and not held.is_alone:
                continue
            if held.is_alone or target.at_most_once:
                self._open_with_intent(line, held)
                continue
            room = min(slots - line.open, self.transport.free)
            plan_id = 0
            while ready and room:
                envelope = ready[0]
                # The flags do not change while this loop runs.
                if envelope.plan.id != plan_id and not self._may_open(held, envelope):
                    break
                plan_id = envelope.plan.id
                if not self._may_open_now(line, held):
                    break
                ready.popleft()
                self._submit(line, envelope)
                room -= 1

    def _is_lasting(self, line: Line, held: Held) -> bool:
        """Tell whether the lease outlasts what is opened now."""
        return held.lease.left() > line.target.timeout + self.options.margin_seconds

    def _may_open_now(self, line: Line, held: Held) -> bool:
        """Ask before each request what changes while they are opened.

        Whoever was frozen in between opens nothing more.
        """
        return (
            self._is_lasting(line, held)
            and (line.target.rate_per_second is None or self._has_token(line))
            and (line.breaker is None or self._health.may_open(line))
        )

    def _may_open(self, held: Held, envelope: Envelope) -> bool:
        """Read the flags; what may not be sent any more leaves our hands."""
        flags = self._flag(envelope.plan.id)
        late = flags.send_until is not None and flags.send_until <= self._clock.now()
        if flags.may_send and not late:
            return True
        if held.chunk_id:
            held.ready.clear()
        else:
            held.ready.remove(envelope)
        return False

    def _has_token(self, line: Line) -> bool:
        rate = line.target.rate_per_second
        if rate is None:
            return True
        if line.tokens < 1:
            now = time.monotonic()
            if now < line.tokens_at:
                return False
            line.tokens_at = now + 0.02
            wanted = max(1, min(line.slots, rate // 20))
            line.tokens += rates.take(line.webhook_id, rate=rate, wanted=wanted)
        if line.tokens < 1:
            return False
        line.tokens -= 1
        return True

    def _open_with_intent(self, line: Line, held: Held) -> None:
        """Write who may be open before they are; a chunk that kills senders is alone."""
        if held.is_alone and self.transport.open:
            return
        limit = 1 if held.is_alone else min(line.slots - line.open, self.transport.free)
        chosen: list[Envelope] = []
        while held.ready and len(chosen) < min(limit, INTENTS_AT_ONCE):
            envelope = held.ready[0]
            if not self._may_open(held, envelope) or not self._has_token(line):
                break
            if not self._health.may_open(line):
                break
            chosen.append(held.ready.popleft())
        if not chosen:
            return
        reason = preparing.INTENT_ONCE if line.target.at_most_once else preparing.INTENT_ALONE
        intended = settling.write_intents(held, chosen, reason=reason, now=self._clock.now())
        while intended and self._is_lasting(line, held):
            self._submit(line, intended.pop(0))
        if intended:
            # The writing took longer than the lease: nobody of these was open.
            settling.take_back(intended)
            held.ready.extendleft(reversed(intended))

    def _submit(self, line: Line, envelope: Envelope) -> None:
        target = line.target
        now = self._clock.seconds()
        timestamp = int(now)
        signature = (
            target.signer.sign(envelope.id, timestamp, envelope.body) if target.signer else None
        )
        envelope.opened_at = now
        if envelope.expires_at is not None:
            # In hand it waited for a token or a slot, which counts against no expiry.
            envelope.expires_at += timedelta(seconds=max(0.0, now - envelope.ready_at))
        envelope.held.open += 1
        line.open += 1
        request = Request(
            url=target.url,
            headers=target.lines(envelope.plan) + message_lines(envelope.id, timestamp, signature),
            body=envelope.body,
            timeout=target.timeout,
            recipients=len(envelope.recipients),
            fresh=target.at_most_once,
        )
        self.transport.submit(request, envelope)

    # --- Answers ----------------------------------------------------------------------------------

    def _collect(self, wait: float) -> None:
        answers = self.transport.poll(wait)
        if fault_points.ON and self.transport.open:
            fault_points.reach("after_request_sent")
        for answer in answers:
            if fault_points.ON:
                fault_points.reach("after_response")
            self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        envelope: Envelope = answer.token
        line = self._intake.lines[envelope.held.webhook_id]
        line.open -= 1
        envelope.held.open -= 1
        if (delivered := line.judge.at_once(envelope, answer)) is not None:
            self._health.succeeded(line)
            self._record(delivered)
            return
        tried, verdict = line.judge.judge(
            envelope, answer, now=self._clock.now(), repack=self._repack(envelope)
        )
        if verdict.action in (Action.PAUSE, Action.DISABLE):
            self._stop_webhook(line, envelope, verdict)
            return
        if self._health.judged(line, verdict):
            self._flush_at = 0.0  # The breaker is told with the flush.
        self._record(tried)

    def _repack(self, envelope: Envelope) -> Repack:
        def repack(message_id: str, recipients: Sequence[Recipient]) -> bytes:
            if envelope.is_stored:
                recipients = rebuilding.read(
                    envelope.day, [each.delivery_id for each in recipients]
                )
            return rebuilding.body(envelope.plan, message_id, recipients)

        return repack

    def _stop_webhook(self, line: Line, envelope: Envelope, verdict: Verdict) -> None:
        """Pause or disable the webhook; the message waits as if it had not been tried."""
        state = WebhookState.DISABLED if verdict.action is Action.DISABLE else WebhookState.PAUSED
        with self._surviving():
            settling.take_back([envelope])
            if control.stop_by_engine(
                line.webhook_id, state=state, reason=verdict.reason, now=self._clock.now()
            ):
                log.warning("webhook_stopped", webhook=line.webhook_id, reason=verdict.reason)
        self._drop(line)

    # --- Flushing ---------------------------------------------------------------------------------

    def _record(self, tried: Tried) -> None:
        if not self._pending:
            self._flush_at = time.monotonic() + self.options.flush_seconds
        self._pending.append(tried)
        self._pending_people += len(tried.endings)
        tried.held.unsettled += 1

    def _is_flush_due(self) -> bool:
        if not self._pending:
            return False
        return (
            len(self._pending) >= self.options.flush_answers
            or self._pending_people >= self.options.flush_people
            or time.monotonic() >= self._flush_at
            or self._is_last()
        )

    def _is_last(self) -> bool:
        """Tell whether nothing more comes in that what came in could wait for."""
        return not self.transport.open and not any(
            line.ready for line in self._intake.lines.values()
        )

    def _flush(self) -> None:
        """Settle everything that has come in; what fails here is settled again, and counts once."""
        flushing = self._pending
        settled = settling.settle(flushing)
        self._pending = []
        self._pending_people = 0
        for tried in flushing:
            tried.held.unsettled -= 1
        self.settled += settled.people
        if settled.late:
            log.warning("late_answers", people=settled.late)
        by_plan: dict[int, list[int]] = {}
        for plan_id, chunk_id in settled.ended if self._has_later(flushing) else ():
            by_plan.setdefault(plan_id, []).append(chunk_id)
        if by_plan:
            chunk_ids = sorted(chunk for found in by_plan.values() for chunk in found)
            deliveries_settled.send(sender=Plan, plan_ids=sorted(by_plan), chunk_ids=chunk_ids)
        self._health.flushed()

    @staticmethod
    def _has_later(tried: Sequence[Tried]) -> bool:
        """Tell whether people of chunks that nobody holds ended; held ones are told of later."""
        return any(each.envelope is not None and each.envelope.is_stored for each in tried)

    def _drop(self, line: Line) -> None:
        """Open nothing more of a webhook that stands still; its work goes back when it is idle."""
        self._flags_at = 0.0
        # A chunk that is being made ready is not in the line yet: what was read is not for it.
        self._flags = {}
        line.clear()


def drain(*, webhook_id: int | None = None, seconds: float = 20.0) -> int:
    """Send what is due, of one webhook or of all; return the number of people settled."""
    return Sender(webhook_id=webhook_id).drain(seconds=seconds)
