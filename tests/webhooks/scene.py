"""What the engine works on: people, a webhook that leads to a receiver, and a plan."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from identity.models import IdType
from tests.webhooks.factories import make_administrator, make_webhook, make_workspace
from webhooks import outbox, partitions, plans, progress
from webhooks.breaker import Rules
from webhooks.choices import Encryption
from webhooks.engine import Sender
from webhooks.lines import Options
from webhooks.models import Chunk, Delivery, Plan, Webhook
from webhooks.outbox import NewChunk
from webhooks.progress import Counts
from webhooks.transport import Transport
from workspaces.models import User, Workspace

# Quick enough for a test, and still longer than any of its requests.
OPTIONS = Options(
    lease_seconds=3.0,
    flush_seconds=0.05,
    flags_seconds=0.05,
    idle_seconds=0.05,
    margin_seconds=0.2,
    schedule=tuple(timedelta(seconds=each) for each in (0.1, 0.1, 0.1, 0.1, 0.1)),
    # Receivers fail on purpose here; the breaker has tests of its own.
    breaker=Rules(results=1_000_000),
)

CONTENT = {"name": "content", "type": "text", "required": True}
VARIABLES = {
    "content": [
        {
            "name": "name",
            "source": "tag",
            "code": "nickname",
            "empty": "default",
            "default": "Member",
        }
    ]
}


def make_people(
    workspace: Workspace,
    number: int,
    *,
    id_type: IdType,
    tags: Mapping[str, Any] | None = None,
) -> list[int]:
    """Make people who have one value of the ID type each; return their QAIDs."""
    source, _created = workspace.data_sources.get_or_create(code="crm", defaults={"name": "crm"})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO identity_profile (workspace_id, tags, tag_times, created_at)"
            " SELECT %s, jsonb_build_object('nickname', 'Person ' || n), '{}', now()"
            " FROM generate_series(1, %s) n RETURNING qaid",
            [workspace.pk, number],
        )
        qaids = sorted(qaid for (qaid,) in cursor.fetchall())
        cursor.execute(
            "INSERT INTO identity_identifier"
            " (profile_id, id_type_id, value, data_source_id, first_seen, last_seen)"
            " SELECT qaid, %s, '138' || lpad(qaid::text, 8, '0'), %s, now(), now()"
            " FROM unnest(%s::bigint[]) qaid",
            [id_type.pk, source.pk, qaids],
        )
    return qaids


@dataclass
class Scene:
    workspace: Workspace
    member: User
    id_type: IdType
    webhook: Webhook
    plan: Plan
    qaids: list[int] = field(default_factory=list)

    def submit(self, size: int = 500, qaids: Sequence[int] | None = None) -> int:
        """Plan everybody, in chunks of ``size``."""
        people = list(self.qaids if qaids is None else qaids)
        chunks = [
            NewChunk(number, people[first : first + size])
            for number, first in enumerate(range(0, len(people), size))
        ]
        return outbox.submit(plan=self.plan, chunks=chunks, now=timezone.now())

    def drain(
        self,
        *,
        seconds: float = 20.0,
        transport: Transport | None = None,
        **options: Any,
    ) -> int:
        """Send until nobody is left or waits for longer than an instant."""
        chosen = replace(OPTIONS, **options)
        sender = Sender(options=chosen, transport=transport)
        return drain_until_quiet(sender, self, seconds=seconds)

    def counts(self) -> Counts:
        return progress.counts([self.plan.pk])[self.plan.pk]

    def deliveries(self) -> list[Delivery]:
        return list(Delivery.objects.filter(plan=self.plan).order_by("qaid"))

    def chunks(self) -> list[Chunk]:
        return list(Chunk.objects.filter(plan=self.plan).order_by("number"))

    def change(self, **fields: Any) -> None:
        """Edit the webhook."""
        Webhook.objects.filter(pk=self.webhook.pk).update(**fields)
        self.webhook.refresh_from_db()


def drain_until_quiet(sender: Sender, scene: Scene, *, seconds: float) -> int:
    """Run a sender until the plan has nobody queued, or nothing happens any more."""
    import time

    until = time.monotonic() + seconds
    sender.start()
    looked = 0.0
    try:
        while time.monotonic() < until:
            is_busy = sender.turn()
            if is_busy:
                continue
            if time.monotonic() > looked:
                looked = time.monotonic() + 0.05
                if not scene.counts().queued:
                    break
            time.sleep(0.01)
        sender.finish()
    finally:
        sender.close()
    return sender.settled


def make_scene(
    url: str,
    *,
    people: int = 3,
    content: str = "Dear ${name} Hello",
    variables: Mapping[str, Any] | None = None,
    parameters: Sequence[Mapping[str, Any]] = (CONTENT,),
    values: Mapping[str, Any] | None = None,
    reached_by: str = "MOBILE",
    encryption: str = Encryption.NONE,
    **fields: Any,
) -> Scene:
    """A webhook at ``url``, its plan, and people who can be reached; nobody is planned yet."""
    partitions.ensure_ahead(now=timezone.now())
    workspace = make_workspace()
    member = make_administrator(workspace)
    id_type = workspace.id_types.get(code="MOBILE")
    defaults = {"concurrency": 64, "timeout_seconds": 1}
    webhook = make_webhook(workspace, url=url, parameters=parameters, **{**defaults, **fields})
    definition = plans.define(
        revision=webhook.revisions.get(),
        values={"content": content, **(values or {})},
        variables=VARIABLES if variables is None else variables,
        id_type=id_type,
        reach_id_type=workspace.id_types.get(code=reached_by),
        encryption=encryption,
    )
    plan = plans.create(
        revision=webhook.revisions.get(),
        run_id=uuid.uuid4().int % 2**31,
        step_key=str(uuid.uuid4()),
        definition=definition,
        labels={"journey": "Welcome"},
        responsible=member,
    )
    qaids = make_people(workspace, people, id_type=id_type) if people else []
    return Scene(workspace, member, id_type, webhook, plan, qaids)
