"""Planners in processes of their own, on this test's database, to be killed."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db import connection, transaction

from tests.webhooks.processes import ROOT, Running, wait_until
from webhooks.models import Chunk, Plan


class Planner(Running):
    """``manage.py planner``, to be killed or told to stop."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(str(ROOT / "manage.py"), "planner", environment=environment)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(15)


@contextmanager
def in_the_way(plan: Plan, number: int) -> Iterator[None]:
    """Hold a chunk's number in an open transaction: whoever plans it waits at that statement."""
    with transaction.atomic():
        Chunk.objects.create(
            workspace_id=plan.workspace_id,
            webhook_id=plan.webhook_id,
            plan=plan,
            number=number,
            day=plan.created_at.date(),
            qaids=[0],
            states=b"\0",
            due_at=plan.created_at,
            size=1,
            queued=1,
            unsent=1,
        )
        yield
        transaction.set_rollback(True)


def somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted"
            " AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


def wait_until_alone() -> None:
    """Wait until the session of a killed process has ended.

    An idle one is of this process: the thread of an earlier test's server may keep it.
    """

    def is_alone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND state <> 'idle'"
            )
            return int(cursor.fetchone()[0]) == 0

    wait_until(is_alone)
