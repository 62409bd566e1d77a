"""The temporary tables that a batch of lines is written into and worked on from.

Files, forms and single events all go this way. The tables belong to the connection, are made
once and empty themselves at the end of a transaction, so that a small batch costs little.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.db.backends.utils import CursorWrapper

from identity.copying import copy_rows
from identity.models.id_types import MAX_MAPPING_TYPES

SLOTS: Final = range(1, MAX_MAPPING_TYPES + 1)
# Below this the planner's guesses are good enough.
_ANALYZE_FROM: Final = 2000

# One line of a batch. v1 … v5 are the values of the ID types in ID Mapping, by priority, "" for
# none; others {"ID type": "value"} of all other types.
_values: Final = ", ".join(f"v{slot} text NOT NULL DEFAULT ''" for slot in SLOTS)
_owners: Final = ", ".join(f"f{slot} bigint" for slot in SLOTS)
_CREATE: Final = f"""
CREATE TEMPORARY TABLE identity_staged (
    line bigint NOT NULL,
    {_values},
    others jsonb,
    seen_at timestamptz NOT NULL,
    event_type_id bigint,
    event_id text,
    payload jsonb,
    profile_id bigint
) ON COMMIT DELETE ROWS;
-- Each combination of mapping values once, known by its first line; f1 … f5 are their owners.
CREATE TEMPORARY TABLE identity_staged_sets (
    line bigint NOT NULL,
    {_values},
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    profile_id bigint,
    {_owners}
) ON COMMIT DELETE ROWS;
-- What was decided about the combinations that needed it.
CREATE TEMPORARY TABLE identity_staged_placed (
    line bigint NOT NULL,
    profile_id bigint,
    {_owners}
) ON COMMIT DELETE ROWS;
"""
_TABLES: Final = ("identity_staged", "identity_staged_sets", "identity_staged_placed")
COLUMNS: Final = (
    "line",
    *(f"v{slot}" for slot in SLOTS),
    "others",
    "seen_at",
    "event_type_id",
    "event_id",
    "payload",
)


def prepare(cursor: CursorWrapper) -> None:
    """Make the tables if this connection has none, and empty them if this transaction used them."""
    cursor.execute("SELECT to_regclass('pg_temp.identity_staged') IS NULL")
    if cursor.fetchone() == (True,):
        cursor.execute(_CREATE)
        return
    used = ", ".join(f"EXISTS (SELECT FROM {table})" for table in _TABLES)
    cursor.execute(f"SELECT {used}")
    for table, is_used in zip(_TABLES, cursor.fetchone(), strict=True):
        # An empty table needs no new file.
        if is_used:
            cursor.execute(f"TRUNCATE {table}")


def fill(cursor: CursorWrapper, rows: Sequence[Sequence[Any]]) -> None:
    """Stage the rows of one batch, each in the order of ``COLUMNS``."""
    copy_rows(
        cursor,
        table="identity_staged",
        columns=COLUMNS,
        rows=rows,
        not_null=[f"v{slot}" for slot in SLOTS],
    )
    analyze(cursor, "identity_staged", len(rows))


def analyze(cursor: CursorWrapper, table: str, size: int) -> None:
    """Let the planner see what a large batch holds; a sample of 3,000 rows will do."""
    if size >= _ANALYZE_FROM:
        cursor.execute(
            "SET LOCAL default_statistics_target = 10;"
            f" ANALYZE {table}; SET LOCAL default_statistics_target TO DEFAULT"
        )


def place(cursor: CursorWrapper, rows: Iterable[Sequence[Any]]) -> None:
    """Write what was decided: (line, person, the owners of its values)."""
    copy_rows(
        cursor,
        table="identity_staged_placed",
        columns=("line", "profile_id", *(f"f{slot}" for slot in SLOTS)),
        rows=rows,
    )
