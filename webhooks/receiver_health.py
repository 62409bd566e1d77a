"""What its answers say about a receiver as a whole, shared with the other senders.

A receiver in trouble is left alone by the breaker; one that says that key or URL is wrong pauses
its webhook. What came in is told once a second, with the flush when it could open the breaker, and
what others learned is read four times a second.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from webhooks import breaker, control
from webhooks.answers import Action, Verdict
from webhooks.breaker import Rules
from webhooks.choices import BreakerState, WebhookState
from webhooks.lines import Line
from webhooks.work import Clock

log = structlog.get_logger(__name__)


class ReceiverHealth:
    """Keeps the lines of one sender to what their receivers can take."""

    def __init__(
        self,
        *,
        lines: Mapping[int, Line],
        clock: Clock,
        rules: Rules,
        drop: Callable[[Line], None],
    ) -> None:
        """``drop`` opens nothing more of a webhook that was stopped."""
        self._lines = lines
        self._clock = clock
        self._rules = rules
        self._drop = drop

    # --- Before a request -------------------------------------------------------------------------

    def read(self) -> None:
        """See what other senders learned; what is not ours to send goes back."""
        found = breaker.read(list(self._lines)) if self._lines else {}
        for line in self._lines.values():
            line.breaker = found.get(line.webhook_id)
            if line.breaker is not None and not line.slots:
                line.clear()

    def may_open(self, line: Line) -> bool:
        """Tell whether a receiver in trouble may be asked once more; one taken up again may."""
        found = line.breaker
        if found is None or found.state != BreakerState.PROBING:
            return True
        if found.probes >= breaker.PROBES:
            return False
        if not breaker.take_probe(line.webhook_id):
            line.breaker = replace(found, probes=breaker.PROBES)
            return False
        return True

    # --- After an answer --------------------------------------------------------------------------

    def succeeded(self, line: Line) -> None:
        line.misconfigured = 0
        line.is_run_broken = True
        line.good += 1

    def judged(self, line: Line, verdict: Verdict) -> bool:
        """Count an answer; tell whether the breaker has to hear of it at once."""
        if verdict.action is Action.WAIT:
            line.misconfigured += 1
            line.pause_at = verdict.pause_at
            return False
        if not verdict.counts_as_failure:
            self.succeeded(line)
            return False
        line.misconfigured = 0
        line.is_run_broken = True
        line.failed, line.failure = line.failed + 1, verdict.reason
        return line.failed >= self._rules.results and self._is_bad(line)

    # --- Telling the others -----------------------------------------------------------------------

    def flushed(self) -> None:
        """Tell what may stop a webhook; that most is well has time until ``tell``."""
        for line in list(self._lines.values()):
            self._tell_misconfigured(line)
            if line.breaker is not None or self._is_bad(line):
                self._tell_breaker(line)

    def _is_bad(self, line: Line) -> bool:
        """Tell whether what came in could open the breaker."""
        return bool(line.failed) and line.failed >= self._rules.share * (line.good + line.failed)

    def tell(self) -> None:
        """Tell everything that came since it was last told."""
        for line in self._lines.values():
            self._tell_breaker(line)

    def _tell_breaker(self, line: Line) -> None:
        """Count for the breaker; an open one lets nothing more out."""
        if not line.good and not line.failed:
            return
        was = line.breaker.state if line.breaker else BreakerState.CLOSED
        now = self._clock.now()
        found, is_new = breaker.note(
            line.webhook_id,
            good=line.good,
            failed=line.failed,
            reason=line.failure,
            concurrency=line.target.concurrency,
            now=now,
            rules=self._rules,
        )
        line.good = line.failed = 0
        line.failure = ""
        line.breaker = found if found.limit is not None else None
        if found.state == BreakerState.OPEN:
            line.clear()
        if found.state == BreakerState.OPEN != was:
            log.warning("breaker_opened", webhook=line.webhook_id, reason=found.reason)
        if breaker.is_given_up(found, now=now, rules=self._rules):
            control.stop_by_engine(
                line.webhook_id, state=WebhookState.DISABLED, reason=control.FAILING, now=now
            )
        if is_new:
            control.tell_of_trouble(line.webhook_id)

    def _tell_misconfigured(self, line: Line) -> None:
        """Count, over all senders, the answers in a row that say that key or URL is wrong."""
        if not line.misconfigured:
            return
        run, line.misconfigured = line.misconfigured, 0
        is_continued, line.is_run_broken = not line.is_run_broken, False
        if control.note_misconfigured(
            line.webhook_id, run=run, is_continued=is_continued, pause_at=line.pause_at
        ):
            control.stop_by_engine(
                line.webhook_id,
                state=WebhookState.PAUSED,
                reason=control.MISCONFIGURED,
                now=self._clock.now(),
            )
            self._drop(line)
