"""What is sent in a benchmark: people with two IDs and four tags, one webhook, one plan."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from identity.choices import IdKind
from identity.models import IdType
from journeys import drafts, publishing
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.models import Journey, Run
from webhooks import keys, outbox, partitions, plans, registering
from webhooks.choices import SecretKind
from webhooks.models import Parameter, Plan, Webhook
from webhooks.outbox import NewChunk
from webhooks.rendering import Variable
from workspaces import tenants
from workspaces.models import User, Workspace

TEXT = (
    "Dear ${name}, your last order came to ${amount}. As a ${level} member in ${city} you save 20."
)
VARIABLES = [
    {"name": "name", "source": "tag", "code": "nickname", "empty": "default", "default": "Member"},
    {
        "name": "amount",
        "source": "tag",
        "code": "last_amount",
        "empty": "nothing",
        "format": "0.00",
    },
    {"name": "level", "source": "tag", "code": "level", "empty": "nothing"},
    {"name": "city", "source": "tag", "code": "city", "empty": "nothing"},
]
CODES = ("nickname", "last_amount", "level", "city")


@dataclass
class Scenario:
    workspace: Workspace
    member: User
    id_type: IdType
    webhook: Webhook
    secret: str
    run: int = 0

    def plan(self) -> Plan:
        """Publish the step once more, as another run."""
        self.run += 1
        revision = self.webhook.revisions.get()
        definition = plans.define(
            revision=revision,
            values={"content": TEXT, "amount": "20", "until": "2026-12-31"},
            variables={"content": VARIABLES},
            id_type=self.id_type,
        )
        return plans.create(
            revision=revision,
            run_id=self.run,
            step_key=str(uuid.uuid4()),
            definition=definition,
            labels={"journey": "bench"},
            responsible=self.member,
        )


def prepare(*, people: int, now: datetime) -> Scenario:
    """Make everything but the webhook's URL, and give the planner statistics of it."""
    organization = tenants.create_organization(name="Bench", slug="bench", actor=None)
    workspace = tenants.create_workspace(
        organization=organization, name="Bench", slug="bench", actor=None
    )
    member = User.objects.create_superuser(email="bench@example.com", password=None)
    id_type = _id_type(workspace, "CUSTOMER")
    other = _id_type(workspace, "MOBILE")
    make_people(workspace, people, id_types=(id_type, other))
    webhook, secret = make_webhook(workspace, id_type, now=now)
    partitions.ensure_ahead(now=now)
    return Scenario(workspace, member, id_type, webhook, secret)


def _id_type(workspace: Workspace, code: str) -> IdType:
    found = workspace.id_types.filter(code=code).first()
    return found or IdType.objects.create(
        workspace=workspace, code=code, name=code, kind=IdKind.TEXT, priority=40, in_mapping=False
    )


def make_people(workspace: Workspace, number: int, *, id_types: tuple[IdType, ...]) -> None:
    source, _created = workspace.data_sources.get_or_create(code="shop", defaults={"name": "shop"})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO identity_profile (workspace_id, tags, tag_times, created_at)"
            " SELECT %s, jsonb_build_object('nickname', 'Person ' || n, 'last_amount', n %% 900,"
            " 'level', 'gold', 'city', '上海', 'age', n %% 80, 'orders', n %% 30, 'since',"
            " '2019-01-01', 'shop', 'main', 'channel', 'web', 'score', n %% 100), '{}', now()"
            " FROM generate_series(1, %s) n",
            [workspace.pk, number],
        )
        for id_type in id_types:
            cursor.execute(
                "INSERT INTO identity_identifier"
                " (profile_id, id_type_id, value, data_source_id, first_seen, last_seen)"
                " SELECT qaid, %s, '138' || lpad(qaid::text, 8, '0'), %s, now(), now()"
                " FROM identity_profile WHERE workspace_id = %s",
                [id_type.pk, source.pk, workspace.pk],
            )
        cursor.execute("SELECT identity_analyze()")


def make_webhook(
    workspace: Workspace, id_type: IdType, *, now: datetime, name: str = "Bench"
) -> tuple[Webhook, str]:
    """Make a webhook with three parameters; return it with its key."""
    webhook = Webhook(
        workspace=workspace,
        name=name,
        url="http://127.0.0.1:9/bench",
        concurrency=256,
        timeout_seconds=10,
    )
    registering.prepare(webhook, actor=None)
    webhook.save()
    webhook.id_types.set([id_type])
    for order, (name, kind) in enumerate(
        [("content", "text"), ("amount", "numeric"), ("until", "date")]
    ):
        Parameter.objects.create(webhook=webhook, name=name, type=kind, order=order)
    made = registering.settle(webhook=webhook, actor=None, now=now)
    if made is None:
        made = keys.make(webhook=webhook, kind=SecretKind.SIGNING, actor=None, now=now)
    return webhook, made[1]


def people_of(scenario: Scenario, number: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT qaid FROM identity_profile WHERE workspace_id = %s ORDER BY qaid LIMIT %s",
            [scenario.workspace.pk, number],
        )
        return [qaid for (qaid,) in cursor.fetchall()]


def submit(scenario: Scenario, plan: Plan, people: int, *, now: datetime) -> int:
    """Plan the first ``people`` people, 500 a chunk, in one transaction."""
    qaids = people_of(scenario, people)
    with transaction.atomic():
        size = outbox.chunk_people(scenario.webhook)
        chunks = [
            NewChunk(number, qaids[first : first + size])
            for number, first in enumerate(range(0, len(qaids), size))
        ]
        return outbox.submit(plan=plan, chunks=chunks, now=now)


def publish(
    scenario: Scenario,
    journey: Journey,
    *,
    start: Mapping[str, Any],
    content: str,
    variables: tuple[Variable, ...],
    now: datetime,
) -> Run:
    """Give a journey its start and one step that sends this content, and publish it."""
    first = Document.from_json(journey.draft).start
    assert first is not None
    drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=scenario.member,
        key=first.key,
        name="",
        config=start,
        now=now,
    )
    drafts.add_step(
        journey=journey,
        revision=journey.draft_revision,
        user=scenario.member,
        component="webhook",
        name="Send",
        after=None,
        config=WebhookConfig(
            webhook=scenario.webhook.pk,
            values={"content": content, "amount": "20", "until": "2026-12-31"},
            variables={"content": variables},
            id_type=scenario.id_type.pk,
        ).to_json(),
        now=now,
    )
    return publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scenario.member, now=now
    ).run
