"""Leases, kept alive from a thread with a connection of its own.

A busy or blocked sending loop must not lose its work to its own slowness, and a dead one
must lose it soon. The fence is the token: a lease that ran out and was claimed by nobody
still settles.
"""

import contextlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg2
import structlog
from django.db import connection

log = structlog.get_logger(__name__)

# Renewed so many times within its length.
RENEWALS: Final = 6

_RENEW: Final = {
    "webhooks_chunk": "id = ANY(%s)",
    "webhooks_message": "id = ANY(%s)",
    "webhooks_lane": "webhook_id = ANY(%s)",
}


@dataclass
class Lease:
    """One claim: rows of one table under one token, and until when by this process's own clock."""

    table: str
    ids: list[Any]
    until: float  # Of time.monotonic(), which also runs while the process is stopped.
    token: UUID = field(default_factory=uuid4)
    lost: bool = False

    def __post_init__(self) -> None:
        # As the database's rows are compared with it, once for each person.
        self.key = str(self.token)

    def left(self) -> float:
        """Return the seconds left; nothing once the lease is lost."""
        return 0.0 if self.lost else self.until - time.monotonic()


class Keeper:
    """Renews the leases of one sender every sixth of their length."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # Rows that others claimed since; told with the heartbeat.
        self.losses = 0
        self._leases: dict[UUID, Lease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        # Opened in this process, after any fork, with what Django connects with.
        self._parameters: dict[str, Any] = {}

    def start(self) -> None:
        self._parameters = connection.get_connection_params()
        self._parameters.pop("cursor_factory", None)
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def hold(self, table: str, ids: Iterable[Any], token: UUID, *, began: float) -> Lease:
        """Keep a claim alive from now on; ``began`` is when its statement was sent."""
        lease = Lease(table, list(ids), began + self.seconds, token)
        with self._lock:
            self._leases[token] = lease
        return lease

    def release(self, lease: Lease) -> None:
        """Stop renewing; what becomes of the rows is the caller's."""
        with self._lock:
            self._leases.pop(lease.token, None)

    def forget(self, token: UUID) -> None:
        """Stop renewing whatever was claimed under a token, if anything was."""
        with self._lock:
            self._leases.pop(token, None)

    def _run(self) -> None:
        session: Any = None
        while not self._stop.wait(self.seconds / RENEWALS):
            with self._lock:
                leases = list(self._leases.values())
            if not leases:
                continue
            try:
                session = session or self._connect()
                for lease in leases:
                    self._renew(session, lease)
            except psycopg2.Error as error:
                # The next round connects again; until then the leases run on.
                log.warning("leases_not_renewed", error=type(error).__name__)
                with contextlib.suppress(psycopg2.Error):
                    if session is not None:
                        session.close()
                session = None
        if session is not None:
            session.close()

    def _connect(self) -> Any:
        session = psycopg2.connect(**self._parameters)
        session.autocommit = True
        with session.cursor() as cursor:
            # A renewal that hangs is worth less than the next one.
            cursor.execute("SET statement_timeout = %s", [int(self.seconds * 1000 / RENEWALS)])
        return session

    @staticmethod
    def _is_taken(cursor: Any, lease: Lease) -> bool:
        """Tell whether rows that are not ours any more are another's; a settled message is gone."""
        if lease.table != "webhooks_message":
            return True
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM webhooks_message WHERE id = ANY(%s) AND lease <> %s)",
            [lease.ids, str(lease.token)],
        )
        return bool(cursor.fetchone()[0])

    def _renew(self, session: Any, lease: Lease) -> None:
        began = time.monotonic()
        with session.cursor() as cursor:
            cursor.execute(
                f"UPDATE {lease.table} SET"
                " lease_until = clock_timestamp() + make_interval(secs => %s)"
                f" WHERE {_RENEW[lease.table]} AND lease = %s",
                [self.seconds, lease.ids, str(lease.token)],
            )
            if cursor.rowcount or not self._is_taken(cursor, lease):
                lease.until = began + self.seconds
                return
        with self._lock:
            held = lease.token in self._leases
        if held and not lease.lost:
            lease.lost = True
            self.losses += len(lease.ids)
            log.warning("lease_lost", table=lease.table, rows=len(lease.ids))
