"""Planners in processes of their own, on this test's database, to be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from django.db import connection, transaction

from tests.webhooks.processes import wait_until
from webhooks.models import Chunk, Plan

ROOT = Path(__file__).resolve().parents[2]


class Planner:
    """``manage.py planner``, which ends with the block however it is left."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "planner"],
            env=self._environment,
            cwd=ROOT,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15)


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
