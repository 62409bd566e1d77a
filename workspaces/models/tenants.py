from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from workspaces.choices import Language
from workspaces.points import POINT_LABELS

# Python opens every one of its six hundred files to tell.
_time_zones = cache(available_timezones)


def validate_time_zone(name: str) -> None:
    if name not in _time_zones():
        raise ValidationError(
            _("“%(name)s” is not a time zone. Write it like Asia/Shanghai."),
            "unknown_time_zone",
            {"name": name},
        )


class Organization(models.Model):
    """A tenant: the company whose workspaces, members and data belong together."""

    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(_("short name"), unique=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="OrganizationMember", related_name="organizations"
    )

    class Meta:
        verbose_name = _("organization")
        verbose_name_plural = _("organizations")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class OrganizationMember(models.Model):
    """That a user belongs to an organization, and whether as its administrator."""

    organization = models.ForeignKey(
        Organization, models.CASCADE, related_name="members", verbose_name=_("organization")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="organization_members",
        verbose_name=_("account"),
    )
    is_administrator = models.BooleanField(
        _("organization administrator"),
        default=False,
        help_text=_("May do everything in every workspace of the organization."),
    )

    class Meta:
        verbose_name = _("organization member")
        verbose_name_plural = _("organization members")
        ordering = ["organization", "user"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "user"], name="workspaces_organization_member_once"
            ),
        ]

    def __str__(self) -> str:
        return str(self.user)


class Workspace(models.Model):
    """A brand or department inside an organization, where all the work happens."""

    organization = models.ForeignKey(
        Organization, models.PROTECT, related_name="workspaces", verbose_name=_("organization")
    )
    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(
        _("short name"),
        unique=True,
        help_text=_("Stands in every address: /w/short-name/."),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text=_("Every time shown or typed in this workspace is in this zone."),
    )
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=Language,
        default=Language.ENGLISH,
        help_text=_("For members who have not chosen their own."),
    )
    confirm_above = models.PositiveIntegerField(
        _("type the number above"),
        default=10_000,
        validators=[MinValueValidator(1)],
        help_text=_("Publishing to more people than this asks to type their number."),
    )
    sending_stopped_at = models.DateTimeField(
        _("sending stopped"), null=True, blank=True, editable=False
    )
    sending_stopped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("stopped by"),
    )
    sending_stopped_reason = models.CharField(
        _("reason for the stop"), max_length=500, blank=True, editable=False
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("workspace")
        verbose_name_plural = _("workspaces")
        ordering = ["organization", "name"]
        permissions = [(point.value, str(label)) for point, label in POINT_LABELS.items()]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "name"], name="workspaces_workspace_name_once"
            ),
            models.CheckConstraint(
                condition=Q(sending_stopped_at__isnull=False) | Q(sending_stopped_reason=""),
                name="workspaces_workspace_reason_only_while_stopped",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("workspaces:home", args=[self.slug])

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def sending_is_stopped(self) -> bool:
        return self.sending_stopped_at is not None
