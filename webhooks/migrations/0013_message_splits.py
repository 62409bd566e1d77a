"""Being split is no step of the retry schedule, so a message keeps how often that was."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0012_due_alone"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="splits",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
