"""The processes of a row: started here, told by their pid, ended with the row."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
WAIT_SECONDS: Final = 180.0


class RowError(AssertionError):
    """What a row expects did not come about; the message says which."""


class NotRunError(Exception):
    """Something that a row needs is not on this machine; the message says what to install."""


def check(holds: object, expectation: str) -> None:
    """Fail the row unless this holds."""
    if not holds:
        raise RowError(expectation)


def wait_until(
    condition: Callable[[], object],
    expectation: str,
    *,
    seconds: float = WAIT_SECONDS,
    every: float = 0.05,
) -> float:
    """Wait for a fact and return the seconds it took; the machine may be a slow one."""
    started = time.monotonic()
    while not condition():
        check(time.monotonic() - started < seconds, f"not within {seconds:g} s: {expectation}")
        time.sleep(every)
    return time.monotonic() - started


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Process:
    """One process with its own session, whose output is kept for the secrets' row."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._command = list(command)
        self.environment = dict(environment)
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> "Process":
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def output(self) -> bytes:
        """Return what it has printed so far."""
        return self._log.read_bytes()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, seconds: float = WAIT_SECONDS) -> int:
        """Return the exit code."""
        assert self._child is not None
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RowError(f"{self.name} did not end within {seconds:g} s") from None

    def stop(self, seconds: float = WAIT_SECONDS) -> int:
        """Ask it to end; return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End it and its children as a power cut would."""
        if self._child is not None:
            self.signal(signal.SIGKILL)
            self.wait(30)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def resident_mb(pid: int) -> float:
    """Return how much memory a process has in use now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
