from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from journeys.choices import RunState


class Run(models.Model):
    """One start of an audience journey, or the one standing run of a live event version."""

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="+"
    )
    version = models.ForeignKey(
        "journeys.JourneyVersion", on_delete=models.CASCADE, related_name="runs"
    )
    journey = models.ForeignKey("journeys.Journey", on_delete=models.CASCADE, related_name="runs")
    occurrence = models.CharField(max_length=64, default="1")
    state = models.CharField(max_length=10, choices=RunState, default=RunState.SCHEDULED)
    state_reason = models.CharField(max_length=40, blank=True)
    is_event = models.BooleanField(default=False)
    event_type = models.ForeignKey(
        "identity.EventType", null=True, on_delete=models.PROTECT, related_name="+"
    )
    starts_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # From then on nobody enters; who is inside goes on to the end.
    closed_at = models.DateTimeField(null=True)
    people = models.PositiveIntegerField(default=0)
    # Where the snapshot stands: everybody up to this QAID is planned; null before it began.
    planned_to = models.BigIntegerField(null=True)
    next_chunk = models.BigIntegerField(default=0)
    responsible = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("run")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "occurrence"], name="journeys_run_occurrence_unique"
            ),
        ]
        indexes = [
            # Read by the runner's sweep: runs that are to start or under way.
            models.Index(
                fields=["starts_at"],
                condition=Q(state__in=["scheduled", "planning", "running"]),
                name="journeys_run_open",
            ),
            # Read when an event comes in.
            models.Index(
                fields=["event_type"],
                condition=Q(is_event=True, closed_at__isnull=True, state__in=["running", "paused"]),
                name="journeys_run_listening",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.journey_id} · {self.pk}"

    def get_absolute_url(self) -> str:
        return f"{self.journey.get_absolute_url()}runs/{self.pk}/"


class SnapshotPage(models.Model):
    """People of a run's frozen audience who are still to be planned, in QAID order.

    All pages are written by one statement, so that everybody is counted at one moment;
    a page goes in the transaction that plans its people.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    qaids = ArrayField(models.BigIntegerField())

    class Meta:
        verbose_name = _("page of a snapshot")
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="journeys_page_number_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} · {self.number}"


class Enrollment(models.Model):
    """That one event took one person into an event journey; the re-entry rule reads it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="enrollments")
    journey = models.ForeignKey("journeys.Journey", on_delete=models.CASCADE, related_name="+")
    qaid = models.BigIntegerField()
    event_id = models.CharField(max_length=200)
    entered_at = models.DateTimeField()

    class Meta:
        verbose_name = _("enrollment")
        constraints = [
            models.UniqueConstraint(
                fields=["run", "event_id"], name="journeys_enrollment_once_an_event"
            ),
        ]
        indexes = [
            # Read by the re-entry rule.
            models.Index(
                fields=["journey", "qaid", "-entered_at"],
                name="journeys_enrollment_reentry",
            ),
        ]

    def __str__(self) -> str:
        return self.event_id
