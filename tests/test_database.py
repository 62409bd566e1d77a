"""What stays of one database in this process when it works on another."""

import os
import socket
import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from qa_webhook import scratch
from workspaces.models import Workspace

_CONNECTS = """
import django
django.setup()
from django.db import connection
print(connection.get_connection_params())
connection.ensure_connection()
"""


@pytest.mark.django_db(transaction=True)
def test_another_database_numbers_content_types_for_itself() -> None:
    (number,) = ContentType.objects.filter(model="workspace").values_list("pk", flat=True)
    ContentType.objects.get_for_model(Workspace).pk = number + 1_000

    with scratch.connected_to(connection.settings_dict["NAME"]):
        assert ContentType.objects.get_for_model(Workspace).pk == number
        ContentType.objects.get_for_model(Workspace).pk = number + 1_000

    assert ContentType.objects.get_for_model(Workspace).pk == number


def test_a_database_that_takes_connections_and_says_nothing_is_given_up_soon() -> None:
    """As behind a firewall that swallows, or on a machine that stands still."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://qa_app@127.0.0.1:{silent.getsockname()[1]}/qa?sslmode=disable"
        started = time.monotonic()
        answer = subprocess.run(
            [
                sys.executable,
                "-c",
                _CONNECTS,
            ],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "qa_webhook.settings",
                "DATABASE_URL": url,
                "CELERY_BROKER_URL": "memory://",
                "SECRET_KEY": settings.SECRET_KEY,
                "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
                "DELIVERY_KEY": settings.DELIVERY_KEY_BASE64,
            },
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert "OperationalError" in answer.stderr
    assert time.monotonic() - started < 30
    # What is given up after it was connected, row M3 of the fault matrix shows.
    for option in ("'tcp_user_timeout': 10000", "'keepalives_idle': 5", "'sslmode': 'disable'"):
        assert option in answer.stdout
