from typing import Self

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from workspaces.models.tenants import Workspace


class NoticeQuerySet(models.QuerySet["Notice"]):
    def unread(self) -> Self:
        return self.filter(read_at=None)


class Notice(models.Model):
    """One line behind a member's bell. Written by ``workspaces.notices.tell``."""

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="notices", verbose_name=_("workspace")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="notices",
        verbose_name=_("account"),
    )
    # The key of the sentence; it is put together in the reader's language.
    kind = models.CharField(_("kind"), max_length=50)
    params = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    url = models.CharField(_("link"), max_length=500, blank=True)
    # What the notice is about: nobody is told the same thing twice before reading it.
    subject = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(_("when"), auto_now_add=True)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)
    mailed_at = models.DateTimeField(_("mailed"), null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-created_at", "-pk"]
        indexes = [
            # Read by the list behind the bell.
            models.Index(fields=["user", "-created_at"], name="workspaces_notice_bell"),
            # Read on every page, by the bell's number.
            models.Index(
                fields=["user", "workspace"],
                condition=Q(read_at=None),
                name="workspaces_notice_unread",
            ),
            # Read every minute for what is to be mailed.
            models.Index(
                fields=["created_at"],
                condition=Q(mailed_at=None, read_at=None),
                name="workspaces_notice_to_mail",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "kind", "subject"],
                condition=Q(read_at=None) & ~Q(subject=""),
                name="workspaces_notice_not_told_twice",
            ),
        ]

    def __str__(self) -> str:
        return self.kind
