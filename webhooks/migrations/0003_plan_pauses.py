from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0002_deliveries")]

    operations = [
        migrations.AddField("plan", "paused_at", models.DateTimeField(null=True)),
        migrations.AddField("plan", "closed_at", models.DateTimeField(null=True)),
        migrations.AddIndex(
            "plan",
            models.Index(
                condition=models.Q(("closed_at__isnull", True), ("state", "cancelled")),
                fields=["id"],
                name="webhooks_plan_to_close",
            ),
        ),
    ]
