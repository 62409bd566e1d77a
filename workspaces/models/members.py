import uuid
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from guardian.models import GroupObjectPermissionBase

from workspaces.choices import Preset
from workspaces.models.tenants import Workspace

if TYPE_CHECKING:
    from workspaces.models.users import User


class Holder(models.Model):
    """What usage permissions are given to. They end with it, in its remover's name."""

    # Set right before ``delete``, for the audit entries of what goes with it.
    removed_by: "User | None" = None

    class Meta:
        abstract = True


class WorkspaceGroupObjectPermission(GroupObjectPermissionBase):
    """A permission point of a role: guardian's object permission with a direct foreign key."""

    content_object = models.ForeignKey(Workspace, models.CASCADE, related_name="group_permissions")

    class Meta(GroupObjectPermissionBase.Meta):
        verbose_name = _("role permission")
        verbose_name_plural = _("role permissions")


class Role(Holder):
    """A named set of permission points. Its Django group is how guardian knows it."""

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="roles", verbose_name=_("workspace")
    )
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=100)
    preset = models.CharField(
        _("preset"), max_length=20, choices=Preset, blank=True, editable=False
    )
    group = models.OneToOneField(
        Group, models.PROTECT, related_name="role", editable=False, verbose_name=_("group")
    )

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        ordering = ["workspace", "name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="workspaces_role_name_once"),
            models.UniqueConstraint(
                fields=["workspace", "preset"],
                condition=~Q(preset=""),
                name="workspaces_role_preset_once",
            ),
        ]

    def __str__(self) -> str:
        """Return the name in the reader's language, for the four that everybody has."""
        return str(Preset(self.preset).label) if self.preset else self.name

    @property
    def group_name(self) -> str:
        """Return the name of the Django group: by key, since group names are globally unique."""
        return f"role {self.key}"

    @property
    def is_administrator(self) -> bool:
        return self.preset == Preset.ADMINISTRATOR


class MembershipQuerySet(models.QuerySet["Membership"]):
    def live(self) -> Self:
        """Keep the memberships that give anything: active, accepted, of an active user."""
        return self.filter(is_active=True, user__is_active=True)

    def pending(self) -> Self:
        """Keep the invitations that wait for their user's answer."""
        return self.filter(invited_at__isnull=False)


class Membership(Holder):
    """That a user works in a workspace, with which roles: the truth that groups follow.

    Written by ``workspaces.members``, which keeps the Django groups in step.
    """

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="memberships", verbose_name=_("workspace")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="memberships",
        verbose_name=_("account"),
    )
    roles = models.ManyToManyField(
        Role, related_name="memberships", blank=True, verbose_name=_("roles")
    )
    is_active = models.BooleanField(_("active"), default=True)
    # Set while an invitation waits for its answer; such a membership is never active.
    invited_at = models.DateTimeField(_("invited"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("added"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("added by"),
    )

    objects = MembershipQuerySet.as_manager()

    class Meta:
        verbose_name = _("workspace member")
        verbose_name_plural = _("workspace members")
        ordering = ["workspace", "user__name", "user__email"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "user"], name="workspaces_membership_once"
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(invited_at__isnull=True),
                name="workspaces_membership_invited_is_not_active",
            ),
        ]

    def __str__(self) -> str:
        return str(self.user)


class MemberGroup(Holder):
    """Members who are granted something together. It has no permission points of its own."""

    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="member_groups", verbose_name=_("workspace")
    )
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=100)
    group = models.OneToOneField(
        Group,
        models.PROTECT,
        related_name="member_group",
        editable=False,
        verbose_name=_("group"),
    )
    members = models.ManyToManyField(
        Membership, related_name="member_groups", blank=True, verbose_name=_("workspace members")
    )

    class Meta:
        verbose_name = _("member group")
        verbose_name_plural = _("member groups")
        ordering = ["workspace", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"], name="workspaces_member_group_name_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def group_name(self) -> str:
        """Return the name of the Django group: by key, since group names are globally unique."""
        return f"member group {self.key}"
