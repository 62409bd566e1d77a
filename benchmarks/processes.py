"""The processes of a benchmark, and what each of them cost: processor time and memory."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from django.db import connection

from qa_webhook import local

_TICKS = os.sysconf("SC_CLK_TCK")


class Manage:
    """One ``manage.py`` command that runs beside the benchmark."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(local.BASE_DIR / "manage.py"), *arguments],
            env=environment,
            cwd=local.BASE_DIR,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def pid(self) -> int:
        return self.process.pid


class Receiver(Manage):
    """The project's own receiver: checks every signature and counts every id."""

    def __init__(self, secret: str, *arguments: str, environment: dict[str, str]) -> None:
        environment = environment | {"BENCH_WEBHOOK_KEY": secret}
        command = ["receiver", "--port", "0", "--keep", "10", "--secret-env", "BENCH_WEBHOOK_KEY"]
        super().__init__(*command, *arguments, environment=environment)
        self._address = self.line().removeprefix("Listening at ").rstrip("/")
        self.url = f"{self._address}/bench"

    def stats(self) -> dict[str, Any]:
        # Its certificate is made for one run.
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with urlopen(f"{self._address}/stats", context=trusting) as answer:
            found: dict[str, Any] = json.load(answer)["ledgers"].get("/bench", {})
        return found


def children(pid: int) -> list[int]:
    """Return a process's children, or itself when it has none."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found] or [pid]


def cpu_seconds(pids: Iterable[int]) -> float:
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):  # It ended, or is just ending.
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def pss_mb(pid: int, *, kind: str = "Pss") -> float:
    """Return a process's share of memory: what it shares is divided among those who share it.

    Args:
        kind: ``Pss_Anon`` leaves files and PostgreSQL's common buffers out.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def backends(name: str) -> list[int]:
    """Return the database's server processes for one database; empty when it runs elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [name])
        pids = [pid for (pid,) in cursor.fetchall()]
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()]


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("the benchmark did not end in time")
        time.sleep(every)
