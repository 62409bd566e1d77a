"""Why people of a run wait, in plain words and what comes next."""

from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from journeys import runs
from journeys.choices import RunState
from journeys.ending import REASONS
from journeys.models import Run
from journeys.runs import Progress, StepProgress
from journeys.views import words
from webhooks import monitoring
from webhooks.answers import reason_sentence
from webhooks.choices import BreakerState, WebhookState
from webhooks.models import WebhookControl
from workspaces import heartbeats
from workspaces.models import Workspace
from workspaces.sentences import joined

# For so long a sender may be busy with others before somebody has to be told.
_PATIENCE_SECONDS = 60.0


def of(progress: Progress, *, now: datetime) -> list[str]:
    """Return why people wait; nothing while they are simply being sent to.

    That sending is stopped in the workspace stands at the head of every page.
    """
    run = progress.run
    workspace = run.journey.workspace
    found = []
    if run.state == RunState.PAUSED:
        return [_paused(run)]
    if run.state == RunState.SCHEDULED and run.starts_at <= now:
        found.append(_("It starts in a moment: the audience is being counted."))
    elif run.state == RunState.SCHEDULED:
        at = {"time": words.moment(run.starts_at, workspace, now=now)}
        found.append(_("It starts on %(time)s. Nobody is counted before.") % at)
    if run.state == RunState.PLANNING:
        found.append(_("Everybody in the audience is counted; the first are being sent to."))
    if run.closed_at and run.state == RunState.RUNNING and progress.waiting:
        found.append(_("Nobody enters any more; who is inside goes on to the end."))
    for step in progress.steps:
        if step.counts.queued:
            found += _at(step, workspace, now)
    return found


def _paused(run: Run) -> str:
    waiting = runs.inside(run.journey).total
    keep = ngettext(
        "Paused. Nobody is sent to; %(people)s person keeps their place.",
        "Paused. Nobody is sent to; %(people)s people keep their place.",
        waiting,
    ) % {"people": words.number(waiting)}
    why = REASONS.get(run.state_reason)
    return f"{why} {keep}" if why else keep


def _at(step: StepProgress, workspace: Workspace, now: datetime) -> list[str]:
    webhook, counts = step.plan.webhook, step.counts
    control = getattr(webhook, "control", None)
    if control and control.state != WebhookState.ACTIVE:
        return [_stopped(step, control)]
    if control and control.breaker != BreakerState.CLOSED:
        return [_left_alone(step, control, workspace, now)]
    found = []
    if control and control.breaker_ramp:
        found.append(_taken_up(step, control))
    queue = monitoring.queue_of(step.plan.pk, retrying=bool(counts.retrying))
    if queue.held:
        held = ngettext(
            "An operator holds %(people)s person back.",
            "An operator holds %(people)s people back.",
            queue.held,
        )
        found.append(held % {"people": words.number(queue.held)})
    if counts.retrying:
        found.append(_again(step, queue, now))
    if webhook.rate_per_second:
        most = {"webhook": webhook.name, "rate": words.number(webhook.rate_per_second)}
        found.append(_("%(webhook)s takes at most %(rate)s requests a second.") % most)
    if queue.overdue_seconds > _PATIENCE_SECONDS and not heartbeats.is_alive("sender"):
        found.append(
            _("Nothing is being sent at the moment: no sender is running. Ask the operator.")
        )
    return found


def _stopped(step: StepProgress, control: WebhookControl) -> str:
    shown = {"webhook": step.plan.webhook.name, "people": words.number(step.counts.queued)}
    why = str(reason_sentence(control.reason)) if control.reason else ""
    stopped = (
        _("%(webhook)s is paused, so %(people)s people wait.")
        if control.state == WebhookState.PAUSED
        else _("%(webhook)s is disabled, so %(people)s people wait.")
    )
    ask = _("An administrator can resume it.")
    return joined([stopped % shown, why, ask])


def _left_alone(
    step: StepProgress, control: WebhookControl, workspace: Workspace, now: datetime
) -> str:
    """Say since when and with what a system in trouble answers, and when it is asked again."""
    people = step.counts.queued
    since = control.breaker_opened_at or control.changed_at
    status = control.breaker_reason.removeprefix("status_")
    shown = {
        "webhook": step.plan.webhook.name,
        "status": status,
        "why": reason_sentence(control.breaker_reason),
        "since": words.moment(since, workspace, now=now),
        "people": words.number(people),
    }
    if status.isdecimal():
        sentence = ngettext(
            "%(webhook)s has been answering %(status)s since %(since)s; %(people)s person waits.",
            "%(webhook)s has been answering %(status)s since %(since)s; %(people)s people wait.",
            people,
        )
    else:
        sentence = ngettext(
            "%(webhook)s has been failing since %(since)s; %(people)s person waits. %(why)s",
            "%(webhook)s has been failing since %(since)s; %(people)s people wait. %(why)s",
            people,
        )
    return joined([sentence % shown, _next(control, now)])


def _next(control: WebhookControl, now: datetime) -> str:
    if control.breaker == BreakerState.PROBING:
        return _("A few requests are trying whether it works again.")
    until = control.breaker_until or now
    return _("The next try is in %(left)s.") % {"left": words.left((until - now).total_seconds())}


def _taken_up(step: StepProgress, control: WebhookControl) -> str:
    """Say that a system that works again is not yet sent to as fast as it may be."""
    sentence = ngettext(
        "%(webhook)s works again and is taken up slowly: %(count)s request at once so far.",
        "%(webhook)s works again and is taken up slowly: %(count)s requests at once so far.",
        control.breaker_ramp,
    )
    shown = {"webhook": step.plan.webhook.name, "count": words.number(control.breaker_ramp)}
    return sentence % shown


def _again(step: StepProgress, queue: monitoring.Queue, now: datetime) -> str:
    count = step.counts.retrying
    shown = {"people": words.number(count), "webhook": step.plan.webhook.name}
    sentence = ngettext(
        "%(people)s person waits for another try: %(webhook)s did not take the last one.",
        "%(people)s people wait for another try: %(webhook)s did not take the last one.",
        count,
    )
    parts = [sentence % shown]
    if queue.last_reason:
        parts.append(str(reason_sentence(queue.last_reason)))
    if queue.next_due and queue.next_due > now:
        left = {"left": words.left((queue.next_due - now).total_seconds())}
        parts.append(_("The next try is in %(left)s.") % left)
    return joined(parts)
