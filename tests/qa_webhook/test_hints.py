"""A hint may be lost; it may not hold anybody up."""

import json
import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from celery import Celery, Task
from django.conf import settings

from qa_webhook import celery_app, hints, local
from qa_webhook.schedule import SCHEDULE


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    hints._Quiet.until = 0.0
    hints._broker.cache_clear()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A listener that takes connections and never says a word, as a hung broker does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _task(broker_url: str, queue: str = "misc") -> "Task[..., None]":
    app = Celery("hinting", broker=broker_url, set_as_current=False)
    app.conf.task_default_queue = queue
    app.set_current()

    @app.task(name="hinted", shared=False)
    def hinted(*ids: int) -> None:
        """Never runs: nobody consumes."""

    return hinted


@pytest.fixture(autouse=True)
def _our_app_again() -> Iterator[None]:
    yield
    celery_app.set_current()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_hung_broker_costs_a_second(scheme: str, silent_port: int) -> None:
    task = _task(f"{scheme}://127.0.0.1:{silent_port}//")
    lost = hints.lost._value.get()

    started = time.monotonic()
    taken = hints.hint(task)

    assert not taken
    assert time.monotonic() - started < 2.5
    assert hints.lost._value.get() == lost + 1


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_gone_costs_nothing(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    task = _task(f"{scheme}://127.0.0.1:{port}//")

    started = time.monotonic()

    assert not hints.hint(task)
    assert time.monotonic() - started < 1


def test_after_a_failure_nobody_waits_again(silent_port: int) -> None:
    task = _task(f"redis://127.0.0.1:{silent_port}/0")
    hints.hint(task)

    started = time.monotonic()

    assert not hints.hint(task)
    assert time.monotonic() - started < 0.05


def test_a_hint_reaches_the_queue(services: None) -> None:
    queue = f"hints-{uuid4()}"
    task = _task(settings.CELERY_BROKER_URL, queue)
    client = redis.Redis(unix_socket_path=str(local.valkey_socket()))

    taken = hints.hint(task, 7)

    (message,) = client.lrange(queue, 0, -1)
    client.delete(queue)
    assert taken
    assert json.loads(message)["headers"]["argsrepr"] == "(7,)"


def test_what_is_scheduled_exists() -> None:
    app = celery_app
    app.loader.import_default_modules()

    assert {entry["task"] for entry in SCHEDULE.values()} <= set(app.tasks)
    assert set(settings.CELERY_TASK_ROUTES) <= set(app.tasks)
