"""How long the pages about deliveries take while so many people stand in them.

A real journey is published and sent to all of them first, by planner, senders and receiver; some
people lack the ID, and some are refused, so that the rare can be looked for among the many.
"""

import html
import logging
import re
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from benchmarks import scenario
from benchmarks.processes import Manage, Receiver, wait_until
from benchmarks.scenario import CODES, TEXT, VARIABLES, Scenario
from identity.choices import AudienceKind, TagType
from identity.models import Audience
from journeys import drafts, publishing
from journeys.components.audience import AudienceConfig
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.models import Run
from qa_webhook import scratch
from webhooks.models import Delivery, Webhook
from webhooks.rendering import Variable

TIMES: Final = 20
GOAL_MS: Final = 300.0
# One person in so many has no ID, and another one is refused.
RARE: Final = 10_000


def run(*, people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the median of each page in milliseconds, and whether all meet the goal."""
    with scratch.database("bench") as environment:
        environment |= {"EGRESS_ALLOW": "127.0.0.1/32", "LOG_LEVEL": "WARNING"}
        say(f"Making {people:,} people in a database of their own …")
        setting = scenario.prepare(people=people, now=timezone.now())
        with Receiver(setting.secret, environment=environment) as receiver:
            Webhook.objects.filter(pk=setting.webhook.pk).update(url=receiver.url)
            say(f"Sending a journey to {people:,} people …")
            started = time.monotonic()
            made = _journey(setting, people, environment)
            seconds = time.monotonic() - started
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE webhooks_delivery")
        say("Asking for the pages …")
        logging.disable(logging.INFO)
        pages = _pages(setting, made)
    return {
        "people": people,
        "seconds": round(seconds, 1),
        "milliseconds": pages,
        "meets_goal": all(each <= GOAL_MS for each in pages.values()),
    }


def _journey(setting: Scenario, people: int, environment: dict[str, str]) -> Run:
    audience = _audience(setting, people)
    now = timezone.now()
    source = setting.workspace.data_sources.get(code="shop")
    for code in CODES:
        kind = TagType.NUMBER if code == "last_amount" else TagType.TEXT
        setting.workspace.tags.create(code=code, name=code, type=kind, data_source=source)
    journey = drafts.create(
        workspace=setting.workspace, user=setting.member, name="Everybody", now=now
    )
    start = Document.from_json(journey.draft).start
    assert start is not None
    drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=setting.member,
        key=start.key,
        name="",
        config=AudienceConfig(audiences=(audience.pk,)).to_json(),
        now=now,
    )
    drafts.add_step(
        journey=journey,
        revision=journey.draft_revision,
        user=setting.member,
        component="webhook",
        name="Send",
        after=None,
        config=WebhookConfig(
            webhook=setting.webhook.pk,
            values={"content": TEXT, "amount": "20", "until": "2026-12-31"},
            variables={"content": tuple(Variable.from_json(each) for each in VARIABLES)},
            id_type=setting.id_type.pk,
        ).to_json(),
        now=now,
    )
    made = publishing.publish(
        journey=journey, revision=journey.draft_revision, user=setting.member, now=now
    ).run
    with (
        Manage("planner", environment=environment),
        Manage("sender", "--processes", "2", environment=environment),
    ):
        wait_until(
            lambda: Run.objects.filter(pk=made.pk, ended_at__isnull=False).exists(),
            seconds=300 + people / 100,
            every=0.5,
        )
    return Run.objects.select_related("journey__workspace").get(pk=made.pk)


def _audience(setting: Scenario, people: int) -> Audience:
    audience = Audience.objects.create(
        workspace=setting.workspace,
        name="Everybody",
        kind=AudienceKind.LIST,
        updated_at=timezone.now(),
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO identity_audiencemember (audience_id, profile_id)"
            " SELECT %s, qaid FROM identity_profile WHERE workspace_id = %s",
            [audience.pk, setting.workspace.pk],
        )
        cursor.execute(
            "DELETE FROM identity_identifier WHERE id_type_id = %s AND profile_id %% %s = 1",
            [setting.id_type.pk, RARE],
        )
        cursor.execute("SELECT identity_analyze()")
    return audience


def _pages(setting: Scenario, made: Run) -> dict[str, float]:
    client = Client(headers={"host": settings.ALLOWED_HOSTS[0].lstrip(".") or "localhost"})
    client.force_login(setting.member)
    sent = Delivery.objects.filter(state="delivered").first()
    assert sent is not None
    slug, journey = setting.workspace.slug, made.journey_id
    deliveries = reverse("journeys:deliveries", args=[slug])
    recorded = reverse("admin:webhooks_delivery_changelist")
    addresses = {
        "journeys": reverse("journeys:list", args=[slug]),
        "run": reverse("journeys:run", args=[slug, journey, made.pk]),
        "run numbers": reverse("journeys:run_numbers", args=[slug, journey, made.pk]),
        "canvas": reverse("journeys:editor", args=[slug, journey]),
        "deliveries": deliveries,
        "deliveries of a run": f"{deliveries}?run={made.pk}",
        "deliveries accepted": f"{deliveries}?run={made.pk}&state=delivered",
        "deliveries skipped": f"{deliveries}?run={made.pk}&state=skipped",
        "deliveries of a reason": f"{deliveries}?run={made.pk}&tally=skipped:no_id",
        "deliveries of a webhook": f"{deliveries}?webhook={setting.webhook.pk}",
        "deliveries of nobody": f"{deliveries}?run={made.pk}&state=dead",
        "deliveries of a person": f"{deliveries}?person={sent.qaid}",
        "why": reverse("journeys:why", args=[slug, journey, made.pk, sent.qaid]),
        "admin deliveries": recorded,
        "admin deliveries failed": f"{recorded}?state=dead",
        "admin deliveries of a webhook": f"{recorded}?webhook={setting.webhook.pk}",
        "admin delivery": reverse("admin:webhooks_delivery_change", args=[sent.pk]),
        "admin messages": reverse("admin:webhooks_message_changelist"),
        "admin receipts": reverse("admin:webhooks_receipt_changelist"),
    }
    following = re.search(r'href="([^"]+)" rel="next"', client.get(deliveries).content.decode())
    if following:
        addresses["deliveries, next page"] = deliveries + html.unescape(following.group(1))
    return {name: _median(client, address) for name, address in addresses.items()}


def _median(client: Client, address: str) -> float:
    """Return the median of so many answers after a first one that warms up, in milliseconds."""
    taken = []
    for _number in range(TIMES + 1):
        started = time.perf_counter()
        answer = client.get(address)
        taken.append((time.perf_counter() - started) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answered {answer.status_code}")
    return round(median(taken[1:]), 1)
