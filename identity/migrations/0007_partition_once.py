"""Two calls that need the same new month at once: the second one sees the first one's partition.

It looked with ``to_regclass`` before and after it waited for the lock, and the second time got
the first answer from its cache, so its partition could not be made and the call failed. A query
looks into the catalogue itself.
"""

from typing import Any

from django.db import migrations

FUNCTION = "identity_event_partition_create(date)"
CACHED = "to_regclass(partition) IS NOT NULL"
LOOKED_UP = (
    "EXISTS (SELECT FROM pg_class WHERE relname = partition AND relnamespace ="
    " (SELECT relnamespace FROM pg_class WHERE oid = 'identity_event'::regclass))"
)


def _replace(schema_editor: Any, old: str, new: str) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef(%s::regprocedure)", [FUNCTION])
        before, lock, after = cursor.fetchone()[0].partition("PERFORM pg_advisory_xact_lock")
        if old not in after:
            raise RuntimeError(f"{FUNCTION} is not as this migration knows it.")
        cursor.execute(before + lock + after.replace(old, new, 1))


def forwards(apps: Any, schema_editor: Any) -> None:
    _replace(schema_editor, CACHED, LOOKED_UP)


def backwards(apps: Any, schema_editor: Any) -> None:
    _replace(schema_editor, LOOKED_UP, CACHED)


class Migration(migrations.Migration):
    dependencies = [("identity", "0006_value_first")]

    operations = [migrations.RunPython(forwards, backwards)]
