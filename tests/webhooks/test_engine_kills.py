"""Real processes, sockets and PostgreSQL: kill -9 at any moment, then compare the two ledgers.

What the receiver saw is read from the file it writes, not from our tables.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tests.webhooks.processes import ROOT, SenderProcess, environment, wait_until
from tests.webhooks.scene import Scene, make_scene
from tests.webhooks.test_engine import check_invariants
from webhooks import control
from webhooks.models import Attempt, Chunk, Delivery, Message
from workspaces import tenants

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class ReceiverProcess:
    """``manage.py receiver``, which writes every request as a line."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._file = directory / "received.jsonl"
        self._arguments = arguments
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self, port: int = 0) -> None:
        command = ["receiver", "--port", str(port), "--write", str(self._file)]
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *command, *self._arguments],
            env=environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.port = int(line.rsplit(":", 1)[1].strip("/\n"))

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def lines(self) -> list[dict[str, Any]]:
        """Return every request, whole lines only: the last one may be under way."""
        text = self._file.read_text() if self._file.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def count(self) -> int:
        return self._file.read_bytes().count(b"\n") if self._file.exists() else 0


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(tmp_path, "--fail-percent", "10", "--keep", "10")
    process.start()
    yield process
    process.kill()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(tmp_path, "--mode", "slow", "--delay-ms", "100")
    process.start()
    yield process
    process.kill()


def compare(scene: Scene, receiver: ReceiverProcess, *, poisoned: int = 0) -> Counter[str]:
    """Hold what the receiver wrote against our tables; return how often each person was accepted.

    Every person has one id and one body, whoever is delivered was accepted, and there are no
    more requests than attempts on record. When one chunk's senders were killed three times, by
    chance, whoever was open at the next kill is taken to be the cause.
    """
    requests: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    shown = defaultdict(set)
    for line in receiver.lines():
        body = json.loads(line["body"])
        for recipient in body["recipients"]:
            requests[recipient["delivery_id"]] += 1
            accepted[recipient["delivery_id"]] += line["status"] == 200
            shown[recipient["delivery_id"]].add((line["message_id"], line["body"]))
    deliveries = scene.deliveries()
    assert len(deliveries) == len(scene.qaids)
    assert all(len(found) == 1 for found in shown.values())
    dead = [each for each in deliveries if each.state != "delivered"]
    assert {(each.state, each.reason) for each in dead} <= {("dead", "poison")}
    assert len(dead) <= poisoned
    for delivery in deliveries:
        if delivery in dead:
            continue
        assert accepted[delivery.id] >= 1
        assert requests[delivery.id] <= delivery.attempts
    return accepted


def is_done(scene: Scene) -> bool:
    return scene.counts().queued == 0


def test_senders_killed_again_and_again_lose_nobody(receiver: ReceiverProcess) -> None:
    """At every kill at most what was open, or answered and not yet flushed, is sent again."""
    concurrency, kills = 32, 4
    scene = make_scene(receiver.url(), people=3_000, concurrency=concurrency, timeout_seconds=2)
    scene.submit(size=250)
    chance = random.Random(7)
    before: list[int] = []
    with SenderProcess() as first, SenderProcess() as second:
        wait_until(lambda: receiver.count() > 100)
        for number in range(kills):
            time.sleep(0.3 + chance.random())
            victim = (first, second)[number % 2]
            before.append(receiver.count())
            victim.kill()
            victim.start()
            if is_done(scene):
                break
            wait_until(lambda: receiver.count() > before[-1] or is_done(scene))
        wait_until(lambda: is_done(scene), seconds=120)

    accepted = compare(scene, receiver, poisoned=kills - 3)
    doubled = {each for each, times in accepted.items() if times > 1}
    # A hundred answers make a flush; what is open is bounded by the webhook's concurrency.
    assert len(doubled) <= kills * (concurrency + 100)
    unknown = set(Attempt.objects.filter(kind="unknown").values_list("delivery_id", flat=True))
    assert doubled <= unknown
    assert Message.objects.count() == 0
    check_invariants(scene)


def test_a_frozen_sender_that_thaws_doubles_nothing_in_the_counts(
    receiver: ReceiverProcess,
) -> None:
    scene = make_scene(receiver.url(), people=1_500, concurrency=16, timeout_seconds=1)
    scene.submit(size=500)
    with SenderProcess() as frozen, SenderProcess():
        wait_until(lambda: receiver.count() > 200)
        frozen.signal(signal.SIGSTOP)
        wait_until(lambda: is_done(scene), seconds=90)
        counts = scene.counts()
        frozen.signal(signal.SIGCONT)
        time.sleep(1.5)

        assert scene.counts() == counts
    assert counts.delivered == 1_500
    compare(scene, receiver)
    check_invariants(scene)


def test_a_polite_stop_settles_what_is_open_and_hands_back_the_rest(
    receiver: ReceiverProcess,
) -> None:
    scene = make_scene(receiver.url(), people=2_000, concurrency=8, timeout_seconds=2)
    scene.submit(size=500)
    with SenderProcess("--processes", "2") as senders:
        wait_until(lambda: receiver.count() > 300)
        senders.signal(signal.SIGTERM)
        assert senders.wait(10) == 0

    assert Chunk.objects.filter(lease__isnull=False, unsent__gt=0).count() == 0
    assert Delivery.objects.count() == len({_delivery(line) for line in receiver.lines()})
    with SenderProcess():
        wait_until(lambda: is_done(scene), seconds=60)
    assert max(compare(scene, receiver).values()) == 1
    assert Attempt.objects.filter(kind__in=["unknown", "late"]).count() == 0


def test_a_receiver_that_is_down_during_a_run_gets_everybody_when_it_is_back(
    receiver: ReceiverProcess,
) -> None:
    scene = make_scene(receiver.url(), people=1_000, concurrency=16, timeout_seconds=1)
    scene.submit(size=250)
    # However long the receiver takes to come back, there is another try.
    with SenderProcess(schedule=[0.5] * 100):
        wait_until(lambda: receiver.count() > 200)
        receiver.kill()
        time.sleep(1.0)
        receiver.start(receiver.port)
        wait_until(lambda: is_done(scene), seconds=60)

    compare(scene, receiver)
    check_invariants(scene)


def test_database_connections_cut_in_full_flight_double_nothing(
    receiver: ReceiverProcess,
) -> None:
    """A flush whose COMMIT was not confirmed is repeated, and counts once; leases are kept."""
    scene = make_scene(receiver.url(), people=2_000, concurrency=16, timeout_seconds=1)
    scene.submit(size=250)
    with SenderProcess() as sender:
        wait_until(lambda: receiver.count() > 200)
        for _ in range(6):
            cut_connections()
            time.sleep(0.3)
        wait_until(lambda: is_done(scene), seconds=60)
        sender.signal(signal.SIGTERM)
        assert sender.wait(10) == 0

    assert max(compare(scene, receiver).values()) == 1
    assert Attempt.objects.filter(kind__in=["unknown", "late"]).count() == 0
    check_invariants(scene)


def cut_connections() -> None:
    """End every session on this database but our own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND usename = current_user"
        )


def test_paused_and_resumed_between_two_processes(receiver: ReceiverProcess) -> None:
    scene = make_scene(receiver.url(), people=2_000, concurrency=16, timeout_seconds=1)
    scene.submit(size=250)
    with SenderProcess("--processes", "2"):
        wait_until(lambda: receiver.count() > 200)
        control.pause(webhook=scene.webhook, actor=None, now=timezone.now())
        time.sleep(1.0)
        paused_at = receiver.count()
        time.sleep(1.0)
        assert receiver.count() == paused_at
        assert not is_done(scene)
        check_invariants(scene)

        control.resume(webhook=scene.webhook, actor=None, now=timezone.now())
        wait_until(lambda: is_done(scene), seconds=60)
    assert max(compare(scene, receiver).values()) == 1


def test_all_sending_stopped_ends_within_five_seconds(slow: ReceiverProcess) -> None:
    scene = make_scene(slow.url(), people=800, concurrency=8, timeout_seconds=2)
    scene.submit(size=800)  # All of it is in the sender's hands already.
    with SenderProcess():
        wait_until(lambda: slow.count() > 50)
        tenants.stop_sending(
            workspace=scene.workspace, reason="Wrong prices.", actor=None, now=timezone.now()
        )
        time.sleep(5.0)
        stopped_at = slow.count()
        time.sleep(1.0)
        assert slow.count() == stopped_at
        assert not is_done(scene)

        tenants.resume_sending(workspace=scene.workspace, actor=None)
        wait_until(lambda: is_done(scene), seconds=90)
    assert max(compare(scene, slow).values()) == 1


def _delivery(line: dict[str, Any]) -> str:
    found: str = json.loads(line["body"])["recipients"][0]["delivery_id"]
    return found
