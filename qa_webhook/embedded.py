"""Share this checkout's embedded services between every process that uses them.

Each user holds a shared lock for as long as it lives; the one that finds nobody else left stops the
services. A killed process lets go of its lock by dying, so the next user to end tidies up after it.
"""

import atexit
import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import IO

from psycopg2 import sql

from qa_webhook import local
from qa_webhook.servers import Postgres, ServiceError, Valkey


def is_used() -> bool:
    """Whether any service is ours to run; with both URLs set, none is."""
    return _runs_postgres() or _runs_valkey()


def _runs_postgres() -> bool:
    return not os.environ.get("DATABASE_URL")


def _runs_valkey() -> bool:
    return not os.environ.get("CELERY_BROKER_URL")


def _postgres() -> Postgres:
    return Postgres(directory=local.DIRECTORY, sockets=local.socket_directory())


def _valkey() -> Valkey:
    return Valkey(directory=local.DIRECTORY, socket=local.valkey_socket())


class _Hold:
    """This process's share in the services."""

    def __init__(self) -> None:
        self._lock: IO[bytes] | None = None

    def take(self) -> None:
        if self._lock is not None:
            return
        with _alone():
            self._lock = (local.DIRECTORY / "users.lock").open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            _start()
        atexit.register(self._let_go_in, os.getpid())

    def let_go(self) -> None:
        if self._lock is None:
            return
        with _alone():
            self._lock.close()
            self._lock = None
            with (local.DIRECTORY / "users.lock").open("ab") as probe:
                try:
                    fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                _stop()

    def _let_go_in(self, pid: int) -> None:
        if os.getpid() == pid:  # a forked child inherits the exit handler, not the duty
            self.let_go()


_hold = _Hold()


def acquire() -> None:
    """Start what is not running and hold it until this process ends or calls `release`."""
    if not is_used():
        return
    try:
        local.DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
        local.create_keys()
        _hold.take()
    except PermissionError as error:
        raise ServiceError(
            f"{local.DIRECTORY} cannot be written ({error.strerror}: {error.filename}). It belongs "
            "to another user: run as that user, or set LOCAL_DIR to a directory of your own."
        ) from error


def release() -> None:
    """Let go; the last user stops the services."""
    _hold.let_go()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process at a time starts or stops."""
    with (local.DIRECTORY / "start.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start() -> None:
    if _runs_postgres():
        postgres = _postgres()
        if not postgres.is_running():
            postgres.start()
        create_roles_and_database(postgres)
    if _runs_valkey():
        valkey = _valkey()
        if not valkey.is_running():
            valkey.start()


def _stop() -> None:
    if _runs_valkey():
        _valkey().stop()
    if _runs_postgres():
        _postgres().stop()
    with contextlib.suppress(OSError):
        local.socket_directory().rmdir()


def create_roles_and_database(postgres: Postgres) -> None:
    connection = postgres.connect("postgres")
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles UNION SELECT datname FROM pg_database")
        existing = {name for (name,) in cursor.fetchall()}
        # The owner may create databases for the tests' throw-away ones, and may end the sessions
        # of the run-time role in them.
        statements = {
            local.RUNTIME_ROLE: "CREATE ROLE {app} LOGIN",
            local.OWNER_ROLE: "CREATE ROLE {owner} LOGIN CREATEDB IN ROLE {app}",
            local.DATABASE: "CREATE DATABASE {database} OWNER {owner}",
        }
        for name, statement in statements.items():
            if name not in existing:
                cursor.execute(
                    sql.SQL(statement).format(
                        app=sql.Identifier(local.RUNTIME_ROLE),
                        owner=sql.Identifier(local.OWNER_ROLE),
                        database=sql.Identifier(local.DATABASE),
                    )
                )
