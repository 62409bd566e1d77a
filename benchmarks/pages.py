"""How long the pages take, and the parts that they ask for later, while so many people are there.

A real journey is published and sent to all of them first, by planner, senders and receiver; some
people lack the ID, and some are refused, so that the rare can be looked for among the many.
"""

import logging
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from benchmarks import addresses, behaviour, scenario
from benchmarks.addresses import Asked
from benchmarks.processes import Manage, Receiver, wait_until
from benchmarks.scenario import CODES, TEXT, VARIABLES, Scenario
from identity.choices import AudienceKind, TagType
from identity.models import Audience
from journeys import drafts
from journeys.components.audience import AudienceConfig
from journeys.models import Run
from qa_webhook import scratch
from webhooks.models import Webhook
from webhooks.rendering import Variable

TIMES: Final = 20
PAGE_MS, FRAGMENT_MS = 300.0, 150.0
# What is counted has no time to meet but the one after which its page says "Still counting"; it
# is counted anew each time.
COUNT_TIMES: Final = 5
COUNT_MS: Final = 3_000.0
# A cache of its own: the counts that it keeps are of people who are gone afterwards.
_CACHE: Final = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# One person in so many has no ID, and another one is refused.
RARE: Final = 10_000


def run(*, people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the median of each page and each part in milliseconds, and which are too slow."""
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
        behaviour.make(setting, now=timezone.now())
        say("Asking for the pages …")
        logging.disable(logging.INFO)
        with override_settings(CACHES=_CACHE):
            found = _all(setting, made)
    return {
        "people": people,
        "seconds": round(seconds, 1),
        "milliseconds": found[PAGE_MS],
        "fragments": found[FRAGMENT_MS],
        "counts": found[COUNT_MS],
        "too_slow": [
            name for goal, each in found.items() for name, ms in each.items() if ms > goal
        ],
    }


def _all(setting: Scenario, made: Run) -> dict[float, dict[str, float]]:
    """Return the medians by the goal that they have to meet."""
    client = addresses.client_of(setting)
    goals = {
        PAGE_MS: addresses.pages(client, setting, made),
        FRAGMENT_MS: addresses.fragments(client, setting, made),
    }
    found = {
        goal: {name: _measured(client, asked) for name, asked in each.items()}
        for goal, each in goals.items()
    }
    counts = addresses.counts(client, setting, made)
    found[COUNT_MS] = {name: _counted(client, asked) for name, asked in counts.items()}
    return found


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
    made = scenario.publish(
        setting,
        journey,
        start=AudienceConfig(audiences=(audience.pk,)).to_json(),
        content=TEXT,
        variables=tuple(Variable.from_json(each) for each in VARIABLES),
        now=now,
    )
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


def _measured(client: Client, asked: Asked) -> float:
    """Return the median of so many answers after a first one that warms up, in milliseconds."""
    _ask(client, asked)
    return round(median(_ask(client, asked) for _number in range(TIMES)), 1)


def _counted(client: Client, asked: Asked) -> float:
    """Return the median of some answers, none of which finds a number that was kept."""
    taken = []
    for _number in range(COUNT_TIMES):
        cache.clear()
        taken.append(_ask(client, asked))
    return round(median(taken), 1)


def _ask(client: Client, asked: Asked) -> float:
    """Return how long one answer takes as the server says, from the first middleware on.

    Raises:
        RuntimeError: it is no answer that was hoped for.
    """
    answer = (
        client.get(asked.address) if asked.data is None else client.post(asked.address, asked.data)
    )
    if answer.status_code != 200:
        raise RuntimeError(f"{asked.address} answered {answer.status_code}")
    return float(answer.headers["Server-Timing"].removeprefix("app;dur="))
