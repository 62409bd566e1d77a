from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from webhooks.choices import AttemptKind, DeliveryState


class Delivery(models.Model):
    """One person's part of a message. Partitioned by ``day``, which is in the id too.

    Written once with the outcome of the first try (state ``queued`` when another follows).
    """

    id = models.CharField(_("delivery ID"), primary_key=True, max_length=64)
    day = models.DateField(_("day planned"))
    workspace = models.ForeignKey(
        "workspaces.Workspace",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    webhook = models.ForeignKey(
        "webhooks.Webhook",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        verbose_name=_("webhook"),
    )
    plan = models.ForeignKey(
        "webhooks.Plan",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    chunk_id = models.BigIntegerField()
    position = models.IntegerField()
    qaid = models.BigIntegerField(_("QAID"))
    message_id = models.CharField(_("message ID"), max_length=64, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=DeliveryState)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    sent_id = models.TextField(_("sent ID"), blank=True)
    reach_id = models.TextField(_("reach ID"), blank=True)
    # The rendered text parameters, in the plan's order; the exact body is made from them again.
    texts = ArrayField(models.TextField(null=True), null=True)
    defaulted = models.BigIntegerField(default=0)  # One bit a variable, in the plan's order.
    blanked = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    answer = models.TextField(_("answer"), blank=True)
    duration_ms = models.PositiveIntegerField(_("duration"), null=True)
    first_attempt_at = models.DateTimeField(_("first attempt at"), null=True)
    updated_at = models.DateTimeField(_("changed at"))

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-day", "-updated_at", "id"]
        indexes = [
            # Read by the ledger's keyset pages.
            models.Index(
                fields=["workspace", "-updated_at", "id"],
                name="webhooks_delivery_recent",
            ),
            # Read by the ledger filtered to what was not accepted, and by redelivery.
            models.Index(
                fields=["plan", "state", "updated_at"],
                condition=~Q(state="delivered"),
                name="webhooks_delivery_not_ok",
            ),
            # Read by "find a person".
            models.Index(fields=["qaid"], name="webhooks_delivery_person"),
        ]

    def __str__(self) -> str:
        return self.id


class Attempt(models.Model):
    """One try to send, from the second on, and every unknown or late one. Partitioned by day."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    webhook = models.ForeignKey(
        "webhooks.Webhook",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("webhook"),
    )
    delivery_id = models.CharField(_("delivery ID"), max_length=64)
    message_id = models.CharField(_("message ID"), max_length=64)
    number = models.PositiveSmallIntegerField(pgettext_lazy("which one", "attempt"))
    kind = models.CharField(_("kind"), max_length=10, choices=AttemptKind, default=AttemptKind.AUTO)
    at = models.DateTimeField(_("at"))
    outcome = models.CharField(_("outcome"), max_length=20)
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    answer = models.TextField(_("answer"), blank=True)
    duration_ms = models.PositiveIntegerField(_("duration"), null=True)
    lease = models.UUIDField(null=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = pgettext_lazy("list", "attempts")
        ordering = ["at"]
        indexes = [
            # Read by the delivery's page and the timeline.
            models.Index(fields=["delivery_id"], name="webhooks_attempt_delivery"),
            # Read by the list of attempts, webhook by webhook.
            models.Index(fields=["webhook", "-at", "id"], name="webhooks_attempt_recent"),
            # Read by the page of one; the table's key begins with the day.
            models.Index(fields=["id"], name="webhooks_attempt_one"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} · {self.number}"


class Receipt(models.Model):
    """The other side's later report of the final outcome of one delivery."""

    webhook = models.ForeignKey(
        "webhooks.Webhook", on_delete=models.CASCADE, related_name="receipts"
    )
    delivery_id = models.CharField(_("delivery ID"), max_length=64)
    code = models.CharField(_("status code"), max_length=64)
    message = models.CharField(_("message"), max_length=500, blank=True)
    occurred_at = models.DateTimeField(_("occurred at"))
    received_at = models.DateTimeField(_("received at"))

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")
        constraints = [
            models.UniqueConstraint(
                fields=["delivery_id", "code", "occurred_at"],
                name="webhooks_receipt_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} · {self.code}"
