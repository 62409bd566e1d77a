"""A throw-away database for every run, copied in a moment from a migrated one.

Migrating takes seconds and copying a tenth of one, so the first run after a change to any migration
leaves a template behind, named for what it was made from.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg2
from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from psycopg2 import sql

from qa_webhook import database_roles
from qa_webhook.scratch import connected_to, drop, execute, owner_session

PREFIX: Final = "test_qa_"
TEMPLATE_PREFIX: Final = "template_qa_"
# Any number, the same for all runs: one of them makes the template, the others wait for it.
_TEMPLATE_LOCK: Final = 726_931


def template_name() -> str:
    """Name the template by the migrations and the rights that go into it."""
    digest = hashlib.sha256()
    sources = [Path(database_roles.__file__)]
    for app in apps.get_app_configs():
        sources += sorted((Path(app.path) / "migrations").glob("**/*.py"))
    for source in sources:
        digest.update(os.fsencode(source) + source.read_bytes())
    return TEMPLATE_PREFIX + digest.hexdigest()[:16]


@contextmanager
def throw_away(name: str) -> Iterator[None]:
    """Connect Django to a new database as the run-time role, and drop it afterwards."""
    with owner_session() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        _drop_abandoned(cursor)
        template = template_name()
        if not _exists(cursor, template):
            _make_template(cursor, template)
        execute(cursor, "CREATE DATABASE {} TEMPLATE {}", name, template)
        execute(cursor, "ALTER DATABASE {} SET synchronous_commit = off", name)
    try:
        with connected_to(name):
            yield
    finally:
        with owner_session() as cursor:
            drop(cursor, name)


def _make_template(cursor: psycopg2.extensions.cursor, template: str) -> None:
    draft = f"{template}_draft"
    drop(cursor, draft)
    connection.settings_dict["TEST"]["NAME"] = draft
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    runtime = settings.DATABASE_ROLES["runtime"]["USER"]
    with connection.cursor() as migrated:
        # Transactional tests empty the tables between them; an installation never does.
        migrated.execute(
            sql.SQL("GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO {}").format(
                sql.Identifier(runtime)
            )
        )
        migrated.execute("ANALYZE")
    connection.close()
    for old in _databases(cursor, TEMPLATE_PREFIX):
        if old != draft:
            drop(cursor, old)
    execute(cursor, "ALTER DATABASE {} RENAME TO {}", draft, template)


def _drop_abandoned(cursor: psycopg2.extensions.cursor) -> None:
    """Remove what killed runs of this machine left; the name tells the process."""
    for name in _databases(cursor, PREFIX):
        pid = name.removeprefix(PREFIX).split("_", 1)[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            drop(cursor, name)


def _databases(cursor: psycopg2.extensions.cursor, prefix: str) -> list[str]:
    cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
    return [name for (name,) in cursor.fetchall()]


def _exists(cursor: psycopg2.extensions.cursor, name: str) -> bool:
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    return cursor.fetchone() is not None


# -- Between tests that commit ---------------------------------------------------------------------

# Django writes both after every migration, the same each time, and no test writes any.
_LASTING: Final = frozenset({"django_content_type", "auth_permission"})
# From so many rows on, taking the file away is quicker than deleting.
_MANY: Final = 2_000
# It refuses to forget a single row.
_APPEND_ONLY: Final = '"workspaces_auditentry"'


def empty() -> bool:
    """Delete what a test has committed; False when there is too much of it.

    Django takes the files of a hundred tables away, most of which were empty, and waits for the
    disk. As there, whoever still writes is waited for.
    """
    names = {*connection.introspection.django_table_names(only_existing=True)} - _LASTING
    tables = [f'"{name}"' for name in sorted(names)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}', count(*) FROM (SELECT FROM {table} LIMIT {_MANY}) AS few"
                for table in tables
            )
        )
        held = {table: count for table, count in cursor.fetchall() if count}
        if _MANY in held.values():
            return False
        if held.pop(_APPEND_ONLY, 0):
            cursor.execute(f"TRUNCATE {_APPEND_ONLY}")
        for table in held:
            cursor.execute(f"DELETE FROM {table}")
    # As after Django's own emptying, so that no test counts these queries among its own.
    ContentType.objects.get_for_models(*apps.get_models(include_auto_created=True))
    return True
