"""What waits is found by webhook and due time; by webhook alone all that ended was read too."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0011_names"),
    ]

    operations = [
        migrations.AlterField(
            model_name="chunk",
            name="webhook",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.webhook",
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="webhook",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.webhook",
            ),
        ),
    ]
