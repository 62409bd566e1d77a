"""Registering a webhook: what a first save adds, duplicating, and when one may be deleted."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webhooks import keys, own_headers, revisions
from webhooks.choices import Authentication, ParameterType, SecretKind, WebhookState
from webhooks.models import ChoiceList, Parameter, Webhook, WebhookControl, WebhookSecret
from webhooks.rendering import clean_name, name_problem, problems_in
from workspaces import audit

if TYPE_CHECKING:
    from workspaces.models import User

PARAMETERS = 50
NAME_LENGTH = 200


def prepare(webhook: Webhook, *, actor: "User | None") -> None:
    """Give a webhook that is not stored yet what no form asks for."""
    webhook.created_by = actor


@transaction.atomic
def settle(
    *, webhook: Webhook, actor: "User | None", now: datetime
) -> tuple[WebhookSecret, str] | None:
    """Bring what depends on a webhook in step after it was written, parameters and all.

    Freezes a revision when one is due, and makes the first signing key.

    Returns:
        The new key and its clear text, to be shown this once; None when none was due.
    """
    WebhookControl.objects.get_or_create(webhook=webhook)
    revisions.freeze(webhook=webhook, actor=actor)
    signs = webhook.authentication == Authentication.KEY
    if signs and not webhook.secrets.filter(kind=SecretKind.SIGNING).exists():
        return keys.make(webhook=webhook, kind=SecretKind.SIGNING, actor=actor, now=now)
    return None


def make_missing_receipt_key(
    *, webhook: Webhook, actor: "User | None", now: datetime
) -> WebhookSecret | None:
    """Make the key that receipts are reported under, when they are collected and there is none."""
    if not webhook.receipts_enabled or webhook.secrets.filter(kind=SecretKind.RECEIPT).exists():
        return None
    return keys.make(webhook=webhook, kind=SecretKind.RECEIPT, actor=actor, now=now)[0]


@transaction.atomic
def duplicate(
    *, webhook: Webhook, actor: "User | None", now: datetime
) -> tuple[Webhook, tuple[WebhookSecret, str] | None]:
    """Return a copy with a key of its own, and that key; usage permissions are not copied.

    The copy starts disabled, so that nothing is sent to two places before somebody looked at it.

    Raises:
        secrets.SecretError: its headers cannot be read under the installation's keys.
    """
    source = Webhook.objects.get(pk=webhook.pk)
    id_types = list(source.id_types.all())
    parameters = list(source.parameters.all())
    own = own_headers.reveal(source)
    source.pk = None
    source.name = _free_name(webhook)
    source.revision = 0
    source.public_id = uuid.uuid4()
    source.headers = own_headers.seal(source, own)
    prepare(source, actor=actor)
    source.save()
    source.id_types.set(id_types)
    for parameter in parameters:
        parameter.pk = None
        parameter.webhook = source
    Parameter.objects.bulk_create(parameters)
    WebhookControl.objects.create(
        webhook=source, state=WebhookState.DISABLED, reason="duplicate", changed_at=now
    )
    audit.record(
        actor=actor,
        workspace=source.workspace,
        action="webhook.duplicated",
        obj=source,
        changes={"from": webhook.name},
    )
    return source, settle(webhook=source, actor=actor, now=now)


def deletion_problem(webhook: Webhook) -> str:
    """Return the sentence that says why the webhook cannot be deleted, or an empty one."""
    if uses := webhook.uses.count():
        # Which ones stands at the head of its page, each with a link.
        return ngettext(
            "It cannot be deleted: %(count)s journey uses it. Disable it instead.",
            "It cannot be deleted: %(count)s journeys use it. Disable it instead.",
            uses,
        ) % {"count": revisions.grouped(uses)}
    if webhook.plans.exists():
        return _(
            "It cannot be deleted: journeys have sent through it and their record stays. "
            "Disable it instead."
        )
    return ""


@transaction.atomic
def delete(*, webhook: Webhook, actor: "User | None") -> None:
    """Delete a webhook that nothing uses.

    Raises:
        ValidationError: it is in use; the sentence says by what.
    """
    locked = Webhook.objects.select_for_update().get(pk=webhook.pk)
    if problem := deletion_problem(locked):
        raise ValidationError(problem, "in_use")
    audit.record(actor=actor, workspace=locked.workspace, action="webhook.deleted", obj=locked)
    locked.delete()


def refreeze_users_of(choice_list: ChoiceList, *, actor: "User | None") -> list[Webhook]:
    """Freeze a revision of every webhook whose parameters take the list's choices."""
    webhooks = list(Webhook.objects.filter(parameters__choice_list=choice_list).distinct())
    for webhook in webhooks:
        revisions.freeze(webhook=webhook, actor=actor)
    return webhooks


def parameter_name_problems(names: Iterable[str]) -> list[str | None]:
    """Return, for each name in its order, the sentence that says what is wrong with it, or None."""
    seen: set[str] = set()
    found: list[str | None] = []
    for name in names:
        clean = clean_name(name)
        problem = name_problem(name)
        if problem is None and clean in seen:
            problem = _("There are two parameters of this name.")
        seen.add(clean)
        found.append(None if problem is None else str(problem))
    return found


def constant_problem(kind: str, value: str) -> str:
    """Return the sentence that says why a constant text cannot hold ``value``, or an empty one."""
    if kind == ParameterType.TEXT and problems_in(value, ()):
        return _("A constant has no variables. Write $${…} where “${…}” is meant as plain text.")
    return ""


def _free_name(webhook: Webhook) -> str:
    """Return “Copy of …”, with a number when the workspace has it already."""
    taken = set(
        Webhook.objects.filter(workspace=webhook.workspace_id).values_list("name", flat=True)
    )
    base = _("Copy of %(name)s") % {"name": webhook.name}
    number = 1
    while True:
        tail = "" if number == 1 else f" ({number})"
        name = base[: NAME_LENGTH - len(tail)] + tail
        if name not in taken:
            return name
        number += 1
