"""The tests, like the installation, run as a role that owns nothing."""

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection

pytestmark = pytest.mark.django_db


def test_the_run_time_role_has_no_special_power() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles "
            "WHERE rolname = current_user"
        )
        row = cursor.fetchone()

    assert row == (settings.DATABASE_ROLES["runtime"]["USER"], False, False, False, False)


def test_the_run_time_role_owns_no_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tableowner = current_user")
        row = cursor.fetchone()

    assert row == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE workspaces_user DISABLE TRIGGER ALL",
        "DROP TABLE workspaces_user",
        "CREATE TABLE public.mine (id int)",
        "UPDATE django_migrations SET name = 'x'",
    ],
)
def test_the_run_time_role_may_not(statement: str) -> None:
    refused = pytest.raises(ProgrammingError, match=r"must be owner|permission denied")

    with refused, connection.cursor() as cursor:
        cursor.execute(statement)
