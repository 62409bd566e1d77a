"""Groups A and C: what shows only after a while: kills again and again, and an old transaction."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from django.db import connection, transaction
from django.utils import timezone

from faults.matrix import Figures, row
from faults.processes import check, resident_mb
from faults.rig import FLUSH_PEOPLE, Rig, totals
from qa_webhook import condition
from tests.webhooks.scene import Scene
from webhooks import claiming, outbox
from webhooks.outbox import NewChunk

SOAK_SECONDS = 120
KILL_EVERY_SECONDS = 10.0
CONCURRENCY = 16
PEOPLE = 20_000
# As many chunks as a million people have.
CHUNK = 10

_SIZE = """
SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(ARRAY['webhooks_lane',
    'webhooks_webhookcontrol', 'webhooks_message', 'workspaces_heartbeat']) AS name
"""
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


def number(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@row("C7", "mixed traffic, and a sender killed every ten seconds", guard="unknown")
def soak(rig: Rig) -> Figures:
    seconds = SOAK_SECONDS * rig.scale
    wave = 20
    scenes = [
        rig.scene(behaviour, people=wave * seconds, concurrency=CONCURRENCY)
        for behaviour in ("ok", "slow/0.05", "flaky/0.2", "status/400")
    ]
    steady = [rig.sender(), rig.planner()]
    killed = rig.sender()
    started = time.monotonic()
    kill_at, kills = started + KILL_EVERY_SECONDS, 0
    measured: list[tuple[float, int, int, int]] = []

    def measure() -> None:
        measured.append(
            (
                max(resident_mb(each.pid) for each in steady),
                max(open_files(each.pid) for each in steady),
                number(_CONNECTIONS),
                number(_SIZE),
            )
        )

    for second in range(seconds):
        for scene in scenes:
            chunk = NewChunk(second, scene.qaids[second * wave : (second + 1) * wave])
            outbox.submit(plan=scene.plan, chunks=[chunk], now=timezone.now())
        if second == seconds // 3:
            measure()
        if time.monotonic() >= kill_at:
            kill_at += KILL_EVERY_SECONDS
            kills += 1
            killed.kill()
            killed = rig.sender()
        time.sleep(max(0.0, started + second + 1 - time.monotonic()))
    measure()
    rig.allowed.doubled = kills * (len(scenes) * CONCURRENCY + 2 * FLUSH_PEOPLE)
    rig.wait_until_done(*scenes)
    ended = totals()
    check(sum(ended.values()) == len(scenes) * wave * seconds, f"everybody ends: {ended}")
    check(all(each.is_alive for each in steady), "who was not killed is alive")
    (memory, files, connections, size), (memory_2, files_2, connections_2, size_2) = measured
    check(memory_2 < 1.1 * memory + 2, f"memory stays: {memory:.0f}, then {memory_2:.0f} MB")
    check(files_2 <= files + 8, f"no descriptor is left open: {files}, then {files_2}")
    check(connections_2 <= connections + 3, f"nor a connection: {connections}, {connections_2}")
    check(size_2 < 1.5 * size + 1e6, f"what is written again does not grow: {size}, {size_2} bytes")
    return {
        "people": sum(ended.values()),
        "kills": kills,
        "MB": f"{memory:.0f}, then {memory_2:.0f}",
        "descriptors": f"{files}, then {files_2}",
    }


@row("A17", "a transaction stays open while a million people's chunks are sent")
def old_transaction(rig: Rig) -> Figures:
    people = PEOPLE * rig.scale
    rig.sender(lease_seconds=30.0)
    before = claims_of(rig, people // 10)
    session = connection.copy()
    session.set_autocommit(False)
    try:
        with session.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM webhooks_chunk")
        opened = time.monotonic()
        meanwhile = claims_of(rig, people)
        held = time.monotonic() - opened
        shown = condition.oldest_transaction()
        check(shown > held - 1, f"operators see how old it is: {shown:.0f} of {held:.0f} s")
    finally:
        session.close()
    afterwards = claims_of(rig, people // 10)
    check(meanwhile < 0.05, f"a claim takes {meanwhile * 1000:.0f} ms while it is open")
    check(
        afterwards < max(0.02, 3 * before),
        f"and soon as long as before: {afterwards * 1000:.1f}, {before * 1000:.1f} ms",
    )
    return {
        "people": people,
        "held in s": round(held),
        "claim p95 in ms before": round(before * 1000, 1),
        "while it is open": round(meanwhile * 1000, 1),
        "after it": round(afterwards * 1000, 1),
    }


def claims_of(rig: Rig, people: int) -> float:
    """Send to so many; return the 95th percentile of what a claim takes meanwhile, in seconds."""
    scene = rig.scene("ok", people=people, submit=CHUNK, concurrency=64)
    took = probes(scene, lambda: scene.counts().queued > 0)
    check(len(took) > 10, f"claims are measured: {len(took)}")
    return statistics.quantiles(took, n=20)[-1]


def probes(scene: Scene, goes_on: Callable[[], bool]) -> list[float]:
    """Claim as a sender does and take it back, again and again."""
    took = []
    while goes_on():
        with transaction.atomic(), connection.cursor() as cursor:
            started = time.monotonic()
            claiming.claim_chunk(cursor, scene.webhook.pk, token=uuid4(), seconds=30)
            took.append(time.monotonic() - started)
            transaction.set_rollback(True)
        time.sleep(0.05)
    return took
