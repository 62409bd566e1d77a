"""Reading deliveries back, and sending them again."""

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management import call_command
from django.utils import timezone

from identity.models import Profile
from tests.webhooks.factories import make_member
from tests.webhooks.scene import Scene, make_scene
from tests.webhooks.test_engine import check_invariants
from webhooks import ledger, progress, redelivery
from webhooks.models import Attempt, Plan, Redelivery
from webhooks.receiver import Behaviour, Receiver, Reply
from workspaces.choices import Preset

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def failed(receiver: Receiver) -> Scene:
    """Five people whom the other system refused."""
    scene = make_scene(receiver.url("/in"), people=5)
    receiver.behave("/in", Behaviour(status=422))
    scene.submit()
    scene.drain()
    receiver.behave("/in", Behaviour())
    return scene


def order(scene: Scene, **chosen: object) -> Redelivery:
    return redelivery.order(
        workspace=scene.workspace,
        actor=scene.member,
        chosen=redelivery.selection(plan_ids=[scene.plan.pk], **chosen),  # type: ignore[arg-type]
        now=timezone.now(),
    )


# --- Reading --------------------------------------------------------------------------------------


def test_the_exact_body_is_made_again(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1, content='Dear ${name}, "20 %" \\ 张三 😀')
    scene.submit()
    scene.drain()

    (delivery,) = scene.deliveries()
    (entry,) = receiver.entries("/in")
    assert ledger.body_of(delivery) == entry.body


def test_the_exact_body_of_a_message_of_several_people(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=7, batch_size=3)
    scene.submit()
    scene.drain()

    sent = {entry.message_id: entry.body for entry in receiver.entries("/in")}
    assert {each.message_id: ledger.body_of(each) for each in scene.deliveries()} == sent


def test_the_body_of_a_message_that_waits(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain(schedule=())
    (delivery,) = scene.deliveries()

    assert ledger.body_of(delivery) == receiver.entries("/in")[0].body


def test_the_tries_are_the_row_and_its_attempts(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.script("/in", Reply(503), Reply(500))
    scene.submit()
    scene.drain()

    (delivery,) = scene.deliveries()
    tries = ledger.tries_of(delivery)
    assert [(each.number, each.status_code) for each in tries] == [(1, 503), (2, 500), (3, 200)]


def test_pages_follow_one_another_without_gaps(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=25)
    scene.submit()
    scene.drain()

    seen: list[str] = []
    place = None
    for _ in range(4):
        page = ledger.page(scene.workspace, after=place, limit=10)
        seen += [each.pk for each in page.deliveries]
        place = page.following
        if place is None:
            break
    assert len(seen) == len(set(seen)) == 25


def test_a_delivery_of_another_workspace_is_not_found(failed: Scene) -> None:
    other = make_scene("http://127.0.0.1:9/", people=0)
    delivery = failed.deliveries()[0]

    assert ledger.find(delivery.pk, workspace=failed.workspace) == delivery
    assert ledger.find(delivery.pk, workspace=other.workspace) is None
    assert ledger.find("dlv_nothing") is None


# --- Sending again --------------------------------------------------------------------------------


def test_dead_deliveries_go_out_again_under_the_same_id(failed: Scene, receiver: Receiver) -> None:
    first = {each.message_id: each.body for each in receiver.entries("/in")}
    job = order(failed)
    assert job.total == 5
    failed.drain()

    job.refresh_from_db()
    assert (job.done, job.finished_at is not None) == (5, True)
    again = {each.message_id: each.body for each in receiver.entries("/in")[5:]}
    assert again == first
    counts = failed.counts()
    assert (counts.delivered, counts.dead) == (5, 0)
    assert counts.by_reason("dead") == {}
    assert set(Attempt.objects.values_list("number", "kind")) == {(2, "manual")}
    check_invariants(failed)


def test_a_job_goes_on_where_it_stood(failed: Scene) -> None:
    job = order(failed)

    worked = [redelivery.work(limit=2) for _ in range(4)]

    assert worked == [2, 2, 1, 0]
    job.refresh_from_db()
    assert job.done == 5
    failed.drain()
    assert failed.counts().delivered == 5


def test_who_lost_the_right_sends_nothing_again(failed: Scene, receiver: Receiver) -> None:
    job = order(failed)
    failed.member.is_active = False
    failed.member.save()

    assert redelivery.work() == 0

    job.refresh_from_db()
    assert job.finished_at is not None
    assert job.failure
    assert failed.counts().dead == 5


def test_sending_again_needs_the_right_and_both_gates(failed: Scene) -> None:
    marketer = make_member(failed.workspace, Preset.MARKETER)
    with pytest.raises(PermissionDenied):
        redelivery.order(
            workspace=failed.workspace,
            actor=marketer,
            chosen=redelivery.selection(plan_ids=[failed.plan.pk]),
            now=timezone.now(),
        )


def test_who_sends_again_becomes_responsible(failed: Scene) -> None:
    Plan.objects.filter(pk=failed.plan.pk).update(responsible=None)
    order(failed)
    redelivery.work()

    assert Plan.objects.get(pk=failed.plan.pk).responsible == failed.member


def test_a_selection_without_bounds_is_refused() -> None:
    with pytest.raises(ValidationError):
        redelivery.selection()
    with pytest.raises(ValidationError):
        redelivery.selection(delivery_ids=["dlv_x"], states=["delivered"])


def test_the_command_lists_shows_and_sends_again(failed: Scene, receiver: Receiver) -> None:
    slug = failed.workspace.slug
    listed, shown, done = StringIO(), StringIO(), StringIO()
    call_command("deliveries", "list", workspace=slug, as_json=True, stdout=listed)
    rows = [json.loads(line) for line in listed.getvalue().splitlines()]
    assert {row["state"] for row in rows} == {"dead"}
    call_command("deliveries", "show", rows[0]["id"], stdout=shown)
    entry = next(e for e in receiver.entries("/in") if e.message_id == rows[0]["message_id"])
    assert json.loads(shown.getvalue())["body"] == entry.body.decode()

    call_command(
        "deliveries", "redeliver", workspace=slug, webhook=failed.webhook.name, stdout=done
    )

    assert done.getvalue().startswith("5 deliveries are being sent again")
    failed.drain()
    assert progress.counts([failed.plan.pk])[failed.plan.pk].delivered == 5


def test_a_long_order_does_not_keep_a_short_one_waiting(failed: Scene) -> None:
    long = order(failed)
    assert redelivery.work(limit=2) == 2
    (*_, left) = [each.qaid for each in failed.deliveries() if each.state == "dead"]
    short = order(failed, qaids=[left])

    assert redelivery.work(limit=2) == 1
    short.refresh_from_db()
    long.refresh_from_db()
    assert (short.done, long.done) == (1, 2)


def test_an_order_that_cannot_be_worked_ends_and_senders_live_on(failed: Scene) -> None:
    broken = order(failed)
    Plan.objects.filter(pk=failed.plan.pk).update(definition={})
    assert redelivery.work() == 0

    broken.refresh_from_db()
    assert broken.finished_at is not None
    assert broken.failure.endswith(".")
    assert failed.counts().dead == 5
    assert redelivery.work() == 0
    check_invariants(failed)


def test_people_are_sent_again_in_messages_that_are_not_too_long(receiver: Receiver) -> None:
    """Nine megabytes, once the webhook takes a hundred people a message."""
    scene = make_scene(receiver.url("/in"), people=100, batch_size=10)
    Profile.objects.filter(pk__in=scene.qaids).update(tags={"nickname": "x" * 90_000})
    receiver.behave("/in", Behaviour(status=451))
    scene.submit()
    scene.drain()
    assert scene.counts().dead == 100
    receiver.behave("/in", Behaviour())
    scene.change(batch_size=100)
    tried = len(receiver.entries("/in"))

    assert order(scene).total == 100
    scene.drain()
    assert scene.counts().delivered == 100
    again = receiver.entries("/in")[tried:]
    assert [len(each.recipients) for each in again] == [50, 50]
    check_invariants(scene)
