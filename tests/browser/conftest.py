"""Django and playwright in one thread: the database comes first and leaves last."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import expect

from tests.browser.shop import Shop, make_shop
from webhooks.receiver import Receiver
from workspaces.choices import Language

# A busy machine takes longer than the five seconds that are given.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session", autouse=True)
def _database_before_the_browser(django_db_setup: None) -> None:
    """Make the database before playwright's event loop runs, and drop it after that has ended."""


@pytest.fixture(scope="package", autouse=True)
def _loop_is_not_ours() -> Iterator[None]:
    """Let Django work beside the loop, the setting up and emptying of the database included."""
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    yield
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def shop(request: pytest.FixtureRequest, settings: Any) -> Iterator[Shop]:
    """A shop in English, or in the language that the test is parametrized with."""
    cache.clear()
    with Receiver() as receiver:
        settings.EGRESS_ALLOW = [f"127.0.0.1/32:{receiver.port}"]
        yield make_shop(receiver, getattr(request, "param", Language.ENGLISH))
