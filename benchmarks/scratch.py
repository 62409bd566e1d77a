"""A database of its own for a benchmark, so that real data is neither read nor touched."""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from psycopg2 import sql

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def database() -> Iterator[str]:
    """Connect Django to a new, migrated database as the run-time role; drop it afterwards."""
    name = f"bench_qa_{os.getpid()}"
    before = {key: connection.settings_dict[key] for key in ("NAME", "USER", "PASSWORD")}
    _owner("CREATE DATABASE {}", name)
    try:
        _connect({"NAME": name, **_credentials("owner")})
        call_command("migrate", verbosity=0)
        _connect({"NAME": name, **_credentials("runtime")})
        yield name
    finally:
        _connect(before)
        _owner("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def environment(**options: Any) -> dict[str, str]:
    """Return what a process needs to work on the scratch database."""
    parts = connection.get_connection_params()
    host = quote(parts.get("host") or "", safe="")
    port = f":{parts['port']}" if parts.get("port") else ""
    password = f":{quote(parts['password'], safe='')}" if parts.get("password") else ""
    url = f"postgresql://{parts['user']}{password}@{host}{port}/{parts['dbname']}"
    return {
        **os.environ,
        "DATABASE_ROLE": "runtime",
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "DELIVERY_KEY": base64.b64encode(settings.DELIVERY_KEY).decode(),
        "EGRESS_ALLOW": "127.0.0.1/32",
        "SENDER_OPTIONS": json.dumps(options),
        "LOG_LEVEL": "WARNING",
    }


def _credentials(role: str) -> dict[str, str]:
    parts = settings.DATABASE_ROLES[role]
    return {"USER": parts["USER"], "PASSWORD": parts["PASSWORD"]}


def _connect(parts: Mapping[str, str]) -> None:
    connection.close()
    connection.settings_dict.update(parts)
    settings.DATABASES["default"].update(parts)


def _owner(statement: str, name: str) -> None:
    """Run one statement as the owner, outside every transaction."""
    parts = settings.DATABASE_ROLES["owner"]
    session = psycopg2.connect(
        host=parts["HOST"] or None,
        port=parts["PORT"] or None,
        user=parts["USER"],
        password=parts["PASSWORD"] or None,
        dbname="postgres",
    )
    session.autocommit = True
    with closing(session), session.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
