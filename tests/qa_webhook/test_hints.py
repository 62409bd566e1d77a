"""A hint may be lost; it may not hold anybody up."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from uuid import uuid4

import pytest
import redis
from celery import Celery, Task
from django.conf import settings
from django.utils import timezone

from qa_webhook import celery_app, hints, local
from qa_webhook.schedule import SCHEDULE
from tests.webhooks.scene import make_scene
from webhooks import lanes, tasks
from webhooks.models import Chunk
from webhooks.receiver import Behaviour, Receiver


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


@pytest.mark.django_db(transaction=True)
def test_what_is_due_and_nobody_serves_is_hinted_at_again(
    services: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, served, later = (make_scene("http://127.0.0.1:9/in", people=1) for _ in range(3))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # Planned while the broker is away: nobody hears of it.
    monkeypatch.setattr(hints, "_broker", lambda: hints.connect(f"redis://127.0.0.1:{port}/0"))
    for scene in (lost, served, later):
        scene.submit()
    # A database of the broker that no worker listens to.
    mine = f"{settings.CELERY_BROKER_URL}?virtual_host=9"
    monkeypatch.setattr(hints, "_broker", cache(lambda: hints.connect(mine)))
    hints._Quiet.until = 0.0
    Chunk.objects.filter(plan=later.plan).update(due_at=timezone.now() + timedelta(hours=1))
    lanes.take(served.webhook.pk, concurrency=8, wanted=1, token=uuid4(), seconds=60)
    client = redis.Redis(unix_socket_path=str(local.valkey_socket()), db=9)

    tasks.hint_due()

    messages = [json.loads(each) for each in client.lrange("send", 0, -1)]
    client.delete("send")
    assert [each["headers"]["argsrepr"] for each in messages] == [f"({lost.webhook.pk},)"]


@pytest.mark.django_db(transaction=True)
def test_a_drain_whose_time_is_over_ends_with_a_new_hint(
    services: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = f"{settings.CELERY_BROKER_URL}?virtual_host=9"
    monkeypatch.setattr(hints, "_broker", cache(lambda: hints.connect(mine)))
    client = redis.Redis(unix_socket_path=str(local.valkey_socket()), db=9)
    with Receiver() as receiver:
        receiver.behave("/in", Behaviour(delay=0.1))
        scene = make_scene(receiver.url("/in"), people=20, concurrency=1)
        scene.submit()
        client.delete("send")
        monkeypatch.setattr(tasks, "DRAIN_SECONDS", 0.5)
        tasks.drain_lane(scene.webhook.pk)
        left = scene.counts().queued
        hinted = client.lrange("send", 0, -1)
        client.delete("send")
        receiver.behave("/in", Behaviour())
        monkeypatch.setattr(tasks, "DRAIN_SECONDS", 20.0)
        tasks.drain_lane(scene.webhook.pk)
        again = client.lrange("send", 0, -1)

    assert 0 < left < 20
    assert [json.loads(each)["headers"]["argsrepr"] for each in hinted] == [
        f"({scene.webhook.pk},)"
    ]
    assert scene.counts().delivered == 20
    # Nothing was left, so that nobody is to come.
    assert again == []
