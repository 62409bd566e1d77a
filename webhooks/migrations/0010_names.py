from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0009_waiting_chunks")]

    operations = [
        migrations.AlterModelOptions(
            name="redelivery",
            options={
                "verbose_name": "order to send again",
                "verbose_name_plural": "orders to send again",
            },
        ),
    ]
