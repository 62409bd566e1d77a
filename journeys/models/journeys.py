from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from journeys.choices import JourneyState


class Journey(models.Model):
    """What a marketer draws: a draft that is edited, and the versions that were published from it.

    ``draft`` is one JSON document (its shape: ``journeys.definition``). Every write
    names the ``draft_revision`` it was made from, so that a stale one is refused.
    """

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="journeys"
    )
    name = models.CharField(_("name"), max_length=200)
    state = models.CharField(
        _("state"), max_length=10, choices=JourneyState, default=JourneyState.DRAFT
    )
    state_reason = models.CharField(max_length=40, blank=True)
    draft = models.JSONField(default=dict)
    draft_revision = models.PositiveIntegerField(default=0)
    is_archived = models.BooleanField(default=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("journey")
        verbose_name_plural = _("journeys")
        ordering = ["-changed_at"]
        indexes = [
            # Read by the journeys list.
            models.Index(fields=["workspace", "-changed_at"], name="journeys_journey_recent"),
            # Read when an audience, an event type or a webhook asks who uses it.
            GinIndex(
                fields=["draft"],
                opclasses=["jsonb_path_ops"],
                name="journeys_draft_contents",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/w/{self.workspace.slug}/journeys/{self.pk}/"


class DraftChange(models.Model):
    """One state the draft has had: who made it and when; undo and "who changed this" read it."""

    journey = models.ForeignKey(Journey, on_delete=models.CASCADE, related_name="changes")
    revision = models.PositiveIntegerField()
    document = models.JSONField()
    # Of the journey then, since renaming is a change too.
    name = models.CharField(max_length=200, default="")
    step_key = models.UUIDField(null=True)  # The step that this change touched, if one.
    action = models.CharField(max_length=20)
    changed_at = models.DateTimeField(auto_now_add=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("draft change")
        ordering = ["-revision"]
        constraints = [
            models.UniqueConstraint(
                fields=["journey", "revision"], name="journeys_change_revision_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.journey_id} · {self.revision}"


class JourneyVersion(models.Model):
    """One published state of a journey, frozen."""

    journey = models.ForeignKey(Journey, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    published_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("journey version")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["journey", "number"], name="journeys_version_number_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.journey} · {self.number}"
