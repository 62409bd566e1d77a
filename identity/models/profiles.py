"""People and how they are known.

The rows of a million people are written by imports. PostgreSQL checks a foreign key in 5
microseconds a row, which made three quarters of an import's database time; so the keys of
these tables are not checked there. Their one writer, ``identity.mapping``, holds the workspace's
lock and has just read or made every row that it names.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from identity.models.id_types import MAX_VALUE_LENGTH


class Profile(models.Model):
    """One person. ``qaid`` stands for the person across all data sources.

    A profile that was merged stays as a redirect, so that nothing that knows its QAID
    breaks; redirects are flat, ``merged_into`` never names another redirect.

    ``tags`` holds values by tag code, ``tag_times`` the time of each in seconds since
    1970. A code with a time and no value was cleared at that time.
    """

    qaid = models.BigAutoField(_("QAID"), primary_key=True)
    workspace = models.ForeignKey(
        "workspaces.Workspace",
        on_delete=models.CASCADE,
        related_name="profiles",
        db_constraint=False,
    )
    merged_into = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="merged",
        db_index=False,
        verbose_name=_("merged into"),
    )
    tags = models.JSONField(_("tags"), default=dict)
    tag_times = models.JSONField(_("times of the tags"), default=dict)
    created_at = models.DateTimeField(_("created at"))
    erased_at = models.DateTimeField(_("erased at"), null=True, blank=True)

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        ordering = ["qaid"]
        constraints = [
            # The older QAID survives.
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True) | Q(merged_into__lt=F("qaid")),
                name="identity_profile_merged_into_an_older_one",
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True) | Q(tags={}, tag_times={}),
                name="identity_profile_redirect_is_empty",
            ),
        ]
        indexes = [
            # Read by mapping.merge() to keep redirects flat, and for a person's former QAIDs.
            models.Index(
                fields=["merged_into"],
                condition=Q(merged_into__isnull=False),
                name="identity_profile_redirects",
            ),
        ]

    def __str__(self) -> str:
        return str(self.qaid)


class Identifier(models.Model):
    """One value of one ID type that one data source reported for one person.

    Its rows stand with survivors only: a merge moves them.
    """

    pk = models.CompositePrimaryKey("profile_id", "id_type_id", "value", "data_source_id")
    profile = models.ForeignKey(
        Profile,
        on_delete=models.CASCADE,
        related_name="identifiers",
        db_index=False,
        db_constraint=False,
    )
    id_type = models.ForeignKey(
        "identity.IdType",
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    value = models.CharField(_("value"), max_length=MAX_VALUE_LENGTH)
    data_source = models.ForeignKey(
        "identity.DataSource",
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    first_seen = models.DateTimeField(_("first seen"))
    last_seen = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("identifier")
        verbose_name_plural = _("identifiers")
        constraints = [
            models.CheckConstraint(
                condition=Q(first_seen__lte=F("last_seen")),
                name="identity_identifier_first_seen_before_last",
            ),
        ]
        indexes = [
            # Read by people.find() and by imports whose ID type is not in ID Mapping. The value
            # comes first: with the type first, PostgreSQL takes this index for one person's values
            # too as long as its statistics do not know a new type, and reads everybody's for each.
            models.Index(fields=["value", "id_type"], name="identity_identifier_of_value"),
        ]

    def __str__(self) -> str:
        return f"{self.id_type_id}"


class MappingKey(models.Model):
    """Whose a value of a type in ID Mapping is: one person's in the workspace.

    The owner is never a redirect, and has an identifier with this value.
    """

    pk = models.CompositePrimaryKey("id_type_id", "value")
    id_type = models.ForeignKey(
        "identity.IdType",
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    value = models.CharField(max_length=MAX_VALUE_LENGTH)
    # Nobody asks for the keys of a profile: its identifiers name them.
    profile = models.ForeignKey(
        Profile,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    class Meta:
        verbose_name = _("mapping key")
        verbose_name_plural = _("mapping keys")

    def __str__(self) -> str:
        return f"{self.id_type_id}"


class MappingConflict(models.Model):
    """Two people that a record would have made one, if a single-value type allowed it.

    ``values`` are the two values of ``id_type`` that contradict each other; ``decided_by``
    is the type whose value the record was given to ``kept`` for.
    """

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="mapping_conflicts"
    )
    id_type = models.ForeignKey(
        "identity.IdType", on_delete=models.PROTECT, related_name="+", verbose_name=_("ID type")
    )
    decided_by = models.ForeignKey(
        "identity.IdType", on_delete=models.PROTECT, related_name="+", verbose_name=_("decided by")
    )
    values = ArrayField(models.CharField(max_length=MAX_VALUE_LENGTH), size=2)
    kept = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+")
    data_source = models.ForeignKey(
        "identity.DataSource",
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("data source"),
    )
    detected_at = models.DateTimeField(_("last seen"))
    times = models.PositiveIntegerField(_("times"), default=1)

    class Meta:
        verbose_name = _("mapping conflict")
        verbose_name_plural = _("mapping conflicts")
        ordering = ["-detected_at", "-pk"]
        constraints = [
            # The same record reported again counts up instead of filling the list.
            models.UniqueConstraint(
                fields=["kept", "other", "id_type", "values", "data_source"],
                name="identity_mapping_conflict_once",
            ),
        ]

    def __str__(self) -> str:
        moment = date_format(localtime(self.detected_at), "SHORT_DATETIME_FORMAT")
        return f"{self.id_type.code} · {moment}"
