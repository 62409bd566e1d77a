"""The core of a test send: one marked message to one typed ID, outside all statistics.

Webhook management and the step editor call the same ``send``. What is stored and shown is
masked: keys, the administrator's own headers, and the ID wherever it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core.cache import cache
from django.utils.translation import gettext as _

from identity import people
from identity.models import IdType
from webhooks import answers, grants
from webhooks.answers import Action, Outcome
from webhooks.models import TestSend, Webhook
from webhooks.test_requests import (
    TOKEN_LENGTH,
    Exact,
    InvalidOrderError,
    NotSentError,
    Order,
    make,
)
from webhooks.transport import Answer, Request, send_one
from workspaces import audit, permissions
from workspaces.models import User, Workspace
from workspaces.permissions import Point

__all__ = [
    "InvalidOrderError",
    "NotSentError",
    "Order",
    "Verdict",
    "accepted_in_management",
    "cancel",
    "last_of_step",
    "last_of_webhook",
    "send",
    "tags_of",
    "verdict_of",
]

LIMIT_WINDOW_SECONDS: Final = 60
TESTS_PER_USER: Final = 20  # In one window, as the two below.
TESTS_PER_WORKSPACE: Final = 60
# So long a second click with the same token finds the first one.
TOKEN_SECONDS: Final = 600
_SENDING: Final = "sending"
_CANCELLED: Final = "cancelled"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test ended, for the dialog: sentences first, then the exact exchange, masked."""

    accepted: bool
    sentences: tuple[str, ...]
    test: TestSend
    content: str = ""
    # Whether this is the answer of an earlier click with the same token.
    repeated: bool = False


Send = Callable[[Request], Answer]


def send(
    order: Order, *, actor: User, token: str, now: datetime, deliver: Send = send_one
) -> Verdict:
    """Send one test and tell how it ended.

    Args:
        token: made once for each showing of the dialog's form: a second click sends nothing.
        deliver: what carries the request; the one door out unless a test says otherwise.

    Raises:
        PermissionDenied: the actor neither manages webhooks nor passes both gates.
        InvalidOrderError: something typed has to be mended first.
        NotSentError: too many tests, sending is stopped, cancelled, or it is being sent already.
    """
    _require(order.webhook, actor)
    key = _token_key(actor, token)
    if (earlier := _earlier(order, key)) is not None:
        return earlier
    request, exact = make(order, token=token, now=now)
    _check_limits(order.webhook.workspace, actor)
    if not cache.add(key, _SENDING, TOKEN_SECONDS):
        if cache.get(key) == _CANCELLED:
            raise NotSentError(_("The test was cancelled; nothing was sent."))
        raise NotSentError(_("This test is being sent already."))
    try:
        answer = deliver(request)
    except BaseException:
        cache.delete(key)
        raise
    verdict = _settle(order, actor, now, exact, answer)
    cache.set(key, verdict.test.pk, TOKEN_SECONDS)
    return verdict


def cancel(*, actor: User, token: str) -> bool:
    """Keep a test that is not on its way yet from being sent; False when it is."""
    return bool(cache.add(_token_key(actor, token), _CANCELLED, TOKEN_SECONDS))


def last_of_webhook(webhook: Webhook, limit: int = 5) -> list[TestSend]:
    """Return the newest tests of a webhook from management and steps alike."""
    return list(TestSend.objects.filter(webhook=webhook).select_related("sent_by")[:limit])


def last_of_step(step_key: UUID, limit: int = 5) -> list[TestSend]:
    return list(TestSend.objects.filter(step_key=step_key).select_related("sent_by")[:limit])


def accepted_in_management(webhook: Webhook) -> TestSend | None:
    """Return the newest accepted management test of its revision; a step's is optional then."""
    return (
        TestSend.objects.filter(
            webhook=webhook, revision=webhook.revision, step_key=None, accepted=True
        )
        .select_related("sent_by")
        .first()
    )


def tags_of(workspace: Workspace, id_type: IdType, typed_id: str) -> dict[str, Any] | None:
    """Return the tags of the person with this ID, for a test's first values; None for nobody."""
    found = people.find(workspace, value=typed_id, id_type=id_type)
    return dict(found[0].tags) if found else None


def verdict_of(test: TestSend, *, repeated: bool = False) -> Verdict:
    """Return a stored test as a verdict, in the reader's language."""
    return Verdict(test.accepted, _sentences(test), test, repeated=repeated)


# --- Before ---------------------------------------------------------------------------------------


def _require(webhook: Webhook, actor: User) -> None:
    if not permissions.has_point(actor, webhook.workspace, Point.WEBHOOK_MANAGEMENT):
        grants.require(actor, webhook)
    if webhook.workspace.sending_is_stopped:
        raise NotSentError(
            _("Sending is stopped in this workspace: %(reason)s")
            % {"reason": webhook.workspace.sending_stopped_reason}
        )


def _token_key(actor: User, token: str) -> str:
    return f"webhooks.test_sends:{actor.pk}:{token[:TOKEN_LENGTH]}"


def _earlier(order: Order, key: str) -> Verdict | None:
    """Return the verdict of an earlier click with the same token."""
    state = cache.get(key)
    if not isinstance(state, int):
        return None
    test = TestSend.objects.filter(pk=state, webhook=order.webhook).first()
    return verdict_of(test, repeated=True) if test else None


def _check_limits(workspace: Workspace, actor: User) -> None:
    """Count this test against the member's and the workspace's limit."""
    for name, limit in (
        (f"user:{actor.pk}", TESTS_PER_USER),
        (f"workspace:{workspace.pk}", TESTS_PER_WORKSPACE),
    ):
        key = f"webhooks.test_sends:limit:{name}"
        cache.add(key, 0, LIMIT_WINDOW_SECONDS)
        try:
            count = cache.incr(key)
        except ValueError:  # It ran out between the two calls.
            continue
        if count > limit:
            raise NotSentError(
                _("That were many tests in a short time. Wait a minute, then try again.")
            )


# --- After ----------------------------------------------------------------------------------------


def _settle(order: Order, actor: User, now: datetime, exact: Exact, answer: Answer) -> Verdict:
    accepted, reason = _judge(order.webhook, exact, answer)
    test = TestSend.objects.create(
        workspace=order.webhook.workspace,
        webhook=order.webhook,
        revision=order.revision.number,
        step_key=order.step_key,
        fingerprint=order.fingerprint,
        sent_by=actor,
        sent_at=now,
        id_type_code=order.id_type.code,
        masked_id=exact.masked_id[:200],
        accepted=accepted,
        outcome=reason[:20] if answer.outcome is Outcome.ANSWERED else answer.outcome.value,
        status_code=answer.status,
        duration_ms=answer.milliseconds,
        request_text=exact.text(),
        answer_text=exact.answer(_answer_text(answer)),
    )
    audit.record(
        actor=actor,
        workspace=order.webhook.workspace,
        action="webhook.tested",
        obj=order.webhook,
        changes={"to": exact.masked_id, "accepted": accepted, "status": answer.status},
    )
    return Verdict(accepted, _sentences(test), test, exact.content)


def _judge(webhook: Webhook, exact: Exact, answer: Answer) -> tuple[bool, str]:
    """Return whether the other system took the message, by the engine's own table, and why not."""
    rule = (
        answers.SuccessRule(webhook.success_field, webhook.success_value)
        if webhook.success_field
        else None
    )
    verdict = answers.judge(
        answer.outcome,
        answer.status,
        guarantee=webhook.guarantee,
        answers_409=webhook.answers_409,
        rule=rule,
        body=answer.body,
    )
    if verdict.action is not Action.DELIVERED:
        return False, verdict.reason
    failed = answers.read_results(answer.body, [exact.delivery_id], truncated=answer.truncated)
    if failed:
        return False, failed[exact.delivery_id].verdict().reason
    return True, "delivered"


def _sentences(test: TestSend) -> tuple[str, ...]:
    webhook = test.webhook
    if test.accepted:
        took = _("%(webhook)s accepted the test (%(status)s, %(time)s ms).") % {
            "webhook": webhook.name,
            "status": test.status_code,
            "time": test.duration_ms,
        }
        check = _("Check that it shows the request and that %(id)s got the message.") % {
            "id": test.masked_id
        }
        # The unit stays beside its number.
        return took.replace(" ms", "\u00a0ms"), check
    is_network = test.outcome in _NETWORK
    explained = answers.explain(
        Outcome(test.outcome) if is_network else Outcome.ANSWERED,
        test.status_code,
        reason=test.outcome,
    )
    return str(explained.what), str(explained.side), str(explained.advice)


_NETWORK: Final = frozenset(each.value for each in Outcome if each is not Outcome.ANSWERED)
_SHOWN_HEADERS: Final = ("http/", "content-type:", "retry-after:", "location:", "date:")


def _answer_text(answer: Answer) -> str:
    head = [line for line in answer.header_lines if line.lower().startswith(_SHOWN_HEADERS)]
    more = "\n…" if answer.truncated else ""
    return "\n".join([*head, "", answer.kept + more]).strip()
