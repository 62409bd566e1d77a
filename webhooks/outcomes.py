"""From an answer to what becomes of each person of its message. Pure: no database, no network."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from webhooks import answers, retry
from webhooks.answers import Action, Outcome, ResultsError, SuccessRule, Verdict
from webhooks.choices import Guarantee, StateByte
from webhooks.ids import MessageIds
from webhooks.plans import CompiledPlan
from webhooks.retry import End
from webhooks.targets import Target
from webhooks.transport import Answer
from webhooks.work import Ending, Envelope, Recipient, Tried, Waiting

# A misconfigured webhook's people are tried again after this, without using an attempt.
MISCONFIGURED_DELAY: Final = timedelta(seconds=5)

_STATES: Final = {
    Action.DELIVERED: StateByte.DELIVERED,
    Action.DEAD: StateByte.DEAD,
    Action.UNCERTAIN: StateByte.UNCERTAIN,
}

# Makes the bytes of a new message out of some people of another: (id, people) -> body.
Repack = Callable[[str, Sequence[Recipient]], bytes]


class Judge:
    """Decides what follows from the answers of one webhook."""

    def __init__(
        self,
        target: Target,
        *,
        message_ids: MessageIds,
        schedule: Sequence[timedelta] = retry.SCHEDULE,
        send_until: Callable[[CompiledPlan], datetime | None] = lambda plan: None,
    ) -> None:
        self._target = target
        self._message_ids = message_ids
        self._schedule = schedule
        self._send_until = send_until
        self._guarantee = Guarantee.AT_MOST_ONCE if target.at_most_once else Guarantee.AT_LEAST_ONCE
        self._rule = (
            SuccessRule(target.success_field, target.success_value)
            if target.success_field
            else None
        )

    def verdict(self, answer: Answer, recipients: int) -> Verdict:
        return answers.judge(
            answer.outcome,
            answer.status,
            guarantee=self._guarantee,
            answers_409=self._target.answers_409,
            rule=self._rule,
            body=answer.body,
            recipients=recipients,
        )

    def at_once(self, envelope: Envelope, answer: Answer) -> Tried | None:
        """Return the commonest end without further ado: a 2xx with nothing to read in it."""
        status = answer.status or 0
        if self._rule is not None or answer.body or not 200 <= status < 300:
            return None
        return Tried(
            held=envelope.held,
            endings=[Ending(each, StateByte.DELIVERED, "") for each in envelope.recipients],
            envelope=envelope,
            outcome=Outcome.ANSWERED.value,
            status=status,
            duration_ms=answer.milliseconds,
            at=envelope.opened_at,
            tries=envelope.tries + 1,
        )

    def judge(
        self, envelope: Envelope, answer: Answer, *, now: datetime, repack: Repack
    ) -> tuple[Tried, Verdict]:
        """Return how the try ended for each person, and the verdict on the message.

        Verdicts that pause or disable the webhook end nobody: their people go on waiting.
        """
        verdict = self.verdict(answer, len(envelope.recipients))
        tried = Tried(
            held=envelope.held,
            endings=[],
            envelope=envelope,
            outcome=answer.outcome.value,
            status=answer.status,
            answer=answer.kept,
            duration_ms=answer.milliseconds,
            at=envelope.opened_at,
            tries=envelope.tries + 1,
        )
        match verdict.action:
            case Action.DELIVERED:
                verdict = self._delivered(tried, envelope, answer, verdict, now, repack)
            case Action.DEAD | Action.UNCERTAIN:
                state = _STATES[verdict.action]
                tried.endings = [
                    Ending(each, state, verdict.reason) for each in envelope.recipients
                ]
            case Action.RETRY:
                self._again(tried, envelope, envelope.recipients, verdict, answer, now, repack)
            case Action.WAIT:
                tried.tries -= 1
                tried.is_counted = False
                self._wait(tried, envelope, verdict, now)
            case Action.SPLIT:
                self._split(tried, envelope, verdict, now, repack)
            case Action.PAUSE | Action.DISABLE:
                tried.is_counted = False
        return tried, verdict

    def _delivered(
        self,
        tried: Tried,
        envelope: Envelope,
        answer: Answer,
        verdict: Verdict,
        now: datetime,
        repack: Repack,
    ) -> Verdict:
        recipients = envelope.recipients
        failures = {}
        if answer.body and answer.status != 409:
            try:
                failures = answers.read_results(
                    answer.body,
                    [each.delivery_id for each in recipients],
                    truncated=answer.truncated,
                )
            except ResultsError:
                return self._unreadable(tried, envelope, answer, now, repack)
        if not failures:
            tried.endings = [
                Ending(each, StateByte.DELIVERED, verdict.reason) for each in recipients
            ]
            return verdict
        again: list[Recipient] = []
        for each in recipients:
            failure = failures.get(each.delivery_id)
            if failure is None:
                tried.endings.append(Ending(each, StateByte.DELIVERED, ""))
            elif failure.retryable:
                again.append(each)
            else:
                tried.endings.append(Ending(each, StateByte.DEAD, failure.verdict().reason))
        if again:
            reason = Verdict(Action.RETRY, "recipient_failed")
            self._again(tried, envelope, again, reason, answer, now, repack)
        return verdict

    def _unreadable(
        self, tried: Tried, envelope: Envelope, answer: Answer, now: datetime, repack: Repack
    ) -> Verdict:
        """Settle a batch whose results cannot be read: once more under its id, or nobody knows."""
        verdict = Verdict(Action.RETRY, "results_unreadable")
        if self._target.at_most_once:
            tried.endings = [
                Ending(each, StateByte.UNCERTAIN, verdict.reason) for each in envelope.recipients
            ]
        else:
            self._again(tried, envelope, envelope.recipients, verdict, answer, now, repack)
        return verdict

    def _again(
        self,
        tried: Tried,
        envelope: Envelope,
        recipients: Sequence[Recipient],
        verdict: Verdict,
        answer: Answer,
        now: datetime,
        repack: Repack,
    ) -> None:
        first, expires = self._times(envelope, now)
        following = retry.next_try(
            tried.tries - envelope.splits,
            now=now,
            first_attempt_at=first,
            waited=expires - self._target.expire_after - first,
            expire_after=self._target.expire_after,
            send_until=self._send_until(envelope.plan),
            retry_after=retry.read_retry_after(answer.retry_after, now=now)
            if answer.retry_after
            else None,
            schedule=self._schedule,
        )
        if following.due_at is None:
            is_dead = following.end is End.EXHAUSTED
            state = StateByte.DEAD if is_dead else StateByte.EXPIRED
            reason = verdict.reason if is_dead else End.EXPIRED.value
            tried.endings += [Ending(each, state, reason) for each in recipients]
            return
        delay = (following.due_at - now).total_seconds()
        tried.waiting.append(self._waiting(tried, envelope, recipients, delay, now, repack))
        tried.endings += [Ending(each, StateByte.WAITING, verdict.reason) for each in recipients]

    def _wait(self, tried: Tried, envelope: Envelope, verdict: Verdict, now: datetime) -> None:
        first, expires = self._times(envelope, now)
        delay = MISCONFIGURED_DELAY.total_seconds()
        waiting = Waiting(
            envelope.id,
            envelope.body,
            envelope.recipients,
            envelope.tries,
            delay,
            first,
            expires + MISCONFIGURED_DELAY,
            envelope.kind,
            envelope.splits,
        )
        tried.waiting.append(waiting)
        tried.endings = [
            Ending(each, StateByte.WAITING, verdict.reason) for each in envelope.recipients
        ]

    def _split(
        self, tried: Tried, envelope: Envelope, verdict: Verdict, now: datetime, repack: Repack
    ) -> None:
        """Try both halves at once, each as a message of its own with the schedule before it."""
        middle = len(envelope.recipients) // 2
        for half in (envelope.recipients[:middle], envelope.recipients[middle:]):
            waiting = self._waiting(tried, envelope, half, 0, now, repack)
            waiting.splits += 1
            tried.waiting.append(waiting)
        tried.endings = [
            Ending(each, StateByte.WAITING, verdict.reason) for each in envelope.recipients
        ]

    def _waiting(
        self,
        tried: Tried,
        envelope: Envelope,
        recipients: Sequence[Recipient],
        delay: float,
        now: datetime,
        repack: Repack,
    ) -> Waiting:
        """Keep id and bytes when all people of the message are tried again, else make a new one."""
        first, expires = self._times(envelope, now)
        message_id, body = envelope.id, envelope.body
        if len(recipients) < len(envelope.recipients):
            message_id = self._message_ids.one([each.delivery_id for each in recipients])
            body = repack(message_id, recipients)
        return Waiting(
            message_id,
            body,
            list(recipients),
            tried.tries,
            delay,
            first,
            expires,
            envelope.kind,
            envelope.splits,
        )

    def _times(self, envelope: Envelope, now: datetime) -> tuple[datetime, datetime]:
        """Return when the first attempt was and when trying ends."""
        first = envelope.first_attempt_at
        if first is None:
            opened = envelope.opened_at
            first = now if opened is None else datetime.fromtimestamp(opened, UTC)
        return first, envelope.expires_at or first + self._target.expire_after
