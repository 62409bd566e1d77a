from typing import Final, Self

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from identity.choices import IdKind, Pick

MAX_ID_TYPES: Final = 50
MAX_MAPPING_TYPES: Final = 5
# Long enough for any ID in use, short enough for every index that holds one.
MAX_VALUE_LENGTH: Final = 255

_code_of_id_type = RegexValidator(
    r"^[A-Z][A-Z0-9_]*\Z",
    _("A code starts with a capital letter and holds only capital letters, digits and “_”."),
    "invalid_code",
)
_code_of_source = RegexValidator(
    r"^[a-z][a-z0-9_-]*\Z",
    _("A code starts with a small letter and holds only small letters, digits, “_” and “-”."),
    "invalid_code",
)


class IdTypeQuerySet(models.QuerySet["IdType"]):
    def enabled(self) -> Self:
        return self.filter(enabled=True)

    def mapping(self) -> Self:
        """Keep the types that decide who is who, the deciding one first."""
        return self.filter(in_mapping=True).order_by("priority")


class IdType(models.Model):
    """One kind of ID that people are known by, such as MOBILE.

    At most ``MAX_ID_TYPES`` a workspace, at most ``MAX_MAPPING_TYPES`` of them in ID
    Mapping; the code never changes. Triggers of migration 0002 refuse the contrary.
    """

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="id_types"
    )
    code = models.CharField(
        _("code"),
        max_length=32,
        validators=[_code_of_id_type],
        help_text=_("The name of the column in files and of the field in events. Cannot change."),
    )
    name = models.CharField(_("name"), max_length=100)
    priority = models.PositiveSmallIntegerField(
        _("priority"),
        validators=[MinValueValidator(1), MaxValueValidator(999)],
        help_text=_("1 comes first: it decides when IDs contradict each other."),
    )
    kind = models.CharField(_("kind"), max_length=10, choices=IdKind, default=IdKind.TEXT)
    multi_value = models.BooleanField(
        _("several values"), default=True, help_text=_("Whether one person may have several.")
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    in_mapping = models.BooleanField(
        _("in ID Mapping"),
        default=False,
        help_text=_("Whether two records with the same value are the same person. Five at most."),
    )
    sensitive = models.BooleanField(
        _("sensitive"), default=False, help_text=_("Masked for members who may not see people.")
    )
    pick = models.CharField(
        _("which value is used"),
        max_length=10,
        choices=Pick,
        default=Pick.LATEST,
        help_text=_(
            "When a person has several: the one seen last (or first), then the one from the data "
            "source with the smaller priority number, then the smaller value."
        ),
    )

    objects = IdTypeQuerySet.as_manager()

    class Meta:
        verbose_name = _("ID type")
        verbose_name_plural = _("ID types")
        ordering = ["workspace", "priority"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "code"],
                name="identity_id_type_code_unique",
                violation_error_message=_("Another ID type has this code."),
            ),
            models.UniqueConstraint(
                fields=["workspace", "priority"],
                name="identity_id_type_priority_unique",
                # Two types can swap their priorities in one transaction.
                deferrable=models.Deferrable.DEFERRED,
                violation_error_message=_("Another ID type has this priority."),
            ),
            models.CheckConstraint(
                condition=Q(in_mapping=False) | Q(enabled=True),
                name="identity_id_type_in_mapping_is_enabled",
                violation_error_message=_("Only an enabled ID type can take part in ID Mapping."),
            ),
        ]

    def __str__(self) -> str:
        return self.code


class DataSource(models.Model):
    """Where identifiers, tags and events come from."""

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="data_sources"
    )
    code = models.CharField(_("code"), max_length=32, validators=[_code_of_source])
    name = models.CharField(_("name"), max_length=100)
    priority = models.PositiveSmallIntegerField(
        _("priority"),
        default=100,
        validators=[MinValueValidator(1), MaxValueValidator(999)],
        help_text=_("1 comes first: it wins between values that were seen at the same time."),
    )

    class Meta:
        verbose_name = _("data source")
        verbose_name_plural = _("data sources")
        ordering = ["workspace", "priority", "code"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "code"],
                name="identity_data_source_code_unique",
                violation_error_message=_("Another data source has this code."),
            ),
        ]

    def __str__(self) -> str:
        return self.name
