from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("workspaces", "0004_names"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="wants_mail",
            field=models.BooleanField(default=True, verbose_name="unread notices by e-mail"),
        ),
        migrations.AddField(
            model_name="notice",
            name="mailed_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="mailed"),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(
                condition=Q(("mailed_at", None), ("read_at", None)),
                fields=["created_at"],
                name="workspaces_notice_to_mail",
            ),
        ),
    ]
