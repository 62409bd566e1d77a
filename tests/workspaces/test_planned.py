"""Statements that a connection plans once."""

import pytest
from django.db import connection, transaction
from django.db.utils import DataError
from django.test.utils import CaptureQueriesContext

from workspaces import planned

pytestmark = pytest.mark.django_db

SUM = "SELECT %s::int + %s::int, 'all of 100 %%'"


def run(first: int, second: int) -> list[str]:
    """Add two numbers; return the first words of what was sent for that."""
    with CaptureQueriesContext(connection) as asked, connection.cursor() as cursor:
        planned.execute(cursor, "add", SUM, [first, second])
        assert cursor.fetchall() == [(first + second, "all of 100 %")]
    return [query["sql"].split()[0] for query in asked]


@pytest.mark.django_db(transaction=True)
def test_a_statement_is_planned_once_a_connection() -> None:
    connection.close()

    assert run(1, 2) == ["PREPARE", "EXECUTE"]
    assert run(3, 4) == ["EXECUTE"]
    connection.close()
    assert run(5, 6) == ["PREPARE", "EXECUTE"]


def test_a_plan_outlives_the_transaction_that_it_was_made_in() -> None:
    run(1, 2)
    with pytest.raises(DataError), transaction.atomic(), connection.cursor() as cursor:
        planned.execute(cursor, "divide", "SELECT %s::int / %s::int", [1, 0])

    with connection.cursor() as cursor:
        planned.execute(cursor, "divide", "SELECT %s::int / %s::int", [6, 3])
        assert cursor.fetchone() == (2,)
