"""How many people a workspace knows, by what, and from where: for the page that finds people."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.core.cache import cache
from django.db import connection

from identity import audiences
from identity.models import DataSource, IdType
from workspaces.models import AuditEntry, Workspace

# Counting a million people takes a second or two, and nobody needs it to the minute.
KEPT: Final = timedelta(minutes=10)

PATIENCE: Final = audiences.PATIENCE

# A person with two numbers is one person; the primary key's index alone is read.
_COUNTS: Final = """
SELECT NULL, count(*) FROM identity_profile
WHERE workspace_id = %s AND merged_into_id IS NULL AND erased_at IS NULL
UNION ALL
SELECT known.id_type_id, count(*) FROM (
    SELECT DISTINCT i.profile_id, i.id_type_id FROM identity_identifier i
    WHERE i.id_type_id = ANY(%s)
) AS known GROUP BY known.id_type_id
"""


class Census(NamedTuple):
    people: int
    known: dict[int, int]  # How many have an ID of a type, by the type's key.
    at: datetime

    def percent(self, id_type: IdType) -> int:
        return self.known.get(id_type.pk, 0) * 100 // self.people if self.people else 0


class Source(NamedTuple):
    """A data source; ``last_import`` is None when no file was imported for it."""

    source: DataSource
    last_import: datetime | None


def take(workspace: Workspace, id_types: list[IdType], *, now: datetime) -> Census:
    """Count the people; the numbers are good for ten minutes.

    Raises:
        OperationalError: it took longer than ``PATIENCE``.
    """
    wanted = sorted(id_type.pk for id_type in id_types)
    key = f"identity.census:{workspace.pk}:{wanted}".replace(" ", "")
    kept: Census | None = cache.get(key)
    if kept is not None:
        return kept
    with audiences.patience(PATIENCE), connection.cursor() as cursor:
        cursor.execute(_COUNTS, [workspace.pk, wanted])
        counts: dict[int | None, int] = dict(cursor.fetchall())
    found = Census(
        counts.pop(None), {pk: count for pk, count in counts.items() if pk is not None}, now
    )
    # An empty workspace fills while somebody looks.
    if found.people:
        cache.set(key, found, KEPT.total_seconds())
    return found


def sources(workspace: Workspace) -> list[Source]:
    """Return the data sources with the last import of each, as the audit trail tells."""
    known = list(workspace.data_sources.order_by("priority", "code"))
    entries = (
        AuditEntry.objects.filter(
            object_type=DataSource._meta.label_lower,
            object_id__in=[str(source.pk) for source in known],
            action__endswith=".imported",
        )
        .order_by("object_id", "-at")
        .distinct("object_id")
    )
    imported = dict(entries.values_list("object_id", "at"))
    return [Source(source, imported.get(str(source.pk))) for source in known]
