from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Build the index beside the old one: imports and sends go on meanwhile."""

    atomic = False

    dependencies = [
        ("identity", "0005_incoming_of_type"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="identifier",
            index=models.Index(fields=["value", "id_type"], name="identity_identifier_of_value"),
        ),
        RemoveIndexConcurrently(
            model_name="identifier",
            name="identity_identifier_value",
        ),
    ]
