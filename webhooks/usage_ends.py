"""Telling a week ahead that a usage permission ends."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext_lazy as _

from webhooks import granting
from webhooks.grants import USE
from webhooks.models import GroupGrant, MemberGrant, Webhook
from workspaces import notices, permissions
from workspaces.models import User

AHEAD: Final = timedelta(days=7)
_HOLDER, _MEMBER, _GROUP = "usage_ends", "usage_of_member_ends", "usage_of_group_ends"


def register_notices() -> None:
    """Give the notices of this module their sentences; called when the app starts."""
    sentences = {
        _HOLDER: _(
            "Your usage permission for the webhook “%(webhook)s” ends on %(date)s. "
            "Ask an administrator to give it for longer."
        ),
        _MEMBER: _(
            "The usage permission of %(holder)s for the webhook “%(webhook)s” ends on %(date)s. "
            "Give it again to make it last longer."
        ),
        _GROUP: _(
            "A usage permission of a role or member group for the webhook “%(webhook)s” ends on "
            "%(date)s. Give it again to make it last longer."
        ),
    }
    for kind, sentence in sentences.items():
        notices.register(kind, sentence)


def tell(*, now: datetime) -> None:
    """Tell holders and administrators of each end within the week, once; may run at any time."""
    ending: dict[Webhook, list[granting.Grant]] = defaultdict(list)
    for model in (MemberGrant, GroupGrant):
        found = model.objects.filter(
            ends_at__gt=now, ends_at__lte=now + AHEAD, permission__codename=USE
        )
        for grant in found.select_related("content_object__workspace").order_by("ends_at", "pk"):
            ending[grant.content_object].append(grant)
    for webhook, found_grants in ending.items():
        for grant in found_grants:
            if grant.ends_at:
                _tell(webhook, grant, grant.ends_at)


def _tell(webhook: Webhook, grant: granting.Grant, ends_at: datetime) -> None:
    workspace = webhook.workspace
    shown = {"webhook": webhook.name, "date": ends_at}
    # Another end is another thing to tell.
    subject = f"{grant._meta.model_name}:{grant.pk}:{ends_at.isoformat()}"
    administrators = list(permissions.administrators_of(workspace))
    notices.tell(
        workspace=workspace,
        kind=_HOLDER,
        params=shown,
        to=[user for user in _losing(webhook, grant, ends_at) if user not in administrators],
        subject=subject,
        once=True,
    )
    kind = _GROUP
    if isinstance(grant, MemberGrant):
        kind, shown = _MEMBER, {**shown, "holder": str(grant.user)}
    notices.tell(
        workspace=workspace,
        kind=kind,
        params=shown,
        url=f"/admin/webhooks/webhook/{webhook.pk}/change/#who",
        to=administrators,
        subject=subject,
        once=True,
    )


def _losing(webhook: Webhook, grant: granting.Grant, ends_at: datetime) -> list[User]:
    """Return whom this end leaves without the permission; others hold another that lasts longer."""
    if isinstance(grant, MemberGrant):
        holders = [grant.user]
    else:
        holders = list(User.objects.filter(groups=grant.group_id).order_by("pk"))
    held = granting.held_by_user(webhook)
    return [
        user
        for user in holders
        if all(end and end <= ends_at for _through, end in held.get(user.pk, []))
    ]
