"""A real PostgreSQL for every run, sockets to this machine only, and one clear line without chromium.

The database is made by the owner and named for the run, so runs may overlap; the tests themselves
connect as the run-time role, with the rights it has in an installation.
"""

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest
from pytest_django.plugin import DjangoDbBlocker

from qa_webhook import embedded
from tests import database

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_configure(config: pytest.Config) -> None:
    # Set by the controller before xdist starts its workers, so that all of a run share it.
    os.environ.setdefault("TEST_RUN_ID", f"{os.getpid()}_{secrets.token_hex(3)}")


@pytest.fixture(scope="session")
def services() -> Iterator[None]:
    """The embedded PostgreSQL and Valkey, or nothing where the environment names servers."""
    embedded.acquire()
    yield
    embedded.release()


@pytest.fixture(scope="session")
def django_db_setup(
    services: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"{database.PREFIX}{os.environ['TEST_RUN_ID']}_{worker}"
    with django_db_blocker.unblock(), database.throw_away(name):
        yield
