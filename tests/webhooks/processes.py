"""Senders in processes of their own, on this test's database, to be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from django.db import connection

from qa_webhook import scratch

ROOT = Path(__file__).resolve().parents[2]

# Quick enough for a test: a dead sender's chunk is free again after three seconds.
OPTIONS: Mapping[str, Any] = {
    "lease_seconds": 3.0,
    "flush_seconds": 0.1,
    "idle_seconds": 0.05,
    "margin_seconds": 0.2,
    "schedule": [0.2, 0.4, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8],
    # Receivers fail on purpose; the breaker has tests and rows of its own.
    "breaker": {"results": 1_000_000},
}


def environment(**options: Any) -> dict[str, str]:
    """Return what a process needs to work on the database of this test."""
    return {
        **scratch.environment_for(connection.settings_dict["NAME"]),
        "SENDER_OPTIONS": json.dumps({**OPTIONS, **options}),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "WARNING",
    }


class Running:
    """A Python process of ours, which ends with the block however it is left."""

    def __init__(self, *command: str, environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        assert self._process is not None
        return self._process.poll() is None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *self._command],
            env=self._environment,
            cwd=ROOT,
            start_new_session=True,
        )

    def kill(self) -> None:
        """End it as a power cut would, children included."""
        if self.is_alive:
            self.signal(signal.SIGKILL)
            self.wait(30)

    def signal(self, number: int) -> None:
        os.killpg(self.pid, number)

    def wait(self, seconds: float) -> int:
        assert self._process is not None
        return self._process.wait(seconds)


class SenderProcess(Running):
    """``manage.py sender``, with short leases."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        super().__init__(
            str(ROOT / "manage.py"), "sender", *arguments, environment=environment(**options)
        )


def wait_until(
    condition: Callable[[], bool], *, seconds: float = 60.0, every: float = 0.05
) -> None:
    """Wait for a fact; fail when it does not come about."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(every)
