"""A database of its own for one run of the demo, a benchmark or the tests; nothing else is touched.

The owner makes, migrates and drops it; Django in this process, and every process started with
the environment that is handed out, work on it as the run-time role.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import quote

import psycopg2
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from psycopg2 import sql

from qa_webhook import local

_TRIES: Final = 5
_PARTS: Final = ("HOST", "PORT", "NAME", "USER", "PASSWORD")


@contextmanager
def database(name: str) -> Iterator[dict[str, str]]:
    """Connect Django to a new, migrated database; yield the environment for its processes."""
    name = f"{connection.settings_dict['NAME']}_{name}_{os.getpid()}"
    with owner_session() as cursor:
        execute(cursor, "CREATE DATABASE {}", name)
    try:
        environment = environment_for(name)
        subprocess.run(
            [sys.executable, str(local.BASE_DIR / "manage.py"), "migrate", "--verbosity", "0"],
            env={**environment, "DATABASE_ROLE": "owner"},
            check=True,
        )
        with connected_to(name):
            yield environment
    finally:
        with owner_session() as cursor:
            drop(cursor, name)


@contextmanager
def connected_to(name: str) -> Iterator[None]:
    """Let Django in this process work on another database, as the run-time role."""
    before = {key: connection.settings_dict[key] for key in _PARTS}
    runtime = {key: settings.DATABASE_ROLES["runtime"][key] for key in _PARTS}
    _connect({**runtime, "NAME": name})
    try:
        yield
    finally:
        _connect(before)


def environment_for(name: str) -> dict[str, str]:
    """The environment for a process of ours that works on another database of this server.

    It names everything that is generated for an embedded installation, since the URLs are named.
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "qa_webhook.settings",
        "DATABASE_ROLE": "runtime",
        "DATABASE_URL": _url("runtime", name),
        "DATABASE_OWNER_URL": _url("owner", name),
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "DELIVERY_KEY": settings.DELIVERY_KEY_BASE64,
        "EGRESS_ALLOW": ",".join(settings.EGRESS_ALLOW),
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def owner_session() -> Iterator[psycopg2.extensions.cursor]:
    """A session of the owner in no database of ours, where databases are made and dropped."""
    parts = settings.DATABASE_ROLES["owner"]
    session = psycopg2.connect(
        host=parts["HOST"] or None,
        port=parts["PORT"] or None,
        user=parts["USER"],
        password=parts["PASSWORD"] or None,
        dbname="postgres",
    )
    session.autocommit = True
    try:
        with session.cursor() as cursor:
            yield cursor
    finally:
        session.close()


def execute(cursor: psycopg2.extensions.cursor, statement: str, *names: str) -> None:
    """Run a statement with these names in its places."""
    cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def drop(cursor: psycopg2.extensions.cursor, name: str) -> None:
    """Drop a database and whoever is in it.

    The server's own vacuum is nobody whom the owner may put out; asked without FORCE, it goes.
    """
    for _try in range(_TRIES):
        try:
            execute(cursor, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        except psycopg2.errors.InsufficientPrivilege:
            with suppress(psycopg2.errors.ObjectInUse):
                execute(cursor, "DROP DATABASE IF EXISTS {}", name)
        else:
            return
    execute(cursor, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _url(role: str, name: str) -> str:
    parts = settings.DATABASE_ROLES[role]
    login = quote(parts["USER"], safe="")
    if parts["PASSWORD"]:
        login += ":" + quote(parts["PASSWORD"], safe="")
    host = quote(parts["HOST"], safe="") + (f":{parts['PORT']}" if parts["PORT"] else "")
    return f"postgresql://{login}@{host}/{name}"


def _connect(parts: dict[str, str]) -> None:
    connection.close()
    connection.settings_dict.update(parts)
    # Every database numbers them for itself, and this process remembers those that it has read.
    ContentType.objects.clear_cache()
