"""kill -9 of web, worker, broker and PostgreSQL in full flight: nobody is lost or counted twice.

Senders and planners have tests of their own. What the receiver saw is read from the file it writes.
"""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from django.db import connection, transaction
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from identity.models import IncomingEvent
from journeys.choices import RunState
from journeys.models import Enrollment, Run
from qa_webhook import embedded, local, scratch
from qa_webhook.servers import Postgres, Valkey
from tests.journeys import factories
from tests.journeys.processes import Planner, somebody_waits_for_us
from tests.journeys.test_runner import listen, plans_of, publish
from tests.webhooks.processes import Running, SenderProcess, environment, wait_until
from tests.webhooks.scene import Scene, make_people
from tests.webhooks.test_engine import check_invariants
from tests.webhooks.test_engine_kills import ReceiverProcess, compare
from webhooks.models import Attempt, Delivery
from workspaces import api_keys
from workspaces.choices import Scope

pytestmark = pytest.mark.slow

PEOPLE = 1_500
CONCURRENCY = 32
# What is open when a sender dies, and what was answered: a flush takes a hundred.
DOUBLED_AT_A_KILL = CONCURRENCY + 100


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverProcess]:
    """It takes its time, so that there is a flight to be disturbed."""
    process = ReceiverProcess(tmp_path, "--mode", "slow", "--delay-ms", "40", "--keep", "10")
    process.start()
    yield process
    process.kill()


class Flight:
    """A run of two steps, on which planner and sender work in turns."""

    def __init__(self, receiver: ReceiverProcess) -> None:
        self.receiver = receiver
        self.scene = factories.make_scene(
            url=receiver.url(), concurrency=CONCURRENCY, timeout_seconds=2
        )
        members = self.scene.audience.members
        members.all().delete()
        self.qaids = make_people(self.scene.workspace, PEOPLE, id_type=self.scene.mobile)
        members.model.objects.bulk_create(
            members.model(audience=self.scene.audience, profile_id=qaid) for qaid in self.qaids
        )
        journey = self.scene.journey(steps=[self.scene.config()] * 2)
        self.run = publish(self.scene, journey, timezone.now())

    def wait_for_requests(self, more: int = 200) -> None:
        """Wait until so many more came in, with others left to come."""
        wanted = self.receiver.count() + more
        wait_until(lambda: self.receiver.count() >= wanted)
        assert not self.is_over()

    def is_over(self) -> bool:
        return Run.objects.filter(pk=self.run.pk, state=RunState.FINISHED).exists()

    def doubled(self) -> set[str]:
        """Compare both ledgers; return who was accepted twice."""
        found = Counter[str]()
        for plan in plans_of(self.run):
            scene = Scene(
                self.scene.workspace,
                self.scene.member,
                self.scene.mobile,
                self.scene.webhook,
                plan,
                self.qaids,
            )
            check_invariants(scene)
            assert scene.counts().delivered == PEOPLE
            found |= compare(scene, self.receiver)
        return {each for each, times in found.items() if times > 1}


# --- PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture
def postgres(
    tmp_path: Path, sockets: Path, settings: Any, django_db_blocker: DjangoDbBlocker
) -> Iterator[Postgres]:
    """A server of this test's own, on which Django and every process work."""
    server = Postgres(directory=tmp_path, sockets=sockets)
    server.start()
    embedded.create_roles_and_database(server)
    settings.DATABASE_ROLES = {
        role: {**settings.DATABASE_ROLES[role], "HOST": str(sockets), "PORT": "", "USER": user}
        for role, user in [("owner", local.OWNER_ROLE), ("runtime", local.RUNTIME_ROLE)]
    }
    with django_db_blocker.unblock(), scratch.database("kills"):
        yield server
    server.stop()


def kill_all(server: Postgres) -> None:
    """End the server and every process of it at once, as a power cut would."""
    parent = int((server.data / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    pids = [parent, *map(int, children)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    connection.close()
    # It refuses to start beside what is left of it.
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_postgresql_killed_in_full_flight(postgres: Postgres, receiver: ReceiverProcess) -> None:
    """Sender and planner go on by themselves when it is back."""
    flight = Flight(receiver)
    with Planner(environment()) as planner, SenderProcess() as sender:
        for _ in range(2):
            flight.wait_for_requests()
            kill_all(postgres)
            postgres.start()
        wait_until(flight.is_over, seconds=90)
        assert planner.is_alive
        assert sender.is_alive

    assert len(flight.doubled()) <= 2 * DOUBLED_AT_A_KILL


# --- Worker, scheduler and broker -----------------------------------------------------------------


@pytest.fixture
def valkey(tmp_path: Path, sockets: Path, settings: Any) -> Iterator[Valkey]:
    """A broker of this test's own; every process that is started is told of it."""
    server = Valkey(directory=tmp_path, socket=sockets / "valkey.sock")
    server.start()
    settings.CELERY_BROKER_URL = f"redis+socket://{server.socket}"
    yield server
    server.stop()


def broker_says(server: Valkey, name: str) -> int:
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        return int(client.info()[name])


@pytest.mark.django_db(transaction=True)
def test_worker_scheduler_and_broker_killed_in_full_flight(
    valkey: Valkey, receiver: ReceiverProcess, tmp_path: Path
) -> None:
    """Without any of them delivery goes on by polling; back again, they change nothing."""
    worker = Running(
        *("-m", "celery", "--quiet", "--app", "qa_webhook", "worker", "--beat"),
        *("--queues", "plan,send,misc", "--schedule", str(tmp_path / "beat"), "--concurrency", "2"),
        *("--without-gossip", "--without-mingle"),
        environment=environment(),
    )
    with worker, Planner(environment()), SenderProcess():
        wait_until(lambda: broker_says(valkey, "blocked_clients") > 0)  # It listens.
        flight = Flight(receiver)
        flight.wait_for_requests()
        worker.kill()
        flight.wait_for_requests()
        os.kill(broker_says(valkey, "process_id"), signal.SIGKILL)
        flight.wait_for_requests()
        worker.start()
        flight.wait_for_requests()
        valkey.start()
        wait_until(flight.is_over, seconds=90)
        assert worker.is_alive

    doubled = flight.doubled()
    assert len(doubled) <= DOUBLED_AT_A_KILL
    unknown = set(Attempt.objects.filter(kind="unknown").values_list("delivery_id", flat=True))
    assert doubled <= unknown


# --- Web ------------------------------------------------------------------------------------------


class Shop:
    """Reports events as a careful system does: again, until the call was answered."""

    def __init__(self, site: str, key: str) -> None:
        self.broken = 0
        self._url = f"{site}/api/v1/events/"
        self._headers = {"Authorization": f"Bearer {key}"}

    def report(self, events: list[dict[str, Any]]) -> Counter[str]:
        while True:
            with suppress(requests.RequestException):
                answer = requests.post(
                    self._url, json={"events": events}, headers=self._headers, timeout=30
                )
                if answer.status_code == 200:
                    return Counter(each["status"] for each in answer.json()["results"])
            self.broken += 1


def wait_for_events(more: int) -> None:
    wanted = IncomingEvent.objects.count() + more
    wait_until(lambda: IncomingEvent.objects.count() >= wanted, every=0.01)


@pytest.mark.django_db(transaction=True)
def test_web_killed_while_it_takes_events_in(receiver: ReceiverProcess) -> None:
    """Each event enters once, whether its call was cut before the commit or after it."""
    scene = factories.make_scene(url=receiver.url(), timeout_seconds=2)
    listen(scene)
    key = api_keys.create(
        workspace=scene.workspace, name="Shop", scopes=[Scope.EVENTS_WRITE], actor=None
    ).secret
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    web = Running(
        *("-m", "gunicorn", "qa_webhook.wsgi", "--worker-class", "gthread", "--threads", "4"),
        *("--bind", address, "--no-control-socket", "--log-level", "error"),
        environment={**environment(), "SITE_URL": f"http://{address}"},
    )
    shop = Shop(f"http://{address}", key)
    batches = [
        [
            {
                "event_id": f"e-{number}",
                "event_type": "purchase",
                "ids": {"MOBILE": f"1380000000{number % 2 + 1}"},
                "attributes": {"shop": "Berlin"},
            }
            for number in range(first, first + 10)
        ]
        for first in range(0, 1_000, 10)
    ]
    with web, ThreadPoolExecutor(3) as systems:
        answers = systems.map(shop.report, batches)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE identity_incomingevent IN EXCLUSIVE MODE")
            wait_until(somebody_waits_for_us)
            web.kill()
        assert not IncomingEvent.objects.exists()
        for _ in range(2):
            web.start()
            wait_for_events(100)
            web.kill()
        web.start()
        said = sum(answers, Counter())
    assert said["accepted"] + said["duplicate"] == 1_000
    assert shop.broken

    with Planner(environment()), SenderProcess():
        wait_until(lambda: Delivery.objects.filter(state="delivered").count() >= 1_000, seconds=90)
    entered = set(Enrollment.objects.values_list("event_id", flat=True))
    assert len(entered) == Enrollment.objects.count() == Delivery.objects.count() == 1_000
    assert entered == {event["event_id"] for batch in batches for event in batch}
    sent = Counter(line["message_id"] for line in receiver.lines())
    assert len(sent) == sent.total() == 1_000
