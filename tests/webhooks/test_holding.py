"""Holding people who wait back, letting them go on, ending their waiting; and draining by hand."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests.webhooks.scene import Scene, make_scene
from tests.webhooks.test_engine import check_invariants
from webhooks import control, holding, monitoring, outbox, plans
from webhooks.models import Chunk, Message
from webhooks.outbox import NewChunk
from webhooks.receiver import Behaviour, Receiver
from workspaces.choices import Via
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

# Nobody's next try comes within a test.
LATER = (timedelta(minutes=5),) * 3


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def scene(receiver: Receiver) -> Scene:
    """Four people whose first try failed and who wait for another, and four not tried yet."""
    found = make_scene(receiver.url("/in"), people=8)
    receiver.behave("/in", Behaviour(status=503))
    found.submit(qaids=found.qaids[:4])
    found.drain(seconds=0.5, schedule=LATER)
    receiver.behave("/in", Behaviour())
    outbox.submit(plan=found.plan, chunks=[NewChunk(1, found.qaids[4:])], now=timezone.now())
    assert found.counts().queued == 8
    return found


def call(*arguments: Any, ends_with: int = 0, **options: Any) -> str:
    out, code = StringIO(), 0
    try:
        call_command("deliveries", *arguments, stdout=out, stderr=StringIO(), **options)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == ends_with, out.getvalue()
    return out.getvalue()


def test_held_people_wait_and_go_on_where_they_were(scene: Scene, receiver: Receiver) -> None:
    slug, name = scene.workspace.slug, scene.webhook.name
    Message.objects.update(due_at=timezone.now(), expires_at=timezone.now() + timedelta(hours=1))
    due_before = dict(Chunk.objects.values_list("pk", "due_at"))

    told = json.loads(call("hold", "--workspace", slug, "--webhook", name, "--json"))
    assert told == {"people": 8}
    scene.drain(seconds=0.5)
    assert scene.counts().queued == 8
    (found,) = monitoring.conditions([scene.webhook.pk])
    assert (found.waiting, found.held, found.oldest_due, found.next_due) == (8, 8, None, None)
    check_invariants(scene)

    assert call("release", "--workspace", slug, "--run", scene.plan.run_id).startswith("8 people")
    assert dict(Chunk.objects.values_list("pk", "due_at")) == due_before
    # What they waited counts against nobody, however long it was.
    hours = timedelta(hours=2)
    Message.objects.update(due_at=timezone.now() - hours, expires_at=timezone.now() - hours / 2)
    scene.drain()
    assert scene.counts().delivered == 8
    check_invariants(scene)
    entry = AuditEntry.objects.get(action="delivery.held")
    assert (entry.via, entry.changes["people"]) == (Via.COMMAND, 8)


def test_an_error_class_chooses_those_who_were_tried_alone(scene: Scene) -> None:
    slug, name = scene.workspace.slug, scene.webhook.name
    chosen = ("--workspace", slug, "--webhook", name, "--reason", "status_503")

    assert "4 people would end as too late" in call("expire", *chosen, "--dry-run")
    assert scene.counts().expired == 0
    assert call("expire", *chosen).startswith("4 people ended as too late")

    counts = scene.counts()
    assert (counts.expired, counts.queued) == (4, 4)
    assert counts.by_reason("expired") == {holding.GIVEN_UP: 4}
    assert {each.state for each in scene.deliveries()} == {"expired"}
    check_invariants(scene)

    assert call("expire", "--workspace", slug, "--run-plan", scene.plan.pk).startswith("4 people")
    assert scene.counts().expired == 8
    check_invariants(scene)


def test_who_is_in_a_senders_hands_is_left_alone(scene: Scene) -> None:
    waiting = Chunk.objects.get(number=1)
    Chunk.objects.filter(pk=waiting.pk).update(
        lease="00000000-0000-0000-0000-000000000001",
        lease_until=timezone.now() + timedelta(minutes=1),
    )
    chosen = holding.selection(webhook=scene.webhook)
    act: dict[str, Any] = {"workspace": scene.workspace, "actor": None, "chosen": chosen}

    assert holding.count(scene.workspace, chosen).in_hands == 4
    assert holding.hold(**act) == 4
    assert holding.expire(**act) == 4

    assert scene.counts().queued == 4
    assert Chunk.objects.get(number=1).due_at == waiting.due_at
    check_invariants(scene)


def test_many_people_are_not_touched_without_a_yes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspaces.management.base.ASK_ABOVE", 3)
    chosen = ("--workspace", scene.workspace.slug, "--webhook", scene.webhook.name)
    with pytest.raises(CommandError, match="affects 8 people"):
        call("expire", *chosen)
    assert scene.counts().queued == 8
    assert call("expire", *chosen, "--yes").startswith("8 people")


def test_a_drain_sends_what_is_due_and_says_why_somebody_is_left(
    scene: Scene, receiver: Receiver
) -> None:
    chosen = ("--workspace", scene.workspace.slug, "--webhook", scene.webhook.name)

    assert call("drain", *chosen).startswith("4 people settled; 4 wait.")
    assert scene.counts().delivered == 4

    Message.objects.update(due_at=timezone.now())
    control.pause(webhook=scene.webhook, actor=None, now=timezone.now())
    assert "is paused" in call("drain", *chosen, ends_with=1)
    control.resume(webhook=scene.webhook, actor=None, now=timezone.now())
    call("drain", "--workspace", scene.workspace.slug, "--run", scene.plan.run_id)
    assert scene.counts().delivered == 8


def test_a_drain_of_one_run_leaves_the_webhooks_other_runs_alone(
    scene: Scene, receiver: Receiver
) -> None:
    other = plans.create(
        revision=scene.webhook.revisions.get(),
        run_id=scene.plan.run_id + 1,
        step_key=str(scene.plan.step_key),
        definition=scene.plan.definition,
        labels=scene.plan.labels,
        responsible=scene.member,
    )
    outbox.submit(plan=other, chunks=[NewChunk(0, scene.qaids)], now=timezone.now())
    Message.objects.update(due_at=timezone.now())
    chosen = ("--workspace", scene.workspace.slug, "--webhook", scene.webhook.name)

    assert call("drain", *chosen[:2], "--run", other.run_id).startswith("8 people settled; 0 wait.")
    assert scene.counts().queued == 8
    assert call("drain", *chosen[:2], "--run", scene.plan.run_id).startswith("8 people settled")
    assert scene.counts().delivered == 8
