"""Stopping and starting: what people, and the engine itself, do to webhooks and plans.

All of it sets flags that senders read before each request; none of it takes a lease.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from webhooks import breaker, tasks
from webhooks.answers import MISCONFIGURED_IN_A_ROW
from webhooks.choices import PlanState, WebhookState
from webhooks.models import Chunk, Plan, Webhook, WebhookControl
from webhooks.signals import deliveries_settled
from workspaces import audit, notices, permissions

if TYPE_CHECKING:
    from workspaces.models import User

# Reasons of a webhook that the engine paused or disabled by itself; sentences: webhooks.answers.
MISCONFIGURED: Final = "misconfigured"
KEY_MISSING: Final = "key_missing"
FAILING: Final = "failing"
# The reason of a plan whose responsible member lost one of the two gates.
PERMISSION_LOST: Final = "permission_lost"
# The reason of a plan that no request can be made of, whoever it is for.
UNSENDABLE: Final = "unsendable"

# What its administrators read when the engine stops a webhook, by the reason.
_STOPPED: Final = {
    MISCONFIGURED: _(
        "The webhook “%(webhook)s” is paused: the other system refused %(count)d requests in a "
        "row. Check its key and URL, then resume it."
    ),
    KEY_MISSING: _(
        "The webhook “%(webhook)s” is paused: its key cannot be read. "
        "Ask the operator about the installation’s keys, then resume it."
    ),
    "certificate": _(
        "The webhook “%(webhook)s” is paused: the other system’s certificate cannot be trusted. "
        "Ask its developers to renew it, then resume the webhook."
    ),
    "egress": _(
        "The webhook “%(webhook)s” is paused: its URL leads to an address that may not be called. "
        "Change the URL, or ask the operator to allow the address."
    ),
    FAILING: _(
        "The webhook “%(webhook)s” is disabled: for a day the other system has answered with "
        "failures only. Ask its developers, then enable the webhook; the people wait."
    ),
    "gone": _(
        "The webhook “%(webhook)s” is disabled: the other system says that its URL is no longer "
        "in use. Ask its developers for the new one."
    ),
}
# What is told once of a trouble in which the engine goes on by itself.
_TROUBLE: Final = _(
    "The webhook “%(webhook)s” waits: most of the other system’s latest answers were failures. "
    "It is tried again by itself, and nobody is lost."
)
# What whoever waits for a webhook reads when it no longer sends, whoever stopped it.
_WAITS: Final = {
    WebhookState.PAUSED: _(
        "The webhook “%(webhook)s” is paused. People in its journeys wait until an administrator "
        "resumes it."
    ),
    WebhookState.DISABLED: _(
        "The webhook “%(webhook)s” is disabled. People in its journeys wait until an "
        "administrator enables it."
    ),
}


@dataclass(frozen=True, slots=True)
class Flags:
    """What a sender must know about one plan before each request."""

    plan: str = PlanState.ACTIVE
    webhook: str = WebhookState.ACTIVE
    is_stopped: bool = False
    send_until: datetime | None = None

    @property
    def may_send(self) -> bool:
        return (
            self.plan == PlanState.ACTIVE
            and self.webhook == WebhookState.ACTIVE
            and not self.is_stopped
        )


def read_flags(plan_ids: Sequence[int]) -> dict[int, Flags]:
    """Return the flags of plans, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.id, p.state, coalesce(c.state, 'active'), s.sending_stopped_at IS NOT NULL,"
            " p.send_until FROM webhooks_plan p"
            " JOIN workspaces_workspace s ON s.id = p.workspace_id"
            " LEFT JOIN webhooks_webhookcontrol c ON c.webhook_id = p.webhook_id"
            " WHERE p.id = ANY(%s)",
            [list(plan_ids)],
        )
        return {plan_id: Flags(*values) for plan_id, *values in cursor.fetchall()}


def register_notices() -> None:
    """Give the notices of this module their sentences; called when the app starts."""
    for reason, sentence in _STOPPED.items():
        notices.register(f"webhook_{reason}", sentence)
    notices.register("webhook_trouble", _TROUBLE)
    for state, sentence in _WAITS.items():
        notices.register(f"webhook_{state}", sentence)


# --- Webhooks -------------------------------------------------------------------------------------


def pause(*, webhook: Webhook, actor: "User | None", now: datetime, reason: str = "") -> bool:
    """Pause a webhook: its people wait; False when it was not active."""
    state, before = WebhookState.PAUSED, [WebhookState.ACTIVE]
    return _stop(webhook, state, before, actor=actor, now=now, reason=reason)


def disable(*, webhook: Webhook, actor: "User | None", now: datetime, reason: str = "") -> bool:
    """Disable a webhook: nothing is sent, and it is not offered for new steps."""
    before = [WebhookState.ACTIVE, WebhookState.PAUSED]
    return _stop(webhook, WebhookState.DISABLED, before, actor=actor, now=now, reason=reason)


@transaction.atomic
def _stop(
    webhook: Webhook,
    state: WebhookState,
    before: Sequence[WebhookState],
    *,
    actor: "User | None",
    now: datetime,
    reason: str,
) -> bool:
    if not _change(webhook, state, before, actor=actor, now=now, reason=reason):
        return False
    administrators = set(permissions.administrators_of(webhook.workspace))
    _tell(webhook, state, to=administrators - {actor}, url=_page_of(webhook))
    _tell_who_waits(webhook, state, besides=administrators | {actor})
    return True


@transaction.atomic
def resume(*, webhook: Webhook, actor: "User | None", now: datetime) -> bool:
    """Make a webhook active again, with its breaker closed."""
    stood = [WebhookState.PAUSED, WebhookState.DISABLED]
    if not _change(webhook, WebhookState.ACTIVE, stood, actor=actor, now=now, reason=""):
        return False
    WebhookControl.objects.filter(webhook=webhook).update(misconfigured_in_a_row=0)
    breaker.reset(webhook.pk)
    transaction.on_commit(partial(tasks.hint, webhook.pk))
    return True


@transaction.atomic
def stop_by_engine(webhook_id: int, *, state: WebhookState, reason: str, now: datetime) -> bool:
    """Pause or disable a webhook for what its answers say, and tell who has to know; once."""
    webhook = Webhook.objects.select_related("workspace").get(pk=webhook_id)
    if not _change(webhook, state, [WebhookState.ACTIVE], actor=None, now=now, reason=reason):
        return False
    notices.tell(
        workspace=webhook.workspace,
        kind=f"webhook_{reason}",
        params={"webhook": webhook.name, "count": MISCONFIGURED_IN_A_ROW},
        url=_page_of(webhook),
        subject=f"webhook:{webhook.pk}",
    )
    administrators = permissions.administrators_of(webhook.workspace)
    _tell_who_waits(webhook, state, besides=set(administrators))
    return True


def tell_of_trouble(webhook_id: int) -> None:
    """Tell administrators and whoever waits that a breaker has opened; once a trouble."""
    webhook = Webhook.objects.select_related("workspace").get(pk=webhook_id)
    notices.tell(
        workspace=webhook.workspace,
        kind="webhook_trouble",
        params={"webhook": webhook.name},
        url=_page_of(webhook),
        subject=f"webhook:{webhook.pk}",
    )
    administrators = permissions.administrators_of(webhook.workspace)
    to = _responsible(webhook) - set(administrators)
    notices.tell(
        workspace=webhook.workspace,
        kind="webhook_trouble",
        params={"webhook": webhook.name},
        url=webhook.workspace.get_absolute_url(),
        to=list(to),
        subject=f"webhook:{webhook.pk}",
    )


def _tell_who_waits(
    webhook: Webhook, state: WebhookState, *, besides: "Collection[User | None]"
) -> None:
    """Tell the members who are responsible for people that are still to be sent to."""
    to = [user for user in _responsible(webhook) if user not in besides]
    _tell(webhook, state, to=to, url=webhook.workspace.get_absolute_url())


def _responsible(webhook: Webhook) -> "set[User]":
    """Return who is responsible for people that are still to be sent to."""
    waiting = Chunk.objects.filter(plan=OuterRef("pk"), queued__gt=0)
    plans = Plan.objects.filter(Exists(waiting), webhook=webhook, state=PlanState.ACTIVE)
    return {plan.responsible for plan in plans.select_related("responsible") if plan.responsible}


def _tell(
    webhook: Webhook, state: WebhookState, *, to: "Collection[User | None]", url: str
) -> None:
    notices.tell(
        workspace=webhook.workspace,
        kind=f"webhook_{state}",
        params={"webhook": webhook.name},
        url=url,
        to=[user for user in to if user],
        subject=f"webhook:{webhook.pk}",
    )


def _page_of(webhook: Webhook) -> str:
    return f"/admin/webhooks/webhook/{webhook.pk}/change/"


def note_misconfigured(webhook_id: int, *, run: int, is_continued: bool, pause_at: int) -> bool:
    """Count answers that say key or URL are wrong; tell whether enough came in a row to pause.

    Args:
        run: how many of them came since the last other answer.
        is_continued: whether no other answer came since the last call.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_webhookcontrol SET misconfigured_in_a_row ="
            " CASE WHEN %s THEN misconfigured_in_a_row ELSE 0 END + %s"
            " WHERE webhook_id = %s RETURNING misconfigured_in_a_row",
            [is_continued, run, webhook_id],
        )
        row = cursor.fetchone()
    return row is not None and pause_at > 0 and row[0] >= pause_at


def _change(
    webhook: Webhook,
    state: WebhookState,
    before: Sequence[WebhookState],
    *,
    actor: "User | None",
    now: datetime,
    reason: str,
) -> bool:
    """Change the state conditionally, so that two who do it at once do it once."""
    with transaction.atomic():
        old = WebhookControl.objects.select_for_update().filter(webhook=webhook).first()
        if old is None:
            old = WebhookControl.objects.create(webhook=webhook)
        if old.state not in before:
            return False
        WebhookControl.objects.filter(webhook=webhook).update(
            state=state, reason=reason, changed_at=now
        )
        audit.record(
            actor=actor,
            workspace=webhook.workspace,
            action=f"webhook.{state}",
            obj=webhook,
            changes={"state": [old.state, state], "reason": [old.reason, reason]},
        )
    return True


# --- Plans ----------------------------------------------------------------------------------------


def pause_plans(plan_ids: Sequence[int], *, now: datetime, reason: str = "") -> int:
    """Pause plans: what is open is settled, the rest waits; return how many were active."""
    return Plan.objects.filter(pk__in=plan_ids, state=PlanState.ACTIVE).update(
        state=PlanState.PAUSED, pause_reason=reason, paused_at=now
    )


@transaction.atomic
def resume_plans(plan_ids: Sequence[int], *, responsible: "User | None", now: datetime) -> int:
    """Let plans go on, with a new responsible member whose gates the caller has checked."""
    resumed = 0
    paused = Plan.objects.select_for_update().filter(pk__in=plan_ids, state=PlanState.PAUSED)
    for plan in paused:
        Plan.objects.filter(pk=plan.pk).update(
            state=PlanState.ACTIVE, pause_reason="", paused_at=None, responsible=responsible
        )
        transaction.on_commit(partial(tasks.hint, plan.webhook_id))
        resumed += 1
    return resumed


def cancel_plans(plan_ids: Sequence[int]) -> int:
    """Cancel plans for good: what is open is settled, everybody else ends cancelled soon after."""
    return (
        Plan.objects.filter(pk__in=plan_ids)
        .exclude(state=PlanState.CANCELLED)
        .update(state=PlanState.CANCELLED, pause_reason="")
    )


def lose_permission(plan_id: int, *, now: datetime) -> bool:
    """Pause a plan whose responsible member lost a gate; nobody fails, the layer above is told."""
    return stop_plan(plan_id, reason=PERMISSION_LOST, now=now)


def stop_plan(plan_id: int, *, reason: str, now: datetime) -> bool:
    """Pause a plan for a reason of the engine's own, and tell the layer above; once."""
    if not pause_plans([plan_id], now=now, reason=reason):
        return False
    deliveries_settled.send(sender=Plan, plan_ids=[plan_id], chunk_ids=[])
    return True
