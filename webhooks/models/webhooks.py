import uuid
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from webhooks.choices import (
    Authentication,
    BreakerState,
    Guarantee,
    SecretKind,
    WebhookState,
)

if TYPE_CHECKING:
    from workspaces.models import User, Workspace


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def usable_by(self, user: "User", workspace: "Workspace") -> Self:
        """Keep those that the user may put into a step: both gates, or administrator."""
        from webhooks import grants

        return self.filter(grants.usable_q(user, workspace), workspace=workspace)


class Webhook(models.Model):
    """A registered target: where to call, how to sign, which parameters and IDs it takes."""

    workspace = models.ForeignKey(
        "workspaces.Workspace",
        on_delete=models.CASCADE,
        related_name="webhooks",
        verbose_name=_("workspace"),
    )
    name = models.CharField(_("name"), max_length=200)
    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, default=uuid.uuid4)
    url = models.CharField(_("request URL"), max_length=2000)
    authentication = models.CharField(
        _("authentication"),
        max_length=10,
        choices=Authentication,
        default=Authentication.KEY,
    )
    id_types = models.ManyToManyField(
        "identity.IdType",
        verbose_name=_("ID types"),
        related_name="webhooks",
        blank=True,
    )
    # By name, sealed by ``own_headers``: a value may be a password.
    headers = models.JSONField(
        _("custom headers"), default=dict, blank=True, db_column="sealed_headers"
    )
    carry_environment = models.BooleanField(_("carry environment parameters"), default=False)
    content_template = models.TextField(_("content template"), blank=True)
    body = models.JSONField(_("custom body"), null=True, blank=True)

    guarantee = models.CharField(
        _("guarantee"),
        max_length=15,
        choices=Guarantee,
        default=Guarantee.AT_LEAST_ONCE,
    )
    answers_409 = models.BooleanField(_("answers 409 to a repeated ID"), default=True)
    batch_size = models.PositiveIntegerField(
        _("batch size"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
    )
    rate_per_second = models.PositiveIntegerField(
        _("requests a second"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    concurrency = models.PositiveIntegerField(
        _("open requests at most"),
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(2000)],
    )
    timeout_seconds = models.PositiveIntegerField(
        _("time limit in seconds"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(30)],
    )
    expiry_hours = models.PositiveIntegerField(
        _("give up after hours"),
        default=24,
        validators=[MinValueValidator(1), MaxValueValidator(72)],
    )
    success_field = models.CharField(
        _("success field"),
        max_length=200,
        blank=True,
        help_text=_("A JSON pointer, like /success."),
    )
    success_value = models.CharField(_("success value"), max_length=200, blank=True)

    receipts_enabled = models.BooleanField(_("receipts"), default=False)
    receipt_days = models.PositiveIntegerField(_("collection period in days"), default=7)
    receipt_codes = models.JSONField(_("receipt codes"), default=dict, blank=True)

    revision = models.PositiveIntegerField(_("revision"), default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    # The audit trail says only that they changed.
    audit_masked = ("headers",)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["name"]
        permissions = [("use_webhook", "Use the webhook in a journey")]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"], name="webhooks_webhook_name_unique"
            ),
            models.CheckConstraint(
                condition=Q(batch_size__gte=1, batch_size__lte=1000),
                name="webhooks_webhook_batch_size_range",
            ),
            models.CheckConstraint(
                condition=Q(concurrency__gte=1, concurrency__lte=2000),
                name="webhooks_webhook_concurrency_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class WebhookControl(models.Model):
    """What the engine changes about a webhook; no form writes it, so no save un-pauses it."""

    webhook = models.OneToOneField(
        Webhook, on_delete=models.CASCADE, primary_key=True, related_name="control"
    )
    state = models.CharField(max_length=10, choices=WebhookState, default=WebhookState.ACTIVE)
    reason = models.CharField(max_length=40, blank=True)
    changed_at = models.DateTimeField(auto_now_add=True)
    misconfigured_in_a_row = models.PositiveIntegerField(default=0)
    breaker = models.CharField(max_length=10, choices=BreakerState, default=BreakerState.CLOSED)
    breaker_until = models.DateTimeField(null=True)
    breaker_opened_at = models.DateTimeField(null=True)
    breaker_opened_times = models.PositiveIntegerField(default=0)
    # Requests let through while probing; how many may be open while it is taken up again.
    breaker_probes = models.PositiveSmallIntegerField(default=0)
    breaker_ramp = models.PositiveIntegerField(default=0)
    # Answers lately, weighed by age; why the latest failed.
    breaker_results = models.FloatField(default=0)
    breaker_failures = models.FloatField(default=0)
    breaker_counted_at = models.DateTimeField(null=True)
    breaker_reason = models.CharField(max_length=40, blank=True)
    tokens = models.FloatField(default=0)
    tokens_at = models.DateTimeField(null=True)
    last_served = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("webhook state")

    def __str__(self) -> str:
        return f"{self.webhook} · {self.state}"


class WebhookRevision(models.Model):
    """Parameters, ID types and body of a webhook, frozen; a published version keeps its own."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    parameters = models.JSONField()
    id_types = models.JSONField()
    body = models.JSONField(null=True)
    content_template = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("webhook revision")
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "number"], name="webhooks_revision_number_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.webhook_id} · {self.number}"


class WebhookSecret(models.Model):
    """A key, encrypted and write-only; two signing keys live side by side during a change."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="secrets")
    kind = models.CharField(max_length=10, choices=SecretKind)
    ciphertext = models.BinaryField()
    last4 = models.CharField(max_length=4)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    valid_until = models.DateTimeField(null=True)
    stored_at = models.DateTimeField(null=True)  # When somebody said "I have stored it".

    class Meta:
        verbose_name = _("webhook secret")

    def __str__(self) -> str:
        return f"{self.webhook} · {self.kind} · {self.last4}"


class WebhookUse(models.Model):
    """That a journey uses a webhook: kept by journeys, so that one in use cannot go."""

    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="uses")
    journey_id = models.BigIntegerField()
    journey_name = models.CharField(max_length=200)
    url = models.CharField(max_length=500)
    is_live = models.BooleanField(default=False)
    live_revision = models.PositiveIntegerField(null=True)  # The oldest a live version keeps.

    class Meta:
        verbose_name = _("webhook use")
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "journey_id"], name="webhooks_use_once_a_journey"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.webhook} · {self.journey_name}"
