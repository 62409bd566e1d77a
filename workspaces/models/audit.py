from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from workspaces import audit_words
from workspaces.choices import Via
from workspaces.models.tenants import Organization, Workspace
from workspaces.sentences import listed


class AuditEntry(models.Model):
    """Who changed what. A trigger refuses to update or delete a row.

    The references are without constraint, so that an entry outlives what it speaks of; the
    labels keep the names.
    """

    workspace = models.ForeignKey(
        Workspace,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("workspace"),
    )
    organization = models.ForeignKey(
        Organization,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("organization"),
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("who"),
    )
    actor_label = models.CharField(_("who"), max_length=254)
    via = models.CharField(_("through"), max_length=10, choices=Via)
    action = models.CharField(_("what"), max_length=100)
    object_type = models.CharField(_("kind of object"), max_length=100, blank=True)
    object_id = models.CharField(_("object’s number"), max_length=64, blank=True)
    object_label = models.CharField(_("object"), max_length=254, blank=True)
    changes = models.JSONField(_("changes"), default=dict, encoder=DjangoJSONEncoder)
    at = models.DateTimeField(_("when"), default=timezone.now)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        ordering = ["-at", "-pk"]
        indexes = [
            # Read by the audit page of a workspace, newest first.
            models.Index(fields=["workspace", "-at"], name="workspaces_audit_workspace"),
            # Read by the audit page of an organization's administrator.
            models.Index(fields=["organization", "-at"], name="workspaces_audit_organization"),
            # Read by the history page of one object.
            models.Index(
                fields=["object_type", "object_id", "-at"], name="workspaces_audit_object"
            ),
        ]

    def __str__(self) -> str:
        return " · ".join(filter(None, [self.act, self.object_label]))

    @property
    def who(self) -> str:
        """Return who did it; without a user, the door in the reader's language."""
        return self.get_via_display() if self.actor_id is None else self.actor_label

    @property
    def act(self) -> str:
        """Return what happened, in words."""
        return audit_words.act(self.action)

    @property
    def changed(self) -> str:
        """Return the names of what was changed, as screens have them."""
        names = (audit_words.field(self.object_type, name) for name in self.changes)
        return capfirst(listed(names))
