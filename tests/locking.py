"""A table that nobody can read, so that the database truly refuses whoever asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

WAITS_AT_MOST = "50ms"


@contextmanager
def impatient() -> Iterator[None]:
    """Let the connections that are opened meanwhile give up soon on what is locked."""
    told = connections.settings["default"]
    before = told["OPTIONS"]
    options = f"{before.get('options', '')} -c lock_timeout={WAITS_AT_MOST}"
    told["OPTIONS"] = {**before, "options": options}
    try:
        yield
    finally:
        told["OPTIONS"] = before


@contextmanager
def unreadable(*tables: str) -> Iterator[None]:
    """Hold tables locked on a connection of its own; give up waiting for them soon on this one."""
    with connections["default"].cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{WAITS_AT_MOST}'")
    holder = connections["default"].copy()
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        holder.close()
        with connections["default"].cursor() as cursor:
            cursor.execute("RESET lock_timeout")
