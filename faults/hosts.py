"""Machines of a row's own: each has an address, a name, a cable, and no file of another's.

A host is a network namespace at a switch. What runs on one reaches the others by TCP alone: the
sockets and directories that this machine's services have are empty on it, and the program cannot
be written to.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from threading import Thread
from typing import Any, Final, Self, TypeVar

from django.db import connection
from psycopg2 import sql

from faults.processes import ROOT, NotRunError
from qa_webhook import local
from qa_webhook.servers import Postgres, can_use_namespaces

_PREFIX: Final = "faults"
_NEW_NETWORK: Final = 0x4000_0000
_BRIDGE: Final = "switch"

T = TypeVar("T")


def _ip(*arguments: str) -> str:
    answer = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise NotRunError(f"network namespaces cannot be made here: {answer.stderr.strip()}")
    return answer.stdout


class Network:
    """A switch with this process at its first port; hosts come and go with the block."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._switch, self._ours = f"{_PREFIX}{self._pid}-0", f"{_PREFIX}{self._pid}"
        # Addresses that are kept for tests of networks, and one part of them for each rig.
        self._part = f"198.18.{self._pid % 250 + 1}"
        self._hosts: list[Host] = []

    @property
    def range(self) -> str:
        return f"{self._part}.0/24"

    def __enter__(self) -> Self:
        if os.geteuid() != 0 or shutil.which("ip") is None or not can_use_namespaces():
            raise NotRunError("run it as root, with iproute2 and user namespaces: hosts need them")
        _remove_abandoned()
        _ip("netns", "add", self._switch)
        try:
            _ip("-n", self._switch, "link", "add", _BRIDGE, "type", "bridge")
            _ip("-n", self._switch, "link", "set", _BRIDGE, "up")
            self._plug(1, self._ours, [])
            _ip("addr", "add", f"{self._part}.1/24", "dev", self._ours)
            _ip("link", "set", self._ours, "up")
        except NotRunError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The end that is plugged in here; the others go with their namespaces, when they can.
        subprocess.run(["ip", "link", "del", self._ours], capture_output=True, check=False)
        for namespace in [*(each.namespace for each in self._hosts), self._switch]:
            _ip("netns", "del", namespace)

    def host(self, name: str) -> "Host":
        """Add a machine."""
        number = len(self._hosts) + 2
        namespace = f"{_PREFIX}{self._pid}-{number}"
        _ip("netns", "add", namespace)
        made = Host(name, f"{self._part}.{number}", namespace, self._switch, f"port{number}")
        self._hosts.append(made)
        self._plug(number, "eth0", ["netns", namespace])
        _ip("-n", namespace, "addr", "add", f"{made.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", namespace, "link", "set", device, "up")
        return made

    def _plug(self, number: int, device: str, where: Sequence[str]) -> None:
        peer = ("peer", "name", f"port{number}", "netns", self._switch)
        _ip("link", "add", device, *where, "type", "veth", *peer)
        _ip("-n", self._switch, "link", "set", f"port{number}", "master", _BRIDGE, "up")


def _remove_abandoned() -> None:
    """Remove what killed rigs left; the name tells the process."""
    for line in _ip("netns", "list").splitlines():
        name = line.split(" ")[0]
        pid = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _ip("netns", "del", name)


@dataclass(frozen=True)
class Host:
    """One machine; ``address`` is its only way to others and theirs to it."""

    name: str
    address: str
    namespace: str
    _switch: str = field(repr=False)
    _port: str = field(repr=False)

    def command(self, command: Sequence[str], *, hidden: Sequence[Path] = ()) -> list[str]:
        """Return what runs a command here.

        Args:
            hidden: directories that are empty here and this command's own.
        """
        root = shlex.quote(str(ROOT))
        steps = [f"hostname {shlex.quote(self.name)}"]
        steps += [f"mount -t tmpfs none {shlex.quote(str(each))}" for each in hidden]
        if hidden:
            steps += [f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root}"]
        steps += [f"cd {root}", 'exec "$@"']
        entered = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "--ipc"]
        return [*entered, "sh", "-c", " && ".join(steps), "sh", *command]

    def do(self, function: Callable[[], T]) -> T:
        """Call a function with this host's network; what it starts is here too."""
        found: list[T] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                self._enter()
                found.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again below
                failed.append(error)

        # A thread has a network of its own, and takes it along when it ends.
        thread = Thread(target=work, name=self.name)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def _enter(self) -> None:
        """Take this thread there; Python has a function for it from 3.12 on."""
        library = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.namespace}").open("rb") as network:
            if library.setns(network.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "the host cannot be entered")

    def cut(self) -> None:
        """Pull its cable: what is sent is swallowed, and nobody is told."""
        _ip("-n", self._switch, "link", "set", self._port, "nomaster")

    def mend(self) -> None:
        _ip("-n", self._switch, "link", "set", self._port, "master", _BRIDGE)


# --- PostgreSQL on a host of its own --------------------------------------------------------------


class _Outside(Postgres):
    """The same cluster, which listens to a network and asks for passwords there."""

    def __init__(self, host: Host, **named: Any) -> None:
        super().__init__(**named)
        self._host = host

    def _options(self) -> list[str]:
        return [*super()._options(), "-c", f"listen_addresses={self._host.address}"]


@contextmanager
def outside(postgres: Postgres, *, host: Host, network: Network) -> Iterator[str]:
    """Move the server to a host for a while; yield the run-time role's login with its address."""
    password = token_urlsafe(12)
    connection.close()
    with postgres.connect("postgres") as session, session.cursor() as cursor:
        role = sql.Identifier(local.RUNTIME_ROLE)
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD %s").format(role), [password])
    session.close()
    with (postgres.data / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {network.range} scram-sha-256\n")
    moved = _Outside(host, directory=postgres.base, sockets=postgres.sockets)
    postgres.stop()
    host.do(moved.start)
    try:
        yield f"postgresql://{local.RUNTIME_ROLE}:{password}@{host.address}:5432"
    finally:
        connection.close()
        moved.stop()
        postgres.start()
