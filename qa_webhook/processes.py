"""Run several processes as one: prefix what they print, start again what dies, stop them together.

Every process works from rows in PostgreSQL and may be killed anywhere, so starting it again is the
whole repair. What dies again and again is a fault to be read, and ends them all.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final

from qa_webhook import local

STOP_SECONDS: Final = 35.0
# Dying this often within the window is not an accident.
DEATHS: Final = 3
WINDOW_SECONDS: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
_COLOURS: Final = (36, 32, 35, 33, 34, 31)


@dataclass
class Process:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    serves: bool = False  # The others speak to it, so it is stopped after them.
    child: subprocess.Popen[str] | None = None
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS))


class Supervisor:
    def __init__(self, processes: Sequence[Process], *, output: IO[str]) -> None:
        self._processes = processes
        self._output = output
        self._printing = threading.Lock()
        self._width = max(len(process.name) for process in processes)
        self._relays: list[threading.Thread] = []
        self._stopping = False
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def run(self, *, started: Callable[[], None]) -> int:
        """Start all, call ``started`` beside them, and wait for Ctrl-C; the exit code."""
        before = {number: signal.signal(number, self._stop) for number in _ENDING}
        try:
            for process in self._processes:
                self._start(process)
            threading.Thread(target=started, daemon=True).start()
            return self._watch()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    def say(self, name: str, line: str) -> None:
        colour = _COLOURS[hash_of(name) % len(_COLOURS)] if self._output.isatty() else None
        label = f"{name:<{self._width}} |"
        with self._printing:
            print(f"\x1b[{colour}m{label}\x1b[0m" if colour else label, line, file=self._output)
            self._output.flush()

    def _watch(self) -> int:
        while not self._stopping:
            time.sleep(0.2)
            for process in self._processes:
                code = process.child.poll() if process.child else None
                if code is None or self._stopping:
                    continue
                process.deaths.append(time.monotonic())
                if _dies_too_often(process):
                    self.say(process.name, f"ended with {code} again and again; stopping the rest")
                    return 1
                self.say(process.name, f"ended with {code}; starting it again")
                self._start(process)
        return 0

    def _start(self, process: Process) -> None:
        process.child = subprocess.Popen(
            process.command,
            env=dict(process.environment),
            cwd=local.BASE_DIR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C reaches us alone, and we tell them in order
            preexec_fn=self._die_with_us,  # noqa: PLW1509 - one system call, no Python state touched
        )
        relay = threading.Thread(target=self._relay, args=[process, process.child], daemon=True)
        relay.start()
        self._relays.append(relay)

    def _die_with_us(self) -> None:
        """In the child: end when the supervisor is killed, or the ports would stay taken."""
        if self._libc is not None:
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def _relay(self, process: Process, child: subprocess.Popen[str]) -> None:
        if child.stdout is None:
            return
        with child.stdout:
            for line in child.stdout:
                self.say(process.name, line.rstrip("\n"))

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _end(self) -> None:
        _end_all([process for process in self._processes if not process.serves])
        for process in reversed([process for process in self._processes if process.serves]):
            _end_all([process])
        for relay in self._relays:
            relay.join(1.0)  # what a grandchild holds open is not waited for


_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end_all(processes: Sequence[Process]) -> None:
    children = [process.child for process in processes if process.child]
    for child in children:
        child.terminate()  # itself alone: it ends what it started in its own order
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        # What it left behind, as when it was stopped before it knew how to stop its own children.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _dies_too_often(process: Process) -> bool:
    deaths = process.deaths
    return len(deaths) == DEATHS and deaths[-1] - deaths[0] < WINDOW_SECONDS


def hash_of(name: str) -> int:
    """The same number in every process, unlike ``hash``."""
    return sum(name.encode())
