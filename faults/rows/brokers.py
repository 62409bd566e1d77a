"""Group A: the broker gone, empty, hung and cut off. It carries hints, so only time is lost."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from itertools import pairwise

import redis
from django.utils import timezone

from faults.matrix import Figures, row
from faults.processes import check, free_port
from faults.rabbit import Rabbit
from faults.rig import NO_BREAKER, Rig, totals
from faults.rows.crashes import is_over
from faults.visitors import Visitor, publishing
from journeys.models import Run
from qa_webhook.servers import Valkey
from tests.journeys.test_runner import publish
from tests.webhooks.processes import OPTIONS
from webhooks import tasks


def ask(server: Valkey) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket), socket_timeout=5)


@row("A7", "the broker is down when a journey is published")
def down_at_launch(rig: Rig) -> Figures:
    broker = rig.valkey
    return launched_without(rig, stop=broker.stop, start=broker.start)


@row("A7r", "RabbitMQ is down when a journey is published")
def rabbit_down_at_launch(rig: Rig) -> Figures:
    broker = rig.enter(Rabbit(rig.directory / "rabbit"))
    rig.celery(CELERY_BROKER_URL=broker.url)
    rig.wait(broker.connections, "the worker listens", every=0.5)
    with broker.hinted():
        return launched_without(rig, stop=broker.kill, start=broker.start)


def launched_without(
    rig: Rig, *, stop: Callable[[], object], start: Callable[[], object]
) -> Figures:
    scene = rig.crowd("ok", people=3_000)
    journey = scene.journey()
    rig.planner()
    rig.sender()
    stop()
    try:
        started = time.monotonic()
        run = publish(scene, journey, timezone.now())
        click = time.monotonic() - started
        check(click < 5, f"the click is answered, after {click:.1f} s")
        rig.wait_for_requests(500)
    finally:
        start()
    rig.wait(lambda: is_over(run), "the run ends")
    check(totals() == {"delivered": 3_000}, f"everybody is delivered: {totals()}")
    return {"people": 3_000, "click in s": round(click, 2)}


@row("A8", "the broker loses everything, twice")
def emptied(rig: Rig) -> Figures:
    broker = rig.valkey
    scene = rig.crowd("slow/0.05", people=2_000, concurrency=32)
    rig.celery()
    rig.planner()
    rig.sender()
    run = publish(scene, scene.journey(), timezone.now())
    rig.wait_for_requests(200)
    with ask(broker) as client:
        client.flushall()
    rig.wait_for_requests(200)
    with ask(broker) as client:
        os.kill(int(client.info()["process_id"]), signal.SIGKILL)
    time.sleep(1)
    shutil.rmtree(broker.data)
    broker.start()
    rig.wait(lambda: is_over(run), "the run ends")
    times = [line["at"] for line in rig.ledger.lines()]
    pause = max(after - before for before, after in pairwise(times))
    check(pause < 5, f"sending pauses for {pause:.1f} s at most")
    check(totals() == {"delivered": 2_000}, f"everybody is delivered: {totals()}")
    return {"people": 2_000, "longest pause in s": round(pause, 2)}


@row("A9", "the broker hangs and does not refuse")
def hung(rig: Rig) -> Figures:
    broker = rig.valkey
    scene = rig.crowd("slow/0.02", people=3_000, concurrency=16)
    port = free_port()
    rig.web(port)
    rig.planner()
    rig.sender()
    marketer = Visitor(rig, user=scene.member, port=port)
    usual, click = (publishing(marketer, scene.journey(), people=3_000) for _ in range(2))
    took = timed(usual)
    with ask(broker) as client:
        pid = int(client.info()["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        hung = timed(click)
        rig.wait_for_requests(1_000)
    finally:
        os.kill(pid, signal.SIGCONT)
    # A busy machine makes both slow; the broker's part is its time limit of a second.
    check(hung < took + 2, f"a hint costs a second at most: {hung:.1f} s, else {took:.1f} s")
    rig.wait(lambda: all(map(is_over, Run.objects.all())), "both runs end")
    check(totals() == {"delivered": 6_000}, f"everybody is delivered: {totals()}")
    return {"people": 6_000, "click in s": round(hung, 2), "usually": round(took, 2)}


def timed(press: Callable[[], int]) -> float:
    """Press publish; return how long the answer took."""
    started = time.monotonic()
    answered = press()
    check(answered in (200, 204, 302), f"it is published: {answered}")
    return time.monotonic() - started


@row("A10", "every connection to the broker is cut")
def cut_off(rig: Rig) -> Figures:
    broker = rig.valkey
    rig.celery()

    def listens() -> bool:
        with ask(broker) as client:
            return int(client.info()["blocked_clients"]) > 0

    rig.wait(listens, "the worker listens")
    with ask(broker) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    rig.wait(listens, "it listens again")
    return sent_by_hints(rig)


@row("A10r", "every connection to RabbitMQ is cut")
def rabbit_cut_off(rig: Rig) -> Figures:
    broker = rig.enter(Rabbit(rig.directory / "rabbit"))
    rig.celery(CELERY_BROKER_URL=broker.url)
    rig.wait(broker.connections, "the worker listens", every=0.5)
    broker.cut()
    rig.wait(broker.connections, "it listens again", every=0.5)
    with broker.hinted():
        return sent_by_hints(rig)


def sent_by_hints(rig: Rig) -> Figures:
    # No sender runs: only a hint makes the worker send.
    scene = rig.scene("ok", people=100)
    scene.submit()

    def is_done() -> bool:
        # The first hint may have gone into a connection that was cut: nobody counts on one.
        tasks.hint(scene.webhook.pk)
        return scene.counts().queued == 0

    rig.wait(is_done, "a hint reaches the worker and everybody ended", every=1.0)
    return {"people": 100}


@row("A18", "workers and a scheduler alone, and every hint of the publishing is lost", guard="due")
def workers_alone(rig: Rig) -> Figures:
    scene = rig.crowd("first/1", people=400)
    broker = rig.valkey
    broker.stop()
    try:
        run = publish(scene, scene.journey(), timezone.now())
    finally:
        broker.start()
    started = time.monotonic()
    # Retries come due when nobody plans and nobody settles, so nothing but the clock tells of them.
    options = json.dumps({**OPTIONS, **NO_BREAKER, "schedule": [6.0] * 5})
    rig.celery(SENDER_OPTIONS=options)
    rig.wait(lambda: is_over(run), "the run ends", seconds=90)
    check(totals() == {"delivered": 400}, f"everybody is delivered: {totals()}")
    return {"people": 400, "in s": round(time.monotonic() - started, 1)}
