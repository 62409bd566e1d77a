from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from identity.choices import AudienceKind
from identity.models.profiles import Profile


class Audience(models.Model):
    """A set of people: listed by an uploaded file, or whoever the rules hold for.

    The shape of ``rules`` is that of ``identity.audience_rules``.
    """

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="audiences"
    )
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(
        _("kind"), max_length=10, choices=AudienceKind, default=AudienceKind.LIST
    )
    rules = models.JSONField(_("rules"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    # When the list was uploaded or the rules were changed, by whoever does it; not by renaming.
    updated_at = models.DateTimeField(_("updated at"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        verbose_name=_("created by"),
    )

    class Meta:
        verbose_name = _("audience")
        verbose_name_plural = _("audiences")
        ordering = ["workspace", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                name="identity_audience_name_unique",
                violation_error_message=_("Another audience has this name."),
            ),
            models.CheckConstraint(
                condition=Q(kind="list", rules__isnull=True) | Q(kind="rules", rules__isnull=False),
                name="identity_audience_rules_only_of_rules",
                violation_error_message=_("Only an audience of the kind “Rules” has rules."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AudienceMember(models.Model):
    """One person of an uploaded list. The key's order is the order that chunks are read in."""

    pk = models.CompositePrimaryKey("audience_id", "profile_id")
    audience = models.ForeignKey(
        Audience,
        on_delete=models.CASCADE,
        related_name="members",
        db_index=False,
        db_constraint=False,
    )
    # Read by mapping.merge() to move a list's people.
    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )

    class Meta:
        verbose_name = _("person in an audience")
        verbose_name_plural = _("people in audiences")

    def __str__(self) -> str:
        return f"{self.audience_id}: {self.profile_id}"
