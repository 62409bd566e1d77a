from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class TestSend(models.Model):
    """One marked message to one typed ID, outside all statistics, kept as proof."""

    __test__ = False  # Not a test case, whatever its name.

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="+"
    )
    webhook = models.ForeignKey("webhooks.Webhook", on_delete=models.CASCADE, related_name="tests")
    revision = models.PositiveIntegerField()
    # The journey step it was sent from; null for one from webhook management.
    step_key = models.UUIDField(null=True)
    # A hash of what was tested, to tell whether the step has changed since.
    fingerprint = models.CharField(max_length=64, blank=True)
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    sent_at = models.DateTimeField()
    id_type_code = models.CharField(max_length=64)
    masked_id = models.CharField(max_length=200)
    accepted = models.BooleanField()
    outcome = models.CharField(max_length=20)
    status_code = models.PositiveSmallIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    # Secrets masked; the ID masked too.
    request_text = models.TextField()
    answer_text = models.TextField(blank=True)

    class Meta:
        verbose_name = _("test send")
        verbose_name_plural = _("test sends")
        ordering = ["-sent_at"]
        indexes = [
            models.Index(fields=["step_key", "-sent_at"], name="webhooks_test_by_step"),
            models.Index(fields=["webhook", "-sent_at"], name="webhooks_test_by_webhook"),
        ]

    def __str__(self) -> str:
        return f"{self.webhook} · {self.masked_id}"
