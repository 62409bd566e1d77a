"""A RabbitMQ server of a row's own, when the machine has the program."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from faults.hosts import Host
from faults.processes import NotRunError, free_port, wait_until
from qa_webhook import hints
from qa_webhook.celery import app

# Debian's own starter; the one on the path becomes another user first.
_DEBIAN: Final = Path("/usr/lib/rabbitmq/lib")
_START_SECONDS: Final = 120.0


class Rabbit:
    """Started with the block and ended with it; may be killed and started again meanwhile."""

    def __init__(self, directory: Path, *, host: Host | None = None) -> None:
        debian = sorted(map(str, _DEBIAN.glob("*/sbin/rabbitmq-server")))
        found = debian[-1] if debian else shutil.which("rabbitmq-server")
        if found is None:
            raise NotRunError("install rabbitmq-server")
        self._program = found
        self._directory = directory
        self._host = host
        self._address = host.address if host else "127.0.0.1"
        self._port, self._own_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self._address}:{self._port}//"

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        # Its only user may come from this machine alone otherwise.
        (self._directory / "rabbitmq.conf").write_text("loopback_users = none\n")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if names := shutil.which("epmd"):
            # Erlang's own register of names, which stays behind otherwise.
            self._run([names, "-kill"], check=False)

    def start(self) -> None:
        with (self._directory / "out").open("ab") as out:
            self._process = subprocess.Popen(
                self._here([self._program]),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        wait_until(self._answers, "RabbitMQ listens", seconds=_START_SECONDS)

    def forget(self) -> None:
        """Lose all that it has kept, as a new one in its place has nothing."""
        for each in self._directory.glob("faults*"):
            if each.is_dir():
                shutil.rmtree(each)

    def _here(self, command: list[str]) -> list[str]:
        return self._host.command(command) if self._host else command

    def _run(self, command: list[str], *, check: bool = True) -> str:
        answer = subprocess.run(
            self._here(command),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=check,
        )
        return answer.stdout

    def _environment(self) -> dict[str, str]:
        folder = str(self._directory)
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "RABBITMQ_NODENAME": f"faults{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": self._address,
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._own_port),
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
        }

    @contextmanager
    def hinted(self) -> Iterator[None]:
        """Let this process's hints go here meanwhile."""
        before = app.conf.broker_write_url
        _hint_at(self.url)
        try:
            yield
        finally:
            _hint_at(before)

    def cut(self) -> None:
        """Close every connection."""
        self._control("close_all_connections", "cut by a row")

    def connections(self) -> int:
        told = ("-q", "list_connections", "pid", "--no-table-headers")
        return len(self._control(*told).split())

    def _control(self, *told: str) -> str:
        beside = Path(self._program).with_name("rabbitmqctl")
        return self._run([str(beside), *told])

    def _answers(self) -> bool:
        try:
            socket.create_connection((self._address, self._port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it and its children as a power cut would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            # The shell is gone at once, the server a moment later.
            wait_until(lambda: not self._answers(), "RabbitMQ is gone", seconds=30)


def _hint_at(url: str) -> None:
    app.conf["broker_write_url"] = url
    hints._broker.cache_clear()
    hints._Quiet.until = 0.0
