"""Storing events, for imports and for the live API."""

from datetime import datetime

from django.db.backends.utils import CursorWrapper

from identity import partitions

_STAGED = (
    "SELECT DISTINCT ON (s.event_id{distinct}) %(workspace)s::bigint AS workspace_id, s.event_id,"
    " s.seen_at AS occurred_at, s.event_type_id, s.profile_id,"
    " %(now)s::timestamptz AS received_at, s.payload AS attributes"
    " FROM identity_staged s WHERE s.profile_id > 0 ORDER BY s.event_id{distinct}, s.line"
)
_COLUMNS = "workspace_id, event_id, occurred_at, event_type_id, profile_id, received_at, attributes"

# Months that this process has seen to. Should one be gone, its events wait in DEFAULT.
_known_months: set[int] = set()


def _ensure_partitions(cursor: CursorWrapper, *, now: datetime) -> None:
    cursor.execute(
        "SELECT DISTINCT extract(year FROM m)::int * 12 + extract(month FROM m)::int - 1"
        " FROM (SELECT seen_at AT TIME ZONE 'UTC' AS m FROM identity_staged"
        "       WHERE profile_id > 0) AS moments"
    )
    months = {month for (month,) in cursor.fetchall()}
    if not months <= _known_months:
        partitions.ensure_months(months, now=now)
        _known_months.update(months)


def store_history(cursor: CursorWrapper, *, workspace_id: int, now: datetime) -> int:
    """Store the staged events, which start nothing; return how many were not there yet.

    An event is known by its id and time.
    """
    _ensure_partitions(cursor, now=now)
    staged = _STAGED.format(distinct=", s.seen_at")
    cursor.execute(
        f"INSERT INTO identity_event ({_COLUMNS}) {staged} ON CONFLICT DO NOTHING",
        {"workspace": workspace_id, "now": now},
    )
    return int(cursor.rowcount)


def store_live(cursor: CursorWrapper, *, workspace_id: int, now: datetime) -> set[str]:
    """Store the staged events and queue them for the runner; return the ids that are new.

    An event is known by its id alone, for as long as ids are remembered.
    """
    _ensure_partitions(cursor, now=now)
    staged = _STAGED.format(distinct="")
    cursor.execute(
        f"WITH fresh AS (INSERT INTO identity_incomingevent ({_COLUMNS}) {staged}"
        " ON CONFLICT (workspace_id, event_id) DO NOTHING"
        f" RETURNING {_COLUMNS}),"
        f" kept AS (INSERT INTO identity_event ({_COLUMNS}) SELECT {_COLUMNS} FROM fresh"
        " ON CONFLICT DO NOTHING)"
        " SELECT event_id FROM fresh",
        {"workspace": workspace_id, "now": now},
    )
    return {event_id for (event_id,) in cursor.fetchall()}
