"""The whole way of a person: read, render, sign, send, record; beside the obvious design and wrk.

Everything runs on this machine, receiver and database included, in one run and on the same
receiver, so that ratios mean something on a machine that is never quiet.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from benchmarks import scenario, stages
from benchmarks.processes import (
    Manage,
    Receiver,
    backends,
    children,
    cpu_seconds,
    pss_mb,
    wait_until,
)
from benchmarks.scenario import Scenario
from qa_webhook import local, scratch
from webhooks import progress
from webhooks.models import Delivery, Webhook

SENDERS: Final = 2
# The obvious design is slow: its rate is taken from this many.
NAIVE_PEOPLE: Final = 2_000
STAGE_PEOPLE: Final = 10_000
WARM_UP_PEOPLE: Final = 1_000
WRK_SECONDS: Final = 4
RATIO_NAIVE_GOAL, RATIO_WRK_GOAL, RATIO_TLS_GOAL = 50.0, 0.15, 0.2
RETRY_CPU_GOAL: Final = 1.5


def run(*, people: int, naive_people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure and return the figures by name."""
    with scratch.database("bench") as environment:
        environment |= {"EGRESS_ALLOW": "127.0.0.1/32", "LOG_LEVEL": "WARNING"}
        say(f"Making {people:,} people in a database of their own …")
        now = timezone.now()
        setting = scenario.prepare(people=people, now=now)
        with Receiver(setting.secret, environment=environment) as receiver:
            Webhook.objects.filter(pk=setting.webhook.pk).update(url=receiver.url)
            say(f"Sending to {people:,} people with {SENDERS} senders …")
            figures = _ours(setting, receiver, people, environment)
            say("Measuring the stages with one sender …")
            figures["stages"] = _stages(setting, min(people, STAGE_PEOPLE))
            say(f"Sending to {naive_people:,} people by one Celery task each …")
            figures["naive"] = _naive(setting, receiver, min(naive_people, people), environment)
            say("Measuring what wrk reaches on the same receiver …")
            figures["wrk"] = wrk(setting, receiver)
        say("Sending over TLS, and to a receiver that refuses every tenth …")
        figures |= _variants(setting, people, environment)
    figures["ratio_naive"] = _ratio(figures, "naive")
    figures["ratio_wrk"] = _ratio(figures, "wrk")
    over_tls = (figures["tls"] or {}).get("ratio_wrk")
    figures["meets_goal"] = (
        figures["ratio_naive"] >= RATIO_NAIVE_GOAL
        and (figures["ratio_wrk"] or RATIO_WRK_GOAL) >= RATIO_WRK_GOAL
        and (over_tls or RATIO_TLS_GOAL) >= RATIO_TLS_GOAL
        and figures["flaky"]["ratio_cpu"] <= RETRY_CPU_GOAL
        and not figures["duplicates"] + figures["flaky"]["duplicates"]
    )
    return figures


def _variants(setting: Scenario, people: int, environment: dict[str, str]) -> dict[str, Any]:
    from benchmarks import variants

    return {
        "tls": variants.tls(setting, people, environment),
        "flaky": variants.flaky(setting, people, environment),
    }


def _ratio(figures: dict[str, Any], other: str) -> float | None:
    rate = (figures[other] or {}).get("people_per_second")
    return round(figures["people_per_second"] / rate, 2) if rate else None


def _ours(
    setting: Scenario, receiver: Receiver, people: int, environment: dict[str, str]
) -> dict[str, Any]:
    with Manage("sender", "--processes", str(SENDERS), environment=environment) as senders:
        # Connections, plans and libcurl's handles are there before the clock starts.
        send(setting, min(WARM_UP_PEOPLE, people))
        pids = children(senders.pid)
        before = costs(pids, receiver)
        seconds, planning = send(setting, people)
        after = costs(pids, receiver)
        memory = [round(pss_mb(pid), 1) for pid in pids]
        processes = len(pids)
    stats = receiver.stats()
    spent = {part: (after[part] - before[part]) / people * 1e6 for part in before}
    total = sum(spent.values()) or 1.0
    return {
        "people": people,
        "seconds": round(seconds, 2),
        "people_per_second": round(people / seconds, 1),
        "planning_seconds": round(planning, 2),
        "senders": processes,
        "memory_mb": memory,
        "cpu_us_per_person": {part: round(cost, 1) for part, cost in spent.items()},
        "cpu_shares": {part: round(cost / total, 3) for part, cost in spent.items()},
        "signatures_verified": stats["signatures_verified"],
        "duplicates": stats["duplicates"],
    }


def send(setting: Scenario, people: int) -> tuple[float, float]:
    """Plan and wait until everybody is settled; return the seconds of both."""
    plan = setting.plan()
    started = time.monotonic()
    scenario.submit(setting, plan, people, now=timezone.now())
    planned = time.monotonic()

    def is_done() -> bool:
        counts = progress.counts([plan.pk])[plan.pk]
        return counts.planned == people and counts.queued == 0

    wait_until(is_done, seconds=600 + people / 100)
    counts = progress.counts([plan.pk])[plan.pk]
    if counts.delivered != people:
        raise RuntimeError(f"{people - counts.delivered} people were not delivered: {counts}")
    return time.monotonic() - planned, planned - started


def costs(pids: list[int], receiver: Receiver) -> dict[str, float]:
    return {
        "senders": cpu_seconds(pids),
        "postgresql": cpu_seconds(backends(connection.settings_dict["NAME"])),
        "receiver": cpu_seconds([receiver.pid]),
    }


def _stages(setting: Scenario, people: int) -> dict[str, float]:
    plan = setting.plan()
    scenario.submit(setting, plan, people, now=timezone.now())
    _people, found = stages.measure(lambda: progress.counts([plan.pk])[plan.pk].queued)
    return {stage: round(microseconds, 1) for stage, microseconds in sorted(found.items())}


def _naive(
    setting: Scenario, receiver: Receiver, people: int, environment: dict[str, str]
) -> dict[str, Any]:
    from benchmarks import naive

    plan = setting.plan()
    queue = f"bench_naive_{connection.settings_dict['NAME']}"
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery"),
            *("-A", "benchmarks.naive", "worker", "-c", str(SENDERS), "-Q", queue),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"),
        ],
        env=environment,
        cwd=local.BASE_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT qaid FROM identity_profile WHERE workspace_id = %s ORDER BY qaid LIMIT %s",
            [setting.workspace.pk, people + 20],
        )
        qaids = [qaid for (qaid,) in cursor.fetchall()]

    def enqueue(chosen: list[int], chunk_id: int) -> None:
        for qaid in chosen:
            naive.send_one.apply_async(
                (qaid, plan.pk, chunk_id, receiver.url, setting.secret), queue=queue
            )

    def done(chunk_id: int) -> int:
        return Delivery.objects.filter(plan=plan, chunk_id=chunk_id).count()

    try:
        enqueue(qaids[-20:], 1)
        wait_until(lambda: done(1) >= len(qaids[-20:]), seconds=60)
        before = cpu_seconds(children(worker.pid))
        started = time.monotonic()
        enqueue(qaids[:people], 2)
        wait_until(lambda: done(2) >= people, seconds=600, every=0.1)
        seconds = time.monotonic() - started
        cost = cpu_seconds(children(worker.pid)) - before
        memory = [round(pss_mb(pid), 1) for pid in children(worker.pid)]
    finally:
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    return {
        "people": people,
        "seconds": round(seconds, 2),
        "people_per_second": round(people / seconds, 1),
        "cpu_us_per_person": {"workers": round(cost / people * 1e6, 1)},
        "memory_mb": memory,
    }


def wrk(setting: Scenario, receiver: Receiver) -> dict[str, Any] | None:
    """Return how many signed requests of the same size wrk gets answered; None without wrk."""
    program = shutil.which("wrk")
    if program is None:
        return None
    from webhooks.signing import Signer

    row = Delivery.objects.filter(webhook=setting.webhook).exclude(texts=None).latest("updated_at")
    stamp = int(time.time())
    body = json.dumps(
        {
            "type": "webhook.message",
            "id": "msg_wrk",
            "test": False,
            "id_type": "CUSTOMER",
            "reach_id_type": "CUSTOMER",
            "recipients": [
                {
                    "delivery_id": row.id,
                    "id": row.sent_id,
                    "reach_id": row.reach_id,
                    "params": {"content": row.texts[0] if row.texts else "", "amount": 20},
                }
            ],
        },
        ensure_ascii=False,
    )
    signature = Signer([setting.secret]).sign("msg_wrk", stamp, body.encode())
    script = "\n".join(
        [
            'wrk.method = "POST"',
            f"wrk.body = {json.dumps(body, ensure_ascii=False)}",
            'wrk.headers["content-type"] = "application/json"',
            'wrk.headers["webhook-id"] = "msg_wrk"',
            f'wrk.headers["webhook-timestamp"] = "{stamp}"',
            f'wrk.headers["webhook-signature"] = "{signature}"',
        ]
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = [program, "-t2", "-c128", f"-d{WRK_SECONDS}s", "-s", file.name, receiver.url]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rates = [line.split()[1] for line in told.splitlines() if line.startswith("Requests/sec:")]
    return {"people_per_second": float(rates[0])} if rates else None
