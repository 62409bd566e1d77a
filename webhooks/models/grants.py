from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from webhooks.models.webhooks import Webhook


class UsageGrant(models.Model):
    """The permission to use one webhook: guardian's direct row with who, why and until when.

    Guardian itself ignores the end date, so these rows are read through
    ``webhooks.grants`` alone, never through ``has_perm`` and its like.
    """

    content_object = models.ForeignKey(Webhook, on_delete=models.CASCADE)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        verbose_name=_("granted by"),
    )
    granted_at = models.DateTimeField(_("granted at"), default=timezone.now)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)

    class Meta:
        abstract = True

    @staticmethod
    def live(now: datetime | None = None) -> Q:
        """Return the condition that a grant has not ended; from its end on it gives nothing."""
        return Q(ends_at__isnull=True) | Q(ends_at__gt=now or timezone.now())


class MemberGrant(UsageGrant, UserObjectPermissionBase):
    class Meta(UserObjectPermissionBase.Meta):
        verbose_name = _("usage permission of a member")
        verbose_name_plural = _("usage permissions of members")

    def __str__(self) -> str:
        return f"{self.content_object} · {self.user}"


class GroupGrant(UsageGrant, GroupObjectPermissionBase):
    """A grant to a role or to a member group, both of which are Django groups underneath."""

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = _("usage permission of a group")
        verbose_name_plural = _("usage permissions of groups")

    def __str__(self) -> str:
        return f"{self.content_object} · {self.group}"
