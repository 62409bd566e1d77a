"""What every other test relies on."""

import socket

import pytest
from django.db import connection


def test_a_test_may_not_leave_this_machine() -> None:
    with socket.socket() as outward, pytest.raises(RuntimeError, match=r"this machine only"):
        outward.connect(("192.0.2.1", 80))


def test_a_test_may_reach_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as inward:
        inward.connect(server.getsockname())


@pytest.mark.django_db
def test_the_tests_have_a_database_of_their_own() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        (name,) = cursor.fetchone()

    assert name.startswith("test_qa_")
