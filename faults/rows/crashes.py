"""Group A: processes and PostgreSQL killed, frozen, stopped and slowed at the worst moments."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg2
from django.db import connection
from django.utils import timezone

from faults.matrix import Figures, row
from faults.processes import ROOT, NotRunError, check, free_port, python, wait_until
from faults.proxy import Proxy
from faults.rig import FLUSH_PEOPLE, LEASE_SECONDS, Rig, totals
from faults.visitors import Visitor, publishing
from identity.models import Profile
from journeys.choices import RunState
from journeys.models import Run
from qa_webhook import local, scratch
from tests.journeys.test_runner import plans_of, publish
from webhooks.models import Attempt, Chunk, Delivery, Message


def attempts(kind: str) -> int:
    return Attempt.objects.filter(kind=kind).count()


def is_over(run: Run) -> bool:
    return Run.objects.filter(pk=run.pk, state=RunState.FINISHED).exists()


@row("A1", "kill -9 a sender while requests are at the receiver", guard="unknown", is_short=True)
def killed_while_open(rig: Rig) -> Figures:
    concurrency = 50
    scene = rig.scene("slow/0.4", people=500, submit=250, concurrency=concurrency)
    sender = rig.sender()
    rig.wait_for_requests(2 * concurrency)
    sender.kill()
    rig.allowed.doubled = concurrency + FLUSH_PEOPLE
    rig.sender()
    rig.wait_until_done(scene)
    check(scene.counts().delivered == 500, "all 500 are delivered")
    check(attempts("unknown") > 0, "what was open has an attempt of unknown outcome")
    return {"people": 500, "unknown attempts": attempts("unknown")}


@row("A2", "a sender dies between claim and sending")
def killed_after_claim(rig: Rig) -> Figures:
    scene = rig.scene("ok", people=200, submit=200)
    rig.sender(points="after_claim=kill").wait()
    died = time.time()
    check(rig.ledger.count() == 0, "nothing was sent by the one who died")
    (chunk,) = scene.chunks()
    rig.sender()
    rig.wait_until_done(scene)
    first = min(line["at"] for line in rig.ledger.lines())
    check(chunk.lease_until is not None, "the dead sender left its lease")
    assert chunk.lease_until is not None
    early = chunk.lease_until.timestamp() - first
    check(early <= 0, f"nothing goes out before the lease ends; {early:.2f} s early")
    check(rig.ledger.count() == 200, "then everybody exactly once")
    return {"people": 200, "seconds until the first": round(first - died, 1)}


@row("A3", "a sender dies after the answers, before their commit", guard="unknown", is_short=True)
def killed_after_answers(rig: Rig) -> Figures:
    scene = rig.scene("ok", people=20, submit=20, concurrency=20)
    rig.sender(points="after_response=kill:20", flush_seconds=30.0).wait()
    check(rig.ledger.count() == 20, "all 20 were at the receiver")
    check(not Delivery.objects.exists(), "and none was recorded")
    rig.allowed.doubled = 20
    rig.sender(points="before_commit=kill").wait()
    rig.sender()
    rig.wait_until_done(scene)
    check(totals() == {"delivered": 20}, f"20 are delivered, not {totals()}")
    return {"people": 20, "requests of each": rig.ledger.count() / 20}


@row("A4", "a frozen sender thaws after others took over", guard="fence", is_short=True)
def zombie(rig: Rig) -> Figures:
    scene = rig.scene("slow/1", people=300, submit=100, concurrency=40)
    frozen = rig.sender()
    # The second forty are all on their way: one caught half written would go out on thawing.
    rig.wait_for_requests(80)
    frozen.signal(signal.SIGSTOP)
    rig.allowed.doubled = 40 + FLUSH_PEOPLE
    rig.sender()
    rig.wait_until_done(scene)
    counts, requests, rows = scene.counts(), rig.ledger.count(), Delivery.objects.count()
    frozen.signal(signal.SIGCONT)
    rig.wait(lambda: attempts("late"), "the late outcomes are attempts marked so", seconds=30)
    time.sleep(1.0)
    check(frozen.is_alive, "the thawed sender lives")
    check(rig.ledger.count() == requests, "it opens nothing")
    check(scene.counts() == counts and Delivery.objects.count() == rows, "and changes no count")
    check(counts.delivered == 300, "all 300 are delivered")
    return {"people": 300, "late attempts": attempts("late"), "unknown": attempts("unknown")}


@row("A5", "slow but alive: a chunk takes several leases", guard="renewal")
def slow_but_alive(rig: Rig) -> Figures:
    scene = rig.scene("slow/0.8", people=64, submit=64, concurrency=8)
    rig.sender()
    rig.wait_for_requests(1)
    rig.sender()
    seconds = rig.wait_until_done(scene, seconds=60)
    (chunk,) = scene.chunks()
    check(seconds > 1.5 * LEASE_SECONDS, "it took longer than its lease")
    check(chunk.claims == 1, f"it was claimed once, not {chunk.claims} times")
    check(rig.ledger.count() == 64, "everybody was sent to once")
    return {"people": 64, "leases": round(seconds / LEASE_SECONDS, 1), "claims": chunk.claims}


@row("A6", "polite stop with 200 requests open")
def polite_stop(rig: Rig) -> Figures:
    scene = rig.scene("slow/0.8", people=700, submit=350, concurrency=200)
    sender = rig.sender("--processes", "2")
    rig.wait_for_requests(200)
    started = time.monotonic()
    code = sender.stop()
    seconds = time.monotonic() - started
    check(code == 0, f"it ends with 0, not {code}")
    held = Chunk.objects.filter(lease__isnull=False, unsent__gt=0).count()
    check(held == 0, "nothing is left under a lease")
    sent = {each for line in rig.ledger.lines() for each in line["delivery_ids"]}
    check(Delivery.objects.count() == len(sent), "all that was open is settled")
    rig.sender()
    rig.wait_until_done(scene)
    check(rig.ledger.count() == 700, "nobody was sent to twice")
    return {"people": 700, "sent before the stop": len(sent), "stopped in s": round(seconds, 1)}


@row("A11", "PostgreSQL crashes in full flight, twice")
def postgres_crash(rig: Rig) -> Figures:
    server = rig.postgres
    concurrency = 32
    scene = rig.crowd("slow/0.05", people=1_500, concurrency=concurrency)
    run = publish(scene, scene.journey(steps=[scene.config()] * 2), timezone.now())
    sender, planner = rig.sender(), rig.planner()
    for _ in range(2):
        rig.wait_for_requests(200)
        crash(server)
        rig.allowed.doubled += concurrency + FLUSH_PEOPLE
        time.sleep(3)
        server.start()
    rig.wait(lambda: is_over(run), "both steps end")
    check(sender.is_alive and planner.is_alive, "sender and planner live through it")
    check(totals() == {"delivered": 3_000}, f"3,000 are delivered, not {totals()}")
    return {"people": 1_500, "steps": 2, "crashes": 2}


def crash(server: Any) -> None:
    """End the server and every process of it at once, as a power cut would."""
    connection.close()
    parent = int((server.data / "postmaster.pid").read_text().split()[0])
    pids = [parent, *children_of(parent)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # It refuses to start beside what is left of it.
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "it is dead")


@row("A12", "PostgreSQL slow, then half-open, then cut")
def postgres_half_open(rig: Rig) -> Figures:
    socket = rig.postgres.sockets / ".s.PGSQL.5432"
    scene = rig.scene("slow/0.05", people=1_500, submit=250, concurrency=32)
    with Proxy(socket) as proxy:
        environment = rig.environment(lease_seconds=30.0)
        url = f"postgresql://{local.RUNTIME_ROLE}@127.0.0.1:{proxy.port}/{rig.name}"
        sender = rig.run(
            "sender", python("manage.py", "sender"), {**environment, "DATABASE_URL": url}
        )
        rig.wait_for_requests(50)
        proxy.latency = 0.25
        rig.wait_for_requests(100)
        proxy.latency, proxy.blackhole = 0.0, True
        time.sleep(12)
        quiet = rig.ledger.count()
        time.sleep(3)
        check(rig.ledger.count() == quiet, "without a database nothing new is opened")
        proxy.blackhole = False
        rig.wait_for_requests(100)
        proxy.reset()
        rig.wait_until_done(scene)
        check(sender.is_alive, "the sender lives through it")
        claims = max(chunk.claims for chunk in scene.chunks())
        check(claims == 1, f"no lease of live work ended; claimed {claims} times")
    check(scene.counts().delivered == 1_500, "everybody is delivered")
    return {"people": 1_500, "connections": proxy.accepted}


@row("A13", "another program takes every connection to PostgreSQL")
def exhausted(rig: Rig) -> Figures:
    scene = rig.crowd("slow/0.05", people=1_500, concurrency=32)
    port = free_port()
    processes = [rig.sender(), rig.planner(), rig.web(port)]
    first = publish(scene, scene.journey(), timezone.now())
    rig.wait_for_requests(300)
    # Who is frozen, loses its connections, and thaws when there are none left.
    for process in processes:
        process.signal(signal.SIGSTOP)
    taken = take_every_connection(rig)
    for process in processes:
        process.signal(signal.SIGCONT)
    late = rig.sender()
    time.sleep(10)
    quiet = rig.ledger.count()
    check(answer(port, "/health/live") == 200, "the web server lives")
    check(answer(port, "/health/ready") == 503, "and says that it is not ready")
    check(answer(port, "/health/deep") == 503, "an alarm sees it too")
    check(rig.ledger.count() == quiet, "without a connection nothing new is opened")
    for each in taken:
        each.close()
    rig.wait(lambda: answer(port, "/health/ready") == 200, "the web server is ready again")
    rig.wait(lambda: is_over(first), "the run ends")
    check(all(each.is_alive for each in [*processes, late]), "everyone waited, and lives")
    check(totals() == {"delivered": 1_500}, f"everybody is delivered: {totals()}")
    rig.allowed.doubled = 32 + FLUSH_PEOPLE
    return {"people": 1_500, "connections taken": len(taken)}


def take_every_connection(rig: Rig) -> list[Any]:
    url = rig.environment()["DATABASE_URL"]
    taken: list[Any] = []
    with scratch.owner_session() as cursor:
        for _ in range(2):
            with suppress(psycopg2.OperationalError):
                while True:
                    taken.append(psycopg2.connect(url))
            ours = [
                connection.connection.info.backend_pid,
                *(each.info.backend_pid for each in taken),
            ]
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> ALL(%s)",
                [rig.name, ours],
            )
            time.sleep(0.5)
    return taken


def answer(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as found:
            return int(found.status)
    except HTTPError as error:
        return error.code


@row("A14", "two planners and two schedulers, then none, then two of each again")
def two_planners(rig: Rig) -> Figures:
    scene = rig.crowd("slow/0.02", people=2_000, concurrency=64)
    run = publish(scene, scene.journey(steps=[scene.config()] * 2), timezone.now())
    planning = [rig.planner(), rig.planner(), rig.celery(), rig.celery()]
    rig.sender()
    rig.wait_for_requests(300)
    for each in planning:
        each.kill()
    second = publish(scene, scene.journey(), timezone.now())
    # Its time comes, and goes by, while nobody plans.
    Run.objects.filter(pk=second.pk).update(starts_at=timezone.now() + timedelta(seconds=2))
    time.sleep(6)
    check(Run.objects.get(pk=second.pk).people in (None, 0), "nobody is planned without them")
    for start in (rig.planner, rig.celery, rig.planner, rig.celery):
        start()
    rig.wait(lambda: is_over(run) and is_over(second), "both runs end")
    for plan in [*plans_of(run), *plans_of(second)]:
        people = [qaid for chunk in Chunk.objects.filter(plan=plan) for qaid in chunk.qaids]
        check(len(people) == len(set(people)) == 2_000, "everybody is planned once a step")
    check(rig.ledger.count() == 6_000, "and sent to once a step")
    return {"people": 2_000, "steps": 3}


@row("A15", "poison: values too long, a message senders die with, a child killed", guard="poison")
def poison(rig: Rig) -> Figures:
    scene = rig.scene("slow/0.2", people=40, submit=40, concurrency=40)
    for qaid, size in zip(scene.qaids, (1_200_000, 5_000_000), strict=False):
        Profile.objects.filter(pk=qaid).update(tags={"nickname": "x" * size})
    rig.allowed.doubled = 40
    for _ in range(3):
        rig.sender(points="after_request_sent=kill").wait()
    rig.sender()
    rig.wait_until_done(scene)
    reasons = scene.counts().by_reason("dead")
    check(reasons.get("poison") == 1, f"the one who was open at the third death is dead: {reasons}")
    check(sum(reasons.values()) == 3, f"and the two too long ones: {reasons}")
    check(scene.counts().delivered == 37, "the neighbours are delivered")
    killed_child(rig)
    return {"people": 240, **{f"dead {reason}": number for reason, number in reasons.items()}}


def killed_child(rig: Rig) -> None:
    """Kill one of a sender's processes as the system does when memory runs out."""
    scene = rig.scene("slow/0.2", people=200, submit=20, concurrency=16)
    parent = rig.sender("--processes", "2")
    rig.wait(lambda: len(children_of(parent.pid)) == 2, "both processes run")
    rig.wait_for_requests(30)
    before = children_of(parent.pid)
    os.kill(before[0], signal.SIGKILL)
    rig.allowed.doubled += 16 + FLUSH_PEOPLE
    rig.wait(lambda: len(set(children_of(parent.pid)) - {before[0]}) == 2, "another one takes over")
    rig.wait_until_done(scene)
    check(parent.is_alive, "who watches over them lives")
    check(scene.counts().delivered == 200, f"everybody is delivered: {totals()}")


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def clock(directory: Path, *, seconds: int) -> dict[str, str]:
    """Return what puts the wall clock of a process off; the spans that it measures stay right."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotRunError("install a C compiler")
    library = directory / "clock.so"
    source = ROOT / "faults" / "clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    told = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(seconds)}
    shown = subprocess.run(
        python("-c", "import time; print(time.time())"),
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=True,
    )
    check(abs(float(shown.stdout) - time.time() - seconds) < 60, "its clock is off by so much")
    return told


@row("A16", "senders, planners and web with clocks that are an hour off, either way", guard="clock")
def wrong_clocks(rig: Rig) -> Figures:
    clocks = [clock(rig.directory, seconds=off) for off in (3_600, -3_600)]
    scene = rig.scene("first/1", people=300, submit=50, concurrency=32)
    for off in clocks:
        rig.run("sender", python("manage.py", "sender"), {**rig.environment(), **off})
    rig.wait_until_done(scene)
    check(scene.counts().delivered == 300, f"everybody is delivered: {totals()}")
    check(not Message.objects.exists(), "and nobody waits")
    lines = rig.ledger.lines()
    wrong = [each for each in lines if abs(int(each["timestamp"]) - each["at"]) > 30]
    check(not wrong, f"{len(wrong)} requests are signed with another time than the database's")
    seen: dict[str, float] = {}
    for line in lines:
        (delivery_id,) = line["delivery_ids"]
        if delivery_id in seen:
            gap = line["at"] - seen[delivery_id]
            check(0.15 < gap < 60, f"the second try comes when it is due, not after {gap:.2f} s")
        seen[delivery_id] = line["at"]
    planned_by_wrong_clocks(rig, clocks)
    return {"people": 600, "requests": rig.ledger.count()}


def planned_by_wrong_clocks(rig: Rig, clocks: list[dict[str, str]]) -> None:
    """Start runs at once and at a time, whichever planner comes first."""
    crowd = rig.crowd("ok", people=100)
    # One is published at a web machine that is an hour ahead, and told to start at once.
    port = free_port()
    rig.web(port, host=None, **clocks[0])
    marketer = Visitor(rig, user=crowd.member, port=port)
    answered = publishing(marketer, crowd.journey(), people=100)()
    check(answered in (200, 204, 302), f"it is published: {answered}")
    runs = [Run.objects.get(), *(publish(crowd, crowd.journey(), timezone.now()) for _ in "ab")]
    later = timezone.now() + timedelta(seconds=8)
    Run.objects.filter(pk=runs[2].pk).update(starts_at=later)
    for off in clocks:
        rig.run("planner", python("manage.py", "planner"), {**rig.environment(), **off})
    rig.wait(lambda: all(map(is_over, runs)), "all runs end, none an hour later", seconds=60)
    started = Run.objects.get(pk=runs[2].pk).started_at
    assert started is not None
    early = (later - started).total_seconds()
    check(-30 < early <= 0, f"what has a time starts at it, not {early:.1f} s before")
    check(totals() == {"delivered": 600}, f"everybody is delivered: {totals()}")
