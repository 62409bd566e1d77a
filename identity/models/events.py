from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from identity.choices import AttributeType
from identity.models.profiles import Profile

MAX_EVENT_ID_LENGTH = 100


class EventType(models.Model):
    """What can happen."""

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="event_types"
    )
    code = models.CharField(
        _("code"),
        max_length=64,
        validators=[
            RegexValidator(
                r"^[A-Za-z][A-Za-z0-9_.:-]*\Z",
                _("A code starts with a letter and holds only letters, digits and “_ . : -”."),
                "invalid_code",
            )
        ],
        help_text=_("The event type’s name in files and in the API. Cannot change."),
    )
    name = models.CharField(_("name"), max_length=100)

    class Meta:
        verbose_name = _("event type")
        verbose_name_plural = _("event types")
        ordering = ["workspace", "code"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "code"],
                name="identity_event_type_code_unique",
                violation_error_message=_("Another event type has this code."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class EventAttribute(models.Model):
    """A named value on the events of one type."""

    event_type = models.ForeignKey(EventType, on_delete=models.CASCADE, related_name="attributes")
    code = models.CharField(
        _("code"),
        max_length=64,
        validators=[
            RegexValidator(
                r"^[a-z][a-zA-Z0-9_]*\Z",
                _("A code starts with a small letter and holds only letters, digits and “_”."),
                "invalid_code",
            )
        ],
    )
    name = models.CharField(_("name"), max_length=100)
    type = models.CharField(
        _("type"), max_length=10, choices=AttributeType, default=AttributeType.TEXT
    )
    required = models.BooleanField(_("required"), default=False)

    class Meta:
        verbose_name = _("event attribute")
        verbose_name_plural = _("event attributes")
        ordering = ["event_type", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["event_type", "code"],
                name="identity_event_attribute_code_unique",
                violation_error_message=_("Another attribute has this code."),
            ),
            models.CheckConstraint(
                condition=~Q(code__in=["event_id", "event_type", "occurred_at"]),
                name="identity_event_attribute_code_not_reserved",
                violation_error_message=_(
                    "“event_id”, “event_type” and “occurred_at” are columns of their own in files."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """One time something happened. Partitioned by the month of ``occurred_at``.

    Events leave with their partition. They stay with the QAID they came with: readers
    follow redirects. Foreign keys are not checked by the database: the one writer,
    ``identity.events.store``, has just read or made the rows they name.
    """

    pk = models.CompositePrimaryKey("workspace_id", "event_id", "occurred_at")
    workspace = models.ForeignKey(
        "workspaces.Workspace",
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    event_id = models.CharField(max_length=MAX_EVENT_ID_LENGTH)
    occurred_at = models.DateTimeField()
    event_type = models.ForeignKey(
        EventType,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    profile = models.ForeignKey(
        Profile, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    received_at = models.DateTimeField()
    attributes = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            # Read for one person: audience rules, judge components, the timeline.
            models.Index(
                fields=["profile", "event_type", "occurred_at"], name="identity_event_of_profile"
            ),
            # Read for one type: coverage, fill rates and rules over the last days.
            models.Index(
                fields=["event_type", "occurred_at", "profile"], name="identity_event_of_type"
            ),
        ]

    def __str__(self) -> str:
        return self.event_id


class IncomingEvent(models.Model):
    """An event from the live API: its id is remembered for 7 days, and it starts journeys.

    The runner takes rows whose ``taken_at`` is null (``identity.ingestion.take``).
    """

    workspace = models.ForeignKey(
        "workspaces.Workspace",
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    event_id = models.CharField(max_length=MAX_EVENT_ID_LENGTH)
    event_type = models.ForeignKey(
        EventType,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    attributes = models.JSONField(default=dict)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("incoming event")
        verbose_name_plural = _("incoming events")
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "event_id"], name="identity_incoming_event_once"
            ),
        ]
        indexes = [
            # Read by ingestion.take(), five times a second: only what waits is in it.
            models.Index(
                fields=["id"], condition=Q(taken_at__isnull=True), name="identity_incoming_waiting"
            ),
            # Read by ingestion.prune(), in the order the rows came.
            models.Index(fields=["received_at"], name="identity_incoming_received"),
            # Read by incoming.page() and incoming.counts(), for the events page.
            models.Index(
                fields=["event_type", "received_at", "id"], name="identity_incoming_of_type"
            ),
        ]

    def __str__(self) -> str:
        return self.event_id
