from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from identity.models import EventType, IncomingEvent
from journeys import publishing, runner, runs, starting
from journeys.choices import JourneyState, RunState
from journeys.components.audience import When
from journeys.components.event import Condition, Reentry
from journeys.models import Enrollment, Journey, Run
from journeys.runner import Swept
from tests.journeys.factories import NOW, SHOP, Scene, make_purchase, make_scene, take_point
from webhooks import control, holding, outbox, pressure, states
from webhooks.choices import PlanState, StateByte
from webhooks.models import Chunk, Plan, Webhook
from workspaces import notices
from workspaces.models import Membership, Notice

pytestmark = pytest.mark.django_db

TWO_STEPS = 2


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def publish(scene: Scene, journey: Journey, now: datetime = NOW) -> Run:
    return publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=now
    ).run


def sweep(now: datetime = NOW) -> Swept:
    return runner.sweep(now=now)


def settle(plan: Plan, states_of: dict[int, StateByte] | None = None) -> None:
    """End everybody of a plan as the engine would: delivered unless said otherwise, by QAID."""
    given = states_of or {}
    ids = list(Chunk.objects.filter(plan=plan).values_list("pk", flat=True))
    with transaction.atomic(), connection.cursor() as cursor:
        qaids = dict(Chunk.objects.filter(plan=plan).values_list("pk", "qaids"))
        for chunk in states.lock(cursor, ids).values():
            for place in chunk.positions(StateByte.QUEUED):
                qaid = qaids[chunk.id][place]
                chunk.move(place, given.get(qaid, StateByte.DELIVERED))
            chunk.store(cursor)


def people_of(plan: Plan) -> list[int]:
    """Return everybody planned, in order; whoever stands twice is there twice."""
    return sorted(qaid for chunk in Chunk.objects.filter(plan=plan) for qaid in chunk.qaids)


def plans_of(run: Run) -> list[Plan]:
    return list(Plan.objects.filter(run_id=run.pk).order_by("pk"))


def make_crowd(scene: Scene, number: int) -> list[int]:
    """Put many more people into the audience; return everybody in it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH made AS (INSERT INTO identity_profile (workspace_id, tags, tag_times, created_at)"
            " SELECT %s, '{}', '{}', now() FROM generate_series(1, %s) RETURNING qaid)"
            " INSERT INTO identity_audiencemember (audience_id, profile_id)"
            " SELECT %s, qaid FROM made",
            [scene.workspace.pk, number, scene.audience.pk],
        )
    members = scene.audience.members.order_by("profile_id")
    return list(members.values_list("profile_id", flat=True))


# --- Audience runs --------------------------------------------------------------------------------


def test_a_run_starts_plans_everybody_once_and_ends(scene: Scene) -> None:
    journey = scene.journey()
    run = publish(scene, journey)

    swept = sweep()

    assert (swept.started, swept.planned) == (1, 3)
    run.refresh_from_db()
    assert (run.state, run.people, run.started_at) == (RunState.RUNNING, 3, NOW)
    (plan,) = plans_of(run)
    assert people_of(plan) == sorted(person.pk for person in scene.people)
    assert sweep().is_idle

    settle(plan)
    assert sweep().finished == 1
    run.refresh_from_db()
    journey.refresh_from_db()
    assert (run.state, run.ended_at) == (RunState.FINISHED, NOW)
    assert journey.state == JourneyState.FINISHED
    notice = Notice.objects.get(user=scene.member)
    assert notice.kind == "journey_finished"
    assert notices.text_of(notice) == "“Welcome” is finished. People in it: 3."
    assert notice.url == reverse("journeys:run", args=[scene.workspace.slug, journey.pk, run.pk])
    assert not scene.webhook.uses.get().is_live


def test_the_snapshot_is_of_one_moment(scene: Scene) -> None:
    run = publish(scene, scene.journey())
    starting.start(run.pk, now=NOW)
    scene.audience.members.filter(profile=scene.people[0]).delete()
    scene.audience.members.model.objects.create(
        audience=scene.audience, profile=scene.person("13800000077")
    )

    starting.plan_page(run.pk, now=NOW)

    (plan,) = plans_of(run)
    assert people_of(plan) == sorted(person.pk for person in scene.people)


@pytest.mark.parametrize(
    ("batch_size", "chunk"), [(1, 500), (7, 504), (20, 800), (50, 2000), (1000, 2000)]
)
def test_chunks_hold_whole_batches_across_pages(scene: Scene, batch_size: int, chunk: int) -> None:
    scene.webhook.batch_size = batch_size
    scene.webhook.save()
    everybody = make_crowd(scene, 12_000)
    run = publish(scene, scene.journey())

    starting.start(run.pk, now=NOW)
    pages = 0
    while starting.plan_page(run.pk, now=NOW):
        pages += 1

    (plan,) = plans_of(run)
    sizes = list(Chunk.objects.filter(plan=plan).order_by("number").values_list("size", flat=True))
    assert outbox.chunk_people(scene.webhook) == chunk
    assert set(sizes[:-1]) == {chunk}
    assert people_of(plan) == everybody
    run.refresh_from_db()
    assert (run.state, run.planned_to, run.people) == (
        RunState.RUNNING,
        everybody[-1],
        len(everybody),
    )
    assert pages == -(-len(everybody) // (chunk * starting.PAGE_CHUNKS))


def test_queries_of_a_page_do_not_grow_with_its_people(
    scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_crowd(scene, 10_500)
    run = publish(scene, scene.journey())
    starting.start(run.pk, now=NOW)

    with django_assert_max_num_queries(14):
        assert starting.plan_page(run.pk, now=NOW) == 10_000


def test_an_audience_that_became_empty_ends_its_run(scene: Scene) -> None:
    journey = scene.journey(when=When.AT, at=NOW + timedelta(hours=1))
    run = publish(scene, journey)
    scene.audience.members.all().delete()
    later = NOW + timedelta(hours=2)

    sweep(later)
    sweep(later)

    run.refresh_from_db()
    assert (run.state, run.state_reason) == (RunState.FINISHED, "nobody")


def test_an_audience_that_was_deleted_ends_its_run_abnormally(scene: Scene) -> None:
    journey = scene.journey(when=When.AT, at=NOW + timedelta(hours=1))
    run = publish(scene, journey)
    scene.audience.delete()

    sweep(NOW + timedelta(hours=2))

    run.refresh_from_db()
    journey.refresh_from_db()
    assert (run.state, run.state_reason) == (RunState.FAILED, "audience_gone")
    assert journey.state == JourneyState.FAILED
    assert Notice.objects.filter(kind="journey_failed").exists()


# --- The gates when a run starts ------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["role", "usage", "ended", "left", "inactive"])
def test_a_run_whose_responsible_member_lost_a_gate_is_paused_before_anybody_is_planned(
    scene: Scene, loss: str
) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    if loss == "role":
        take_point(scene)
    elif loss == "usage":
        scene.webhook.membergrant_set.all().delete()
    elif loss == "ended":
        scene.webhook.membergrant_set.update(ends_at=timezone.now())
    elif loss == "left":
        Membership.objects.filter(user=scene.member).delete()
    else:
        scene.member.is_active = False
        scene.member.save()

    assert sweep().started == 0

    run.refresh_from_db()
    journey.refresh_from_db()
    assert (run.state, run.state_reason) == (RunState.PAUSED, "permission_lost")
    assert (journey.state, journey.state_reason) == (JourneyState.PAUSED, "permission_lost")
    assert not Chunk.objects.exists()
    assert plans_of(run)[0].state == PlanState.PAUSED


def test_a_plan_that_the_engine_paused_pauses_its_journey_with_a_notice(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config()] * TWO_STEPS)
    run = publish(scene, journey)
    sweep()
    first, second = plans_of(run)
    control.lose_permission(first.pk, now=NOW)

    assert sweep().paused == 1

    run.refresh_from_db()
    journey.refresh_from_db()
    second.refresh_from_db()
    assert (run.state, journey.state) == (RunState.PAUSED, JourneyState.PAUSED)
    assert second.state == PlanState.PAUSED
    assert Notice.objects.filter(kind="journey_paused", user=scene.member).exists()
    assert sweep().is_idle


# --- Advancing ------------------------------------------------------------------------------------


def test_everybody_who_ended_goes_on_once_and_the_cancelled_do_not(scene: Scene) -> None:
    run = publish(scene, scene.journey(steps=[scene.config()] * TWO_STEPS))
    sweep()
    first, second = plans_of(run)
    one, two, three = (person.pk for person in scene.people)
    settle(first, {two: StateByte.SKIPPED, three: StateByte.CANCELLED})

    assert sweep().advanced == 2

    assert people_of(second) == [one, two]
    assert sweep().advanced == 0
    assert people_of(second) == [one, two]
    chunk = Chunk.objects.get(plan=first)
    assert chunk.unadvanced == 0
    settle(second)
    assert sweep().finished == 1


@pytest.mark.parametrize(
    "state",
    [
        StateByte.DELIVERED,
        StateByte.DEAD,
        StateByte.EXPIRED,
        StateByte.SKIPPED,
        StateByte.UNCERTAIN,
    ],
)
def test_people_go_on_however_they_ended(scene: Scene, state: StateByte) -> None:
    run = publish(scene, scene.journey(steps=[scene.config()] * TWO_STEPS))
    sweep()
    first, second = plans_of(run)
    everybody = sorted(person.pk for person in scene.people)
    settle(first, dict.fromkeys(everybody, state))

    sweep()

    assert people_of(second) == everybody


def test_a_run_is_not_over_while_people_are_between_two_steps(scene: Scene) -> None:
    run = publish(scene, scene.journey(steps=[scene.config()] * TWO_STEPS))
    sweep()
    settle(plans_of(run)[0])

    from journeys import ending

    assert ending.finish_done(now=NOW) == 0


def test_half_sent_chunks_move_in_thorough_sweeps_only(scene: Scene) -> None:
    run = publish(scene, scene.journey(steps=[scene.config()] * TWO_STEPS))
    sweep()
    first, second = plans_of(run)
    one, two, three = (person.pk for person in scene.people)
    settle(first, {two: StateByte.QUEUED, three: StateByte.QUEUED})

    assert runner.sweep(now=NOW, thorough=False).advanced == 0
    assert runner.sweep(now=NOW, thorough=True).advanced == 1
    assert people_of(second) == [one]


def test_a_paused_run_moves_nobody(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config()] * TWO_STEPS)
    run = publish(scene, journey)
    sweep()
    first, second = plans_of(run)
    settle(first)
    runs.pause(journey=journey, user=scene.member, now=NOW)

    assert sweep().advanced == 0
    runs.resume(journey=journey, user=scene.member, now=NOW)
    assert sweep().advanced == 3
    assert len(people_of(second)) == 3


def test_chunks_of_the_next_step_are_whole_again(scene: Scene) -> None:
    make_crowd(scene, 1_997)
    run = publish(scene, scene.journey(steps=[scene.config()] * TWO_STEPS))
    sweep()
    first, second = plans_of(run)
    settle(first)

    assert sweep().advanced == 2_000

    sizes = Chunk.objects.filter(plan=second).order_by("number").values_list("size", flat=True)
    assert list(sizes) == [500, 500, 500, 500]


# --- Event runs -----------------------------------------------------------------------------------


def listen(scene: Scene, **start: Any) -> tuple[Journey, Run]:
    purchase = scene.workspace.event_types.filter(code="purchase").first() or make_purchase(scene)
    steps = start.pop(
        "steps", [scene.config(values={"content": "At ${shop}"}, variables={"content": (SHOP,)})]
    )
    journey = scene.event_journey(purchase, steps=steps, **start)
    return journey, publish(scene, journey, timezone.now())


def test_an_event_lets_its_person_in_with_the_attributes_that_are_used(scene: Scene) -> None:
    _journey, run = listen(scene)
    scene.report(scene.people[0], "e-1", amount=80, shop="Berlin")

    swept = sweep(timezone.now())

    assert (swept.events, swept.entered) == (1, 1)
    chunk = Chunk.objects.get()
    assert chunk.qaids == [scene.people[0].pk]
    assert chunk.events == [{"id": "e-1", "attributes": {"shop": "Berlin"}}]
    enrollment = Enrollment.objects.get()
    assert (enrollment.event_id, enrollment.qaid) == ("e-1", scene.people[0].pk)
    run.refresh_from_db()
    assert run.people == 1
    assert sweep(timezone.now()).is_idle


def test_the_same_event_never_enters_twice(scene: Scene) -> None:
    listen(scene)
    scene.report(scene.people[0], "e-1", amount=80, shop="Berlin")
    sweep(timezone.now())
    IncomingEvent.objects.update(taken_at=None)

    assert sweep(timezone.now()).entered == 0
    assert Chunk.objects.count() == 1


def test_one_person_may_enter_with_two_events_at_once(scene: Scene) -> None:
    listen(scene)
    scene.report(scene.people[0], "e-1", amount=80, shop="Berlin")
    scene.report(scene.people[0], "e-2", amount=80, shop="Paris")

    assert sweep(timezone.now()).entered == 2
    chunk = Chunk.objects.get()
    assert chunk.qaids == [scene.people[0].pk] * 2


def test_conditions_keep_events_out(scene: Scene) -> None:
    listen(scene, conditions=(Condition("amount", "at_least", 50),))
    scene.report(scene.people[0], "e-1", amount=49)
    scene.report(scene.people[1], "e-2", amount=50)

    assert sweep(timezone.now()).entered == 1
    assert Enrollment.objects.get().event_id == "e-2"


@pytest.mark.parametrize(
    ("reentry", "days_later", "entered"),
    [
        (Reentry.ALWAYS, 0, 2),
        (Reentry.ONCE, 400, 1),
        (Reentry.AFTER_DAYS, 6, 1),
        (Reentry.AFTER_DAYS, 7, 2),
    ],
)
def test_the_reentry_rule_decides_who_enters_again(
    scene: Scene, reentry: Reentry, days_later: int, entered: int
) -> None:
    listen(scene, reentry=reentry, reentry_days=7)
    scene.report(scene.people[0], "e-1", shop="Berlin")
    sweep(timezone.now())
    moved = timedelta(days=days_later, seconds=1)
    Enrollment.objects.update(entered_at=timezone.now() - moved)
    scene.report(scene.people[0], "e-2", shop="Berlin")

    sweep(timezone.now())

    assert Enrollment.objects.count() == entered


def test_once_holds_for_two_events_that_come_together(scene: Scene) -> None:
    listen(scene, reentry=Reentry.ONCE)
    scene.report(scene.people[0], "e-1", shop="Berlin")
    scene.report(scene.people[0], "e-2", shop="Berlin")

    assert sweep(timezone.now()).entered == 1


def test_once_holds_across_versions_and_merged_people(scene: Scene) -> None:
    journey, _run = listen(scene, reentry=Reentry.ONCE)
    scene.report(scene.people[1], "e-1", shop="Berlin")
    sweep(timezone.now())
    scene.rename_step(journey, "Another name")
    publish(scene, journey, timezone.now())
    younger, older = scene.people[1], scene.people[0]
    younger.identifiers.all().delete()
    younger.tags = younger.tag_times = {}
    younger.merged_into = older
    younger.save()
    scene.report(older, "e-2", shop="Berlin")

    assert sweep(timezone.now()).entered == 0


def test_a_paused_event_journey_goes_on_enrolling_and_a_stopped_one_does_not(scene: Scene) -> None:
    journey, run = listen(scene)
    runs.pause(journey=journey, user=scene.member, now=timezone.now())
    scene.report(scene.people[0], "e-1", shop="Berlin")
    assert sweep(timezone.now()).entered == 1
    assert plans_of(run)[0].state == PlanState.PAUSED

    runs.stop(journey=journey, user=scene.member, take_out=False, now=timezone.now())
    scene.report(scene.people[1], "e-2", shop="Berlin")
    assert sweep(timezone.now()).entered == 0


def test_two_journeys_may_listen_for_one_event(scene: Scene) -> None:
    listen(scene)
    listen(scene)
    scene.report(scene.people[0], "e-1", shop="Berlin")

    assert sweep(timezone.now()).entered == 2


def test_an_event_of_another_tenant_starts_nothing_here(scene: Scene) -> None:
    listen(scene)
    other = make_scene()
    make_purchase(other)
    other.report(other.people[0], "e-1", shop="Berlin")

    assert sweep(timezone.now()).entered == 0


def test_an_event_journey_runs_on_while_nobody_is_inside(scene: Scene) -> None:
    journey, run = listen(scene)

    assert sweep(timezone.now()).finished == 0
    run.refresh_from_db()
    assert run.state == RunState.RUNNING

    scene.report(scene.people[0], "e-1", shop="Berlin")
    sweep(timezone.now())
    runs.stop(journey=journey, user=scene.member, take_out=False, now=timezone.now())
    assert sweep(timezone.now()).finished == 0
    settle(plans_of(run)[0])
    assert sweep(timezone.now()).finished == 1
    run.refresh_from_db()
    assert run.state == RunState.STOPPED


def test_events_keep_their_attributes_in_the_next_step(scene: Scene) -> None:
    config = scene.config(values={"content": "At ${shop}"}, variables={"content": (SHOP,)})
    _journey, run = listen(scene, steps=[config, config])
    scene.report(scene.people[0], "e-1", shop="Berlin")
    scene.report(scene.people[0], "e-2", shop="Paris")
    sweep(timezone.now())
    first, second = plans_of(run)
    settle(first)

    assert sweep(timezone.now()).advanced == 2

    (chunk,) = Chunk.objects.filter(plan=second)
    assert sorted(event["id"] for event in chunk.events or []) == ["e-1", "e-2"]


def test_queries_of_a_sweep_do_not_grow_with_its_events(
    scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    listen(scene, reentry=Reentry.AFTER_DAYS)
    for number in range(30):
        scene.report(scene.people[0], f"e-{number}", shop="Berlin")

    with django_assert_max_num_queries(32):
        runner.sweep(now=timezone.now(), thorough=False)


# --- Enough to do ---------------------------------------------------------------------------------


def test_a_run_keeps_its_pages_while_enough_people_wait_for_its_webhook(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "PAGE_CHUNKS", 1)
    monkeypatch.setattr(pressure, "PEOPLE_AT_LEAST", 1_000)
    make_crowd(scene, 1_997)
    run = publish(scene, scene.journey())

    planned = [sweep().planned for _sweep in range(4)]

    assert planned == [500, 500, 0, 0]
    run.refresh_from_db()
    assert (run.state, run.people) == (RunState.PLANNING, 2_000)
    Chunk.objects.filter(number=0).update(unsent=0)
    assert [sweep().planned for _sweep in range(3)] == [500, 0, 0]
    # What a rate takes in a minute may wait in any case.
    Webhook.objects.update(rate_per_second=25)
    assert sweep().planned == 500


def test_who_waits_in_a_paused_run_or_is_held_back_stands_in_nobodys_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "PEOPLE_AT_LEAST", 1)
    paused, held = publish(scene, scene.journey()), publish(scene, scene.journey())
    assert sweep().planned == 6
    control.pause_plans([plan.pk for plan in plans_of(paused)], now=NOW)
    third = publish(scene, scene.journey())
    assert sweep().planned == 0
    chosen = holding.selection(plan_ids=[plan.pk for plan in plans_of(held)])

    holding.hold(workspace=scene.workspace, actor=None, chosen=chosen)

    assert sweep().planned == 3
    assert people_of(plans_of(third)[0]) == sorted(person.pk for person in scene.people)


def test_people_stay_in_a_step_while_enough_wait_for_the_next_ones_webhook(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = publish(scene, scene.journey(steps=[scene.config(), scene.config()]))
    sweep()
    first, second = plans_of(run)
    settle(first)
    monkeypatch.setattr(pressure, "PEOPLE_AT_LEAST", 0)
    assert sweep().advanced == 0

    monkeypatch.setattr(pressure, "PEOPLE_AT_LEAST", 1)
    assert sweep().advanced == 3
    assert people_of(second) == people_of(first)


def test_events_wait_while_their_journeys_webhook_is_full_and_others_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    _journey, run = listen(scene)
    monkeypatch.setattr(pressure, "PEOPLE_AT_LEAST", 1)
    for number in range(2):
        scene.report(scene.people[number], f"e-{number}", amount=80, shop="Berlin")
        sweep(timezone.now())
    other = EventType.objects.create(workspace=scene.workspace, code="visit", name="Visit")
    IncomingEvent.objects.filter(event_id="e-0").update(event_type=other, taken_at=None)

    assert sweep(timezone.now()).events == 1
    assert IncomingEvent.objects.get(taken_at=None).event_id == "e-1"
    Chunk.objects.update(unsent=0)
    assert sweep(timezone.now()).entered == 1
    assert Enrollment.objects.filter(run=run).count() == 2


# --- One run's fault ------------------------------------------------------------------------------


def break_version(run: Run) -> None:
    """Let the frozen document name a component that this program does not have."""
    document = run.version.document
    document["start"]["component"] = "gone"
    type(run.version).objects.filter(pk=run.version_id).update(document=document)


def test_a_run_that_cannot_start_ends_abnormally_and_holds_up_nobody(scene: Scene) -> None:
    broken_journey = scene.journey()
    broken = publish(scene, broken_journey)
    sound = publish(scene, scene.journey())
    break_version(broken)

    assert sweep().started == 1

    broken.refresh_from_db()
    broken_journey.refresh_from_db()
    sound.refresh_from_db()
    assert (broken.state, broken.state_reason) == (RunState.FAILED, "broken")
    assert broken_journey.state == JourneyState.FAILED
    assert plans_of(broken)[0].state == PlanState.CANCELLED
    assert sound.state == RunState.RUNNING
    assert sweep().is_idle


def test_an_event_reaches_the_sound_journeys_beside_a_broken_one(scene: Scene) -> None:
    _broken_journey, broken = listen(scene)
    _sound_journey, sound = listen(scene)
    Plan.objects.filter(run_id=broken.pk).update(definition={})
    scene.report(scene.people[0], "e-1", shop="Berlin")

    assert sweep(timezone.now()).entered == 1

    broken.refresh_from_db()
    assert (broken.state, broken.state_reason) == (RunState.FAILED, "broken")
    assert Enrollment.objects.get().run_id == sound.pk
