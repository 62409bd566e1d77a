"""How the whole installation does at this moment: processes, queues, what stands still."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection
from django.utils import timezone

from webhooks import monitoring
from webhooks.monitoring import Condition
from workspaces import clock
from workspaces.heartbeats import SILENT_SECONDS
from workspaces.models import Heartbeat, Workspace

# Each must be there, or something stands still.
ROLES: Final = ("sender", "planner", "worker")

_OLDEST_TRANSACTION: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)
FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
    AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A process as its last heartbeat told."""

    role: str
    host: str
    pid: int
    started_at: datetime
    silent_seconds: float
    lease_losses: int

    @property
    def is_alive(self) -> bool:
        return self.silent_seconds < SILENT_SECONDS


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything ``manage.py status`` shows and the metrics count."""

    now: datetime  # By the database's clock.
    processes: list[ProcessSeen]
    webhooks: list[Condition]
    stopped: list[Workspace]
    oldest_transaction_seconds: float

    def alive(self, role: str) -> list[ProcessSeen]:
        return [each for each in self.processes if each.role == role and each.is_alive]

    @property
    def missing(self) -> list[str]:
        """Return the roles that no live process has."""
        return [role for role in ROLES if not self.alive(role)]

    @property
    def tick_age(self) -> float | None:
        """Return the seconds since the scheduler's last tick; None when none is known."""
        return tick_age(self.processes)

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self.webhooks)

    @property
    def rate(self) -> float:
        return sum(each.rate for each in self.webhooks)

    @property
    def overdue(self) -> list[Condition]:
        """Return the webhooks that may send and have something due, the longest first."""
        found = [
            each
            for each in self.webhooks
            if each.oldest_due and each.is_active and not each.is_stopped
        ]
        return sorted(found, key=lambda each: -each.oldest_due_seconds)

    @property
    def lease_losses(self) -> int:
        return sum(each.lease_losses for each in self.processes)


def read() -> Installation:
    """Ask the database how everything does."""
    now = clock.now()
    return Installation(
        now=now,
        processes=processes(now=now),
        webhooks=monitoring.conditions(),
        stopped=list(Workspace.objects.filter(sending_stopped_at__isnull=False).order_by("slug")),
        oldest_transaction_seconds=oldest_transaction(),
    )


def processes(*, now: datetime | None = None) -> list[ProcessSeen]:
    """Return who was heard of lately, by role and host."""
    moment = now or timezone.now()
    return [
        ProcessSeen(
            each.role,
            each.host,
            each.pid,
            each.started_at,
            max(0.0, (moment - each.seen_at).total_seconds()),
            each.lease_losses,
        )
        for each in Heartbeat.objects.order_by("role", "host", "pid")
    ]


def tick_age(seen: list[ProcessSeen] | None = None) -> float | None:
    """Return the seconds since the scheduler's last tick; None when none is known."""
    found = processes() if seen is None else seen
    return min((each.silent_seconds for each in found if each.role == "worker"), default=None)


def oldest_transaction() -> float:
    """Return how long the oldest open transaction of this database is open, in seconds.

    Those of other roles are seen only where ours may read statistics (pg_read_all_stats).
    """
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_TRANSACTION)
        return float(cursor.fetchone()[0])
