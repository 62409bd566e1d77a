"""What a webhook that hangs, with a crowd waiting for it, does to another one."""

from collections.abc import Callable
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from benchmarks import scenario
from benchmarks.pipeline import SENDERS, WARM_UP_PEOPLE, send
from benchmarks.processes import Manage, Receiver, wait_until
from benchmarks.rates import pace
from benchmarks.scenario import Scenario
from qa_webhook import scratch
from webhooks import outbox, progress
from webhooks.models import Webhook
from webhooks.outbox import NewChunk

PARTS: Final = 200
PEOPLE_A_PART: Final = 10
EVERY_SECONDS: Final = 0.05
GOAL: Final = 2.0

_WAITED: Final = """
SELECT percentile_cont(0.95) WITHIN GROUP
    (ORDER BY extract(epoch FROM d.first_attempt_at - c.due_at))
FROM webhooks_delivery d JOIN webhooks_chunk c ON c.id = d.chunk_id
WHERE d.plan_id = %s
"""


def run(*, people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare the seconds from due to sent alone, and beside ``people`` who wait for another."""
    with scratch.database("bench") as environment:
        environment |= {"EGRESS_ALLOW": "127.0.0.1/32", "LOG_LEVEL": "ERROR"}
        say(f"Making {people:,} people in a database of their own …")
        now = timezone.now()
        setting = scenario.prepare(people=people, now=now)
        webhook, secret = scenario.make_webhook(
            setting.workspace, setting.id_type, now=now, name="Hangs"
        )
        hanging = Scenario(
            setting.workspace, setting.member, setting.id_type, webhook, secret, run=1_000_000
        )
        with (
            Receiver(setting.secret, environment=environment) as receiver,
            Receiver(secret, "--mode", "hang", environment=environment) as hole,
            Manage("sender", "--processes", str(SENDERS), environment=environment),
        ):
            Webhook.objects.filter(pk=setting.webhook.pk).update(url=receiver.url)
            Webhook.objects.filter(pk=webhook.pk).update(url=hole.url)
            send(setting, WARM_UP_PEOPLE)
            alone = _waited(setting)
            say(f"Alone: {alone:.3f} s from due to sent. Now beside {people:,} who wait …")
            plan = hanging.plan()
            scenario.submit(hanging, plan, people, now=timezone.now())
            wait_until(lambda: hole.stats().get("requests", 0) > 0, seconds=60)
            beside = _waited(setting)
            counts = progress.counts([plan.pk])[plan.pk]
    ratio = round(beside / alone, 2)
    return {
        "people": people,
        "people_waiting": counts.queued,
        "p95_seconds_alone": round(alone, 3),
        "p95_seconds_beside": round(beside, 3),
        "ratio_neighbour": ratio,
        "meets_goal": ratio <= GOAL,
    }


def _waited(setting: Scenario) -> float:
    """Let a few people become due again and again; return their 95th percentile in seconds."""
    plan = setting.plan()
    qaids = scenario.people_of(setting, PARTS * PEOPLE_A_PART)
    for number in pace(PARTS, EVERY_SECONDS):
        part = qaids[number * PEOPLE_A_PART : (number + 1) * PEOPLE_A_PART]
        with transaction.atomic():
            outbox.submit(plan=plan, chunks=[NewChunk(number, part)], now=timezone.now())
    wait_until(lambda: not progress.counts([plan.pk])[plan.pk].queued, seconds=120)
    with connection.cursor() as cursor:
        cursor.execute(_WAITED, [plan.pk])
        return float(cursor.fetchone()[0])
