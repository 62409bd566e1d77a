"""Attempts know their webhook, so that they can be listed as deliveries are."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

from webhooks.choices import AttemptKind

COLUMN = """
ALTER TABLE webhooks_attempt ADD COLUMN webhook_id bigint NOT NULL DEFAULT 0;
UPDATE webhooks_attempt a SET webhook_id = d.webhook_id FROM webhooks_delivery d
    WHERE d.day = a.day AND d.id = a.delivery_id;
ALTER TABLE webhooks_attempt ALTER COLUMN webhook_id DROP DEFAULT;
CREATE INDEX webhooks_attempt_recent ON webhooks_attempt (webhook_id, at DESC, id);
CREATE INDEX webhooks_attempt_one ON webhooks_attempt (id);
"""
REVERSE = """
DROP INDEX webhooks_attempt_recent;
DROP INDEX webhooks_attempt_one;
ALTER TABLE webhooks_attempt DROP COLUMN webhook_id;
"""

NAMED: dict[str, models.Field[Any, Any]] = {
    "delivery_id": models.CharField(max_length=64, verbose_name="delivery ID"),
    "message_id": models.CharField(max_length=64, verbose_name="message ID"),
    "number": models.PositiveSmallIntegerField(verbose_name="try"),
    "kind": models.CharField(
        choices=AttemptKind.choices, default="auto", max_length=10, verbose_name="kind"
    ),
    "at": models.DateTimeField(verbose_name="at"),
    "outcome": models.CharField(max_length=20, verbose_name="outcome"),
    "status_code": models.PositiveSmallIntegerField(null=True, verbose_name="status"),
    "answer": models.TextField(blank=True, verbose_name="answer"),
    "duration_ms": models.PositiveIntegerField(null=True, verbose_name="duration"),
}


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0005_names")]

    operations = [
        migrations.RunSQL(
            COLUMN,
            REVERSE,
            state_operations=[
                migrations.AddField(
                    model_name="attempt",
                    name="webhook",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="webhooks.webhook",
                        verbose_name="webhook",
                    ),
                    preserve_default=False,
                ),
                migrations.AddIndex(
                    model_name="attempt",
                    index=models.Index(
                        fields=["webhook", "-at", "id"], name="webhooks_attempt_recent"
                    ),
                ),
                migrations.AddIndex(
                    model_name="attempt",
                    index=models.Index(fields=["id"], name="webhooks_attempt_one"),
                ),
                *[
                    migrations.AlterField(model_name="attempt", name=name, field=field)
                    for name, field in NAMED.items()
                ],
            ],
        ),
    ]
