from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from webhooks.choices import PlanState


class Plan(models.Model):
    """One published webhook step of one run, frozen as data, so that the engine knows no journeys.

    ``definition`` holds what a request is made from (its shape: ``webhooks.plans``),
    ``labels`` what the x-qa headers say. ``run_id`` and ``step_key`` are the journeys
    app's; a delivery's id is derived from them.
    """

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="plans"
    )
    webhook = models.ForeignKey("webhooks.Webhook", on_delete=models.PROTECT, related_name="plans")
    revision = models.ForeignKey("webhooks.WebhookRevision", on_delete=models.PROTECT)
    run_id = models.BigIntegerField()
    step_key = models.UUIDField()
    definition = models.JSONField()
    labels = models.JSONField(default=dict)
    responsible = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    send_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=PlanState, default=PlanState.ACTIVE)
    # Why the engine paused it by itself (a lost gate); empty when a person did.
    pause_reason = models.CharField(max_length=40, blank=True)
    # Since when it is paused: that time counts against nobody's expiry.
    paused_at = models.DateTimeField(null=True)
    # When the last person of a cancelled plan was ended.
    closed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("plan")
        constraints = [
            models.UniqueConstraint(
                fields=["run_id", "step_key"], name="webhooks_plan_once_a_run_and_step"
            ),
        ]
        indexes = [
            # Read by closing.close_cancelled(), every second.
            models.Index(
                fields=["id"],
                condition=Q(state="cancelled", closed_at__isnull=True),
                name="webhooks_plan_to_close",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} · {self.step_key}"


class Chunk(models.Model):
    """Some 500 people of one plan: queue, checkpoint and progress bar.

    ``qaids`` never changes; ``states`` has one ``StateByte`` a person at the same index.
    For event starts ``events`` holds one object a person at the same index:
    ``{"id": event id, "attributes": {...}}``; one person may then stand twice.
    """

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="+"
    )
    # Its own index would only be taken for the one by due time.
    webhook = models.ForeignKey(
        "webhooks.Webhook", on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="chunks")
    number = (
        models.BigIntegerField()
    )  # Of the plan; the runner's, so that planning twice conflicts.
    day = models.DateField()
    qaids = ArrayField(models.BigIntegerField())
    events = models.JSONField(null=True)
    states = models.BinaryField()
    due_at = models.DateTimeField()
    lease = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    claims = models.PositiveSmallIntegerField(default=0)

    size = models.PositiveIntegerField()
    queued = models.PositiveIntegerField()
    delivered = models.PositiveIntegerField(default=0)
    dead = models.PositiveIntegerField(default=0)
    expired = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    uncertain = models.PositiveIntegerField(default=0)
    # People still to be claimed from this row; the rest of ``queued`` waits in message rows.
    unsent = models.PositiveIntegerField()
    # Ended and not yet handed to the next step.
    unadvanced = models.PositiveIntegerField(default=0)
    # People by "skipped:no_id", "dead:rejected", "default:<parameter>:<variable>", "blank:…".
    tallies = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("chunk")
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="webhooks_chunk_number_unique"),
            # Planned = every end + queued, at every moment.
            models.CheckConstraint(
                condition=Q(
                    size=F("queued")
                    + F("delivered")
                    + F("dead")
                    + F("expired")
                    + F("cancelled")
                    + F("skipped")
                    + F("uncertain")
                ),
                name="webhooks_chunk_everybody_counted",
            ),
            models.CheckConstraint(
                condition=Q(unsent__lte=F("queued")),
                name="webhooks_chunk_unsent_is_queued",
            ),
        ]
        indexes = [
            # Read by engine.claim: only rows with people left to send are in it.
            models.Index(
                fields=["webhook", "due_at", "id"],
                condition=Q(unsent__gt=0),
                name="webhooks_chunk_to_send",
            ),
            # Read by monitoring.conditions(), for status, metrics and the webhook's page.
            models.Index(
                fields=["webhook"], condition=Q(queued__gt=0), name="webhooks_chunk_waiting"
            ),
            # Read by the runner's sweep.
            models.Index(
                fields=["plan", "id"],
                condition=Q(unadvanced__gt=0),
                name="webhooks_chunk_to_advance",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} · {self.number}"


class Message(models.Model):
    """One request that waits for its next try; its id stays with the same people and bytes."""

    id = models.CharField(_("message ID"), primary_key=True, max_length=64)
    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="+"
    )
    # Its own index would only be taken for the one by due time.
    webhook = models.ForeignKey(
        "webhooks.Webhook", on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="messages")
    chunk = models.ForeignKey(Chunk, on_delete=models.CASCADE, related_name="messages")
    day = models.DateField()
    delivery_ids = ArrayField(models.CharField(max_length=64))
    positions = ArrayField(models.IntegerField())  # Indexes into the chunk's people.
    body = models.BinaryField()
    kind = models.CharField(_("kind"), max_length=10, default="auto")
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # Attempts that only found out whose value is refused: no steps of the retry schedule.
    splits = models.PositiveSmallIntegerField(default=0, db_default=0)
    first_attempt_at = models.DateTimeField(_("first attempt"), null=True)
    due_at = models.DateTimeField(_("next attempt"))
    expires_at = models.DateTimeField(_("expires"), null=True)
    lease = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    claims = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = [
            # Read by engine.claim.
            models.Index(fields=["webhook", "due_at"], name="webhooks_message_due"),
        ]

    def __str__(self) -> str:
        return self.id


class Lane(models.Model):
    """A slot that caps how many drains a webhook has; its holder may claim anything due."""

    webhook = models.ForeignKey("webhooks.Webhook", on_delete=models.CASCADE, related_name="lanes")
    number = models.PositiveSmallIntegerField()
    lease = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    last_served = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("lane")
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "number"], name="webhooks_lane_number_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.webhook} · {self.number}"
