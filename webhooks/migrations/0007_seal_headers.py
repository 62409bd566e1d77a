"""The values of custom headers are encrypted, as the keys are.

The column gets another name, so that a sender of the version before, if one still runs, stops with
an error instead of sending what it cannot read.
"""

import uuid
from base64 import b64encode
from typing import Any

from django.db import migrations, models

from webhooks.secrets import keyring


def seal(apps: Any, schema_editor: Any) -> None:
    for webhook in apps.get_model("webhooks", "Webhook").objects.exclude(headers={}):
        context = f"webhooks.Webhook:{webhook.public_id}:header:"
        webhook.headers = {
            name: b64encode(keyring().encrypt(str(value), context=context + name)).decode()
            for name, value in webhook.headers.items()
        }
        webhook.save(update_fields=["headers"])


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0006_attempt_webhook")]

    operations = [
        migrations.AlterField(
            model_name="webhook",
            name="headers",
            field=models.JSONField(
                blank=True,
                db_column="sealed_headers",
                default=dict,
                verbose_name="custom headers",
            ),
        ),
        migrations.AlterField(
            model_name="webhook",
            name="public_id",
            field=models.UUIDField(
                default=uuid.uuid4, editable=False, unique=True, verbose_name="public ID"
            ),
        ),
        migrations.RunPython(seal),
    ]
