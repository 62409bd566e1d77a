"""The two gates of a webhook step: the role's permission point and the usage grant.

Everybody who has to know whether a person may use a webhook asks here; nothing else
reads the grants, since guardian itself would ignore their end date.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from webhooks.models import GroupGrant, MemberGrant, UsageGrant, Webhook
from workspaces import permissions
from workspaces.permissions import Point

if TYPE_CHECKING:
    from workspaces.models import User, Workspace

USE = "use_webhook"


@dataclass(frozen=True, slots=True)
class Gates:
    """How one person stands before one webhook."""

    role: bool
    usage: bool
    ended_at: datetime | None = None

    @property
    def open(self) -> bool:
        return self.role and self.usage

    @property
    def missing(self) -> str:
        """Return a sentence that names what is missing, or an empty string."""
        if not self.role and not self.usage:
            return _(
                "The permission “User Marketing-Reach Marketing-Webhook” and the usage "
                "permission for this webhook are missing."
            )
        if not self.role:
            return _("The permission “User Marketing-Reach Marketing-Webhook” is missing.")
        if not self.usage and self.ended_at:
            return _("The usage permission for this webhook ended on %(date)s.") % {
                "date": date_format(timezone.localtime(self.ended_at), "DATETIME_FORMAT")
            }
        if not self.usage:
            return _("The usage permission for this webhook is missing.")
        return ""


def _granted_q(user: "User", live: Q) -> Q:
    member = MemberGrant.objects.filter(live, user=user, permission__codename=USE)
    group = GroupGrant.objects.filter(live, group__in=user.groups.all(), permission__codename=USE)
    return Q(pk__in=member.values("content_object")) | Q(pk__in=group.values("content_object"))


def usable_q(user: "User", workspace: "Workspace") -> Q:
    """Return the condition on webhooks of ``workspace`` that ``user`` passes both gates of."""
    if permissions.administers(user, workspace):
        return Q()
    if not permissions.has_point(user, workspace, Point.REACH_MARKETING_WEBHOOK):
        return Q(pk__in=[])
    return _granted_q(user, UsageGrant.live())


def gates(user: "User", webhooks: Sequence[Webhook], workspace: "Workspace") -> dict[int, Gates]:
    """Return how the user stands before each of the workspace's webhooks, by its id."""
    if permissions.administers(user, workspace):
        return {webhook.pk: Gates(role=True, usage=True) for webhook in webhooks}
    role = permissions.has_point(user, workspace, Point.REACH_MARKETING_WEBHOOK)
    groups = user.groups.all()
    now = timezone.now()
    live: set[int] = set()
    ended: dict[int, datetime] = {}
    ids = [webhook.pk for webhook in webhooks]
    rows = [
        *MemberGrant.objects.filter(
            user=user, content_object__in=ids, permission__codename=USE
        ).values_list("content_object_id", "ends_at"),
        *GroupGrant.objects.filter(
            group__in=groups, content_object__in=ids, permission__codename=USE
        ).values_list("content_object_id", "ends_at"),
    ]
    for webhook_id, ends_at in rows:
        if ends_at is None or ends_at > now:
            live.add(webhook_id)
        else:
            ended[webhook_id] = max(ends_at, ended.get(webhook_id, ends_at))
    active = user.is_active and permissions.workspaces_of(user).filter(pk=workspace.pk).exists()
    return {pk: Gates(role=role, usage=active and pk in live, ended_at=ended.get(pk)) for pk in ids}


def gate(user: "User", webhook: Webhook) -> Gates:
    return gates(user, [webhook], webhook.workspace)[webhook.pk]


def require(user: "User", webhook: Webhook) -> None:
    """Refuse a user who does not pass both gates.

    Raises:
        PermissionDenied: with the sentence that names the missing gate.
    """
    standing = gate(user, webhook)
    if not standing.open:
        raise PermissionDenied(standing.missing)
