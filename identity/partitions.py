"""The months that events are kept in. Without one, an event waits in the DEFAULT partition."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

from django.db import connection

MONTHS_AHEAD: Final = 2
# Older events, and those of a wrong clock, share the DEFAULT partition.
MONTHS_BACK: Final = 120


def _months_since_zero(day: date) -> int:
    return day.year * 12 + day.month - 1


def ensure_ahead(*, now: datetime) -> int:
    """Make this month's partition and the next ones; return how many were missing."""
    first = _months_since_zero(now.astimezone(UTC).date())
    return ensure_months(range(first, first + MONTHS_AHEAD + 1), now=now)


def ensure_months(months: Iterable[int], *, now: datetime) -> int:
    """Make the partitions of months (counted from year 0) that lie within reach."""
    current = _months_since_zero(now.astimezone(UTC).date())
    wanted = sorted(
        month for month in set(months) if current - MONTHS_BACK <= month <= current + MONTHS_AHEAD
    )
    if not wanted:
        return 0
    days = [date(month // 12, month % 12 + 1, 1) for month in wanted]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE identity_event_partition_create(day))"
            " FROM unnest(%s::date[]) AS day",
            [days],
        )
        (made,) = cursor.fetchone()
    return int(made)


def before(*, month: date) -> list[str]:
    """Return the names of the partitions of all months before ``month``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'identity_event'::regclass AND relname < %s"
            "   AND relname ~ '^identity_event_[0-9]{4}_[0-9]{2}$' ORDER BY relname",
            [f"identity_event_{month:%Y_%m}"],
        )
        return [name for (name,) in cursor.fetchall()]


def drop_before(*, month: date) -> list[str]:
    """Drop the partitions of all months before ``month`` whole; return their names."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, identity_event_partition_drop("
            "    to_date(substr(relname, 16), 'YYYY_MM'))"
            " FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'identity_event'::regclass AND relname < %s"
            "   AND relname ~ '^identity_event_[0-9]{4}_[0-9]{2}$'"
            " ORDER BY relname",
            [f"identity_event_{month:%Y_%m}"],
        )
        return [name for name, _ in cursor.fetchall()]
