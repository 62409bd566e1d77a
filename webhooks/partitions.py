"""The days that deliveries and attempts are kept in.

Planning needs a day's partition and fails without one; settling never does, since a row
whose partition is missing waits in the DEFAULT one.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from django.db import connection

DAYS_AHEAD: Final = 14


class NoPartition(Exception):  # noqa: N818 - it says what is wrong
    """The day has no partition, so nothing can be planned on it: the schedule is behind."""

    def __init__(self, day: date) -> None:
        super().__init__(day)
        self.day = day

    def __str__(self) -> str:
        return (
            f"There is no partition for deliveries planned on {self.day}. "
            "Run “manage.py partitions”, and see that the scheduler is running."
        )


def day_of(now: datetime) -> date:
    """Return the day that what is planned now belongs to."""
    return now.astimezone(UTC).date()


def ensure_ahead(*, now: datetime) -> int:
    """Make the partitions of today and the next 14 days; return how many days were missing."""
    days = [day_of(now) + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)]
    missing = [day for day in days if not exists(day)]
    with connection.cursor() as cursor:
        for day in missing:
            cursor.execute("SELECT webhooks_partition_create(%s)", [day])
    return len(missing)


def require(day: date) -> None:
    """Refuse to plan on a day without a partition.

    Raises:
        NoPartition: run ``ensure_ahead`` first.
    """
    if not exists(day):
        raise NoPartition(day)


def before(*, day: date) -> list[date]:
    """Return the days before ``day`` that have partitions, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_date(substr(relname, 19), 'YYYY_MM_DD')"
            " FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'webhooks_delivery'::regclass"
            "   AND relname ~ '^webhooks_delivery_[0-9]{4}_[0-9]{2}_[0-9]{2}$'"
            "   AND relname < %s ORDER BY relname",
            [f"webhooks_delivery_{day:%Y_%m_%d}"],
        )
        return [found for (found,) in cursor.fetchall()]


def drop_before(*, day: date) -> list[date]:
    """Drop the deliveries and attempts of all days before ``day`` whole; return the days."""
    days = before(day=day)
    for found in days:
        drop(found)
    return days


def drop(day: date) -> None:
    """Drop the deliveries and attempts of one day whole."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT webhooks_partition_drop(%s)", [day])


def exists(day: date) -> bool:
    """Tell whether what is planned on this day has its partitions."""
    names = [f"webhooks_delivery_{day:%Y_%m_%d}", f"webhooks_attempt_{day:%Y_%m_%d}"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(%s) name", [names]
        )
        return bool(cursor.fetchone()[0])
