"""The one clock of an installation: the database's. Machines' own may be wrong, each in its way."""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """Ask the database for the time: what is due is decided by it alone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found
