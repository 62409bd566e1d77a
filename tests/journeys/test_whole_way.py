"""From a draft to a request at a real receiver, through the real planner and sender."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identity.models import Profile
from journeys import publishing, runner, runs
from journeys.explain import explain
from journeys.models import Journey, Run
from tests.factories import make_member
from tests.journeys.factories import SHOP, Scene, make_scene
from tests.journeys.processes import Planner
from tests.journeys.test_runner import listen, plans_of
from tests.webhooks.processes import SenderProcess, wait_until
from webhooks.engine import Sender
from webhooks.lines import Options
from webhooks.models import Delivery
from webhooks.receiver import Receiver, Reply
from webhooks.transport import CurlTransport
from workspaces.points import Point

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def scene(receiver: Receiver) -> Scene:
    receiver.ledger("/in")
    return make_scene(url=receiver.url("/in"), timeout_seconds=1)


def publish(scene: Scene, journey: Journey) -> Run:
    return publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    ).run


def work(run: Run, *, seconds: float = 20, **options: Any) -> None:
    """Plan and send in turns until the run is over."""
    chosen = Options(idle_seconds=0.05, **options)
    sender = Sender(options=chosen, transport=CurlTransport(slots=16))
    sender.start()
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            runner.sweep(now=timezone.now())
            sender.turn()
            run.refresh_from_db()
            if run.ended_at:
                break
        sender.finish()
    finally:
        sender.close()
    assert run.ended_at


def contents(receiver: Receiver) -> list[str]:
    return sorted(
        each["params"]["content"] for entry in receiver.entries("/in") for each in entry.recipients
    )


def test_the_seeds_sentence_arrives_with_and_without_a_nickname(
    scene: Scene, receiver: Receiver
) -> None:
    journey = scene.journey()
    run = publish(scene, journey)

    work(run)

    assert contents(receiver) == ["Dear Member Hello", "Dear Zhang San Hello"]
    progress = runs.progress_of(Run.objects.get(pk=run.pk), now=timezone.now())
    assert (progress.accepted, progress.skipped_by_reason) == (2, {"no_id": 1})
    assert progress.steps[0].defaulted == {"content:name": 1}


def test_two_steps_reach_the_same_people_one_after_the_other(
    scene: Scene, receiver: Receiver
) -> None:
    journey = scene.journey(
        steps=[
            scene.config(values={"content": "First ${name}"}),
            scene.config(values={"content": "Second ${name}"}),
        ]
    )

    work(publish(scene, journey))

    assert contents(receiver) == [
        "First Member",
        "First Zhang San",
        "Second Member",
        "Second Zhang San",
    ]


def test_an_event_carries_its_attributes_to_the_request(scene: Scene, receiver: Receiver) -> None:
    config = scene.config(values={"content": "At ${shop}"}, variables={"content": (SHOP,)})
    journey, run = listen(scene, steps=[config])
    scene.report(scene.people[0], "e-1", shop="Berlin", amount=1)
    scene.report(scene.people[0], "e-2", amount=2)
    runner.sweep(now=timezone.now())
    runs.stop(journey=journey, user=scene.member, take_out=False, now=timezone.now())

    work(run)

    assert contents(receiver) == ["At Berlin"]
    progress = runs.progress_of(Run.objects.get(pk=run.pk), now=timezone.now())
    assert progress.skipped_by_reason == {"variable_empty": 1}


def verdict(journey: Journey, person: Profile, *, in_clear: bool = True) -> str:
    told = explain(journey=journey, person=person, in_clear=in_clear, now=timezone.now())
    return told.verdict


def test_everybody_is_told_why(scene: Scene) -> None:
    journey = scene.journey()
    work(publish(scene, journey))

    assert verdict(journey, scene.people[0]).startswith("Accepted by CRM coupons on ")
    assert verdict(journey, scene.people[0]).endswith(", answered with 200.")
    assert verdict(journey, scene.people[2]) == "Not sent: no Mobile in the only data source."
    told = explain(journey=journey, person=scene.people[1], in_clear=False, now=timezone.now())
    lines = "\n".join(told.lines(zone=scene.workspace.zone))
    assert "The default went out for: name." in lines
    assert "138****0002" in lines
    assert "13800000002" not in lines


def test_whoever_is_accepted_at_the_second_try_is_told_of_both(
    scene: Scene, receiver: Receiver, client: Client
) -> None:
    receiver.script("/in", Reply(503, b"busy"))
    journey = scene.journey()
    run = publish(scene, journey)
    work(run, schedule=(timedelta(0),))
    delivery = Delivery.objects.get(attempts=2)
    person = Profile.objects.get(pk=delivery.qaid)

    told = explain(journey=journey, person=person, in_clear=True, now=timezone.now())
    tries = [fact for fact in told.facts if fact.kind in ("request", "attempt")]
    client.force_login(scene.member)
    deliveries = reverse("journeys:deliveries", args=[scene.workspace.slug])
    listed = client.get(deliveries)
    of_run = client.get(deliveries, {"run": str(run.pk), "state": "delivered"})
    address = reverse("journeys:person", args=[scene.workspace.slug, journey.pk, run.pk])
    found = client.post(address, {"id": delivery.sent_id}).content.decode()

    assert told.verdict.endswith(", answered with 200.")
    assert tries[0].sentence.startswith("The request was answered with 503 after ")
    assert tries[1].sentence.startswith("Try 2. The request was answered with 200 after ")
    assert [fact.is_good for fact in tries] == [False, True]
    assert tries[0].details["Answer"] == "busy"
    for page in (listed, of_run):
        shown = {each["row"].qaid: each["row"].status_code for each in page.context["rows"]}
        assert shown[person.qaid] == 200
    why = reverse("journeys:why", args=[scene.workspace.slug, journey.pk, run.pk, person.qaid])
    assert f'href="{why}"' in found


def test_an_answer_that_repeats_the_message_is_for_who_may_see_people(
    scene: Scene, client: Client
) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    work(run)
    person = scene.people[0]
    Delivery.objects.filter(qaid=person.qaid).update(answer="No such person: Zhang San")
    address = reverse("journeys:why", args=[scene.workspace.slug, journey.pk, run.pk, person.qaid])

    shown = {}
    for points in ([Point.VIEW_DELIVERIES], [Point.VIEW_DELIVERIES, Point.VIEW_PROFILES]):
        client.force_login(make_member(scene.workspace, points=points))
        shown[len(points)] = client.get(address).content.decode()

    assert "Hidden. To see it you need the permission" in shown[1]
    assert "Zhang San" not in shown[1]
    assert "No such person: Zhang San" in shown[2]


@pytest.mark.slow
def test_an_event_is_at_the_receiver_within_two_seconds(
    scene: Scene, receiver: Receiver, process_environment: dict[str, str]
) -> None:
    """The 95th percentile, from the answer to the API to the request, over 100 single events."""
    _journey, run = listen(scene)
    (plan,) = plans_of(run)
    reported: dict[str, float] = {}
    with ExitStack() as processes:
        processes.enter_context(Planner(process_environment))
        processes.enter_context(SenderProcess(lease_seconds=30.0))
        scene.report(scene.people[0], "first", shop="first")
        wait_until(lambda: bool(receiver.entries("/in")))
        for number in range(100):
            scene.report(scene.people[number % 2], f"e-{number}", shop=f"shop {number}")
            reported[f"At shop {number}"] = time.time()
            time.sleep(0.03)
        wait_until(lambda: len(receiver.entries("/in")) == 101)
        accepted = Delivery.objects.filter(plan=plan, state="delivered")
        wait_until(lambda: accepted.count() == 101)

    waits = sorted(
        entry.at - reported[entry.recipients[0]["params"]["content"]]
        for entry in receiver.entries("/in")
        if entry.recipients[0]["params"]["content"] in reported
    )
    assert len(waits) == 100
    print(f"median {waits[50] * 1000:.0f} ms, 95th {waits[95] * 1000:.0f} ms")  # noqa: T201
    assert waits[95] < 2
