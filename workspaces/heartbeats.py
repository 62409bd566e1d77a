"""Which processes are alive: each says so itself, every few seconds, in a row of its own.

Written from the loop that does the work, so a loop that hangs falls silent. Nothing depends on
it: leases, not heartbeats, decide who may go on with what.
"""

import os
import socket
import time
from typing import Final

from django.db import connection

BEAT_SECONDS: Final = 5.0
# Who was not heard of for so long is shown as silent, and soon afterwards not at all.
SILENT_SECONDS: Final = 20.0
FORGET_SECONDS: Final = 600.0

_BEAT: Final = """
WITH forgotten AS (
    DELETE FROM workspaces_heartbeat
    WHERE seen_at < clock_timestamp() - make_interval(secs => %(forget)s)
        AND (role, host, pid) <> (%(role)s, %(host)s, %(pid)s)
)
INSERT INTO workspaces_heartbeat AS kept (role, host, pid, started_at, seen_at, lease_losses)
VALUES (%(role)s, %(host)s, %(pid)s, clock_timestamp(), clock_timestamp(), %(losses)s)
ON CONFLICT (role, host, pid) DO UPDATE
SET seen_at = excluded.seen_at, lease_losses = excluded.lease_losses,
    started_at = CASE WHEN %(new)s THEN excluded.started_at ELSE kept.started_at END
"""


def is_alive(role: str) -> bool:
    """Tell whether any process of this role was heard of lately."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM workspaces_heartbeat WHERE role = %s"
            " AND seen_at > clock_timestamp() - make_interval(secs => %s))",
            [role, SILENT_SECONDS],
        )
        return bool(cursor.fetchone()[0])


class Heart:
    """Says for one process that it is alive."""

    def __init__(self, role: str, *, pid: int = 0, is_new: bool = True) -> None:
        """Tell of this process, or of ``pid``; unless it is new, an older row of it goes on."""
        self.role = role
        self.host = socket.gethostname()
        self.pid = pid or os.getpid()
        self._is_new = is_new
        self._beat_at = 0.0

    def beat(self, *, losses: int = 0) -> None:
        """Write it down unless that was done within the last seconds; call it in every round."""
        if time.monotonic() < self._beat_at:
            return
        self._beat_at = time.monotonic() + BEAT_SECONDS
        with connection.cursor() as cursor:
            cursor.execute(
                _BEAT,
                {
                    "role": self.role,
                    "host": self.host,
                    "pid": self.pid,
                    "losses": losses,
                    "new": self._is_new,
                    "forget": FORGET_SECONDS,
                },
            )
        self._is_new = False

    def stop(self) -> None:
        """Take the row away: the process ends as it should."""
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM workspaces_heartbeat WHERE role = %s AND host = %s AND pid = %s",
                [self.role, self.host, self.pid],
            )
