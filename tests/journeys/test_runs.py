from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from journeys import publishing, runner, runs
from journeys.choices import JourneyState, RunState
from journeys.components.audience import When
from journeys.models import Journey, Run
from tests.journeys.factories import NOW, Scene, grant, make_scene
from tests.journeys.test_runner import make_crowd, people_of, plans_of, publish, settle, sweep
from tests.webhooks.factories import make_member
from webhooks.choices import PlanState, StateByte
from webhooks.models import Chunk
from workspaces.choices import Preset
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def fresh(run: Run) -> Run:
    return Run.objects.select_related("version", "journey__workspace", "responsible").get(pk=run.pk)


# --- Pausing and resuming -------------------------------------------------------------------------


def test_pausing_keeps_everybody_in_their_place(scene: Scene) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()

    runs.pause(journey=journey, user=scene.member, now=NOW)

    assert journey.state == JourneyState.PAUSED
    assert fresh(run).state == RunState.PAUSED
    assert [plan.state for plan in plans_of(run)] == [PlanState.PAUSED]
    assert Chunk.objects.get().queued == 3
    assert AuditEntry.objects.filter(action="journey.paused", actor=scene.member.pk).exists()


def test_a_colleague_who_resumes_becomes_responsible(scene: Scene) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    runs.pause(journey=journey, user=scene.member, now=NOW)
    colleague = make_member(scene.workspace)
    grant(colleague, scene.webhook)

    runs.resume(journey=journey, user=colleague, now=NOW)

    assert journey.state == JourneyState.RUNNING
    assert fresh(run).responsible == colleague
    (plan,) = plans_of(run)
    assert (plan.state, plan.responsible) == (PlanState.ACTIVE, colleague)


@pytest.mark.parametrize("gate", ["usage", "ended"])
def test_nobody_resumes_without_both_gates(scene: Scene, gate: str) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    runs.pause(journey=journey, user=scene.member, now=NOW)
    grants = scene.webhook.membergrant_set.all()
    if gate == "usage":
        grants.delete()
    else:
        grants.update(ends_at=timezone.now())

    with pytest.raises(PermissionDenied, match="CRM coupons: The usage permission"):
        runs.resume(journey=journey, user=scene.member, now=NOW)

    assert fresh(run).state == RunState.PAUSED
    assert Journey.objects.get(pk=journey.pk).state == JourneyState.PAUSED
    assert plans_of(run)[0].state == PlanState.PAUSED


def test_the_operator_resumes_in_the_name_of_whoever_was_responsible(scene: Scene) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    runs.pause(journey=journey, user=None, now=NOW)

    runs.resume(journey=journey, user=None, now=NOW)
    assert fresh(run).responsible == scene.member

    runs.pause(journey=journey, user=None, now=NOW)
    scene.webhook.membergrant_set.all().delete()
    with pytest.raises(PermissionDenied):
        runs.resume(journey=journey, user=None, now=NOW)


def test_an_analyst_neither_pauses_nor_stops(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)
    analyst = make_member(scene.workspace, Preset.ANALYST)

    with pytest.raises(PermissionDenied):
        runs.pause(journey=journey, user=analyst, now=NOW)
    with pytest.raises(PermissionDenied):
        runs.stop(journey=journey, user=analyst, take_out=True, now=NOW)
    with pytest.raises(PermissionDenied):
        runs.resume(journey=journey, user=analyst, now=NOW)


def test_a_run_that_was_not_started_waits_for_its_time_again(scene: Scene) -> None:
    at = NOW + timedelta(hours=1)
    journey = scene.journey(when=When.AT, at=at)
    run = publish(scene, journey)
    runs.pause(journey=journey, user=scene.member, now=NOW)
    assert sweep(at).started == 0

    runs.resume(journey=journey, user=scene.member, now=at)

    assert journey.state == JourneyState.SCHEDULED
    assert fresh(run).state == RunState.SCHEDULED
    assert sweep(at).started == 1


def test_a_run_paused_while_it_collects_people_goes_on_collecting(scene: Scene) -> None:
    everybody = make_crowd(scene, 12_000)
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    runs.pause(journey=journey, user=scene.member, now=NOW)
    assert sweep().planned == 0

    runs.resume(journey=journey, user=scene.member, now=NOW)
    sweep()

    assert people_of(plans_of(run)[0]) == everybody


@pytest.mark.parametrize("twice", ["pause", "resume", "stop"])
def test_what_is_done_already_is_refused(scene: Scene, twice: str) -> None:
    journey = scene.journey()
    publish(scene, journey)
    if twice == "stop":
        runs.stop(journey=journey, user=scene.member, take_out=True, now=NOW)
    elif twice == "pause":
        runs.pause(journey=journey, user=scene.member, now=NOW)

    calls: dict[str, Callable[[], object]] = {
        "pause": lambda: runs.pause(journey=journey, user=scene.member, now=NOW),
        "resume": lambda: runs.resume(journey=journey, user=scene.member, now=NOW),
        "stop": lambda: runs.stop(journey=journey, user=scene.member, take_out=True, now=NOW),
    }
    with pytest.raises(ValidationError):
        calls[twice]()


# --- Stopping -------------------------------------------------------------------------------------


def test_stopping_may_take_everybody_out(scene: Scene) -> None:
    make_crowd(scene, 12_000)
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    assert runs.inside(journey).total == 12_003

    inside = runs.stop(journey=journey, user=scene.member, take_out=True, now=NOW)

    assert (inside.waiting, inside.unplanned) == (10_000, 2_003)
    assert journey.state == JourneyState.STOPPED
    assert fresh(run).state == RunState.STOPPED
    assert plans_of(run)[0].state == PlanState.CANCELLED
    assert sweep().is_idle
    assert not scene.webhook.uses.get().is_live


def test_stopping_may_let_everybody_inside_go_on(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config()] * 2)
    run = publish(scene, journey)
    sweep()

    runs.stop(journey=journey, user=scene.member, take_out=False, now=NOW)

    first, second = plans_of(run)
    settle(first)
    sweep()
    assert len(people_of(second)) == 3
    settle(second)
    sweep()
    assert fresh(run).state == RunState.STOPPED
    assert Journey.objects.get(pk=journey.pk).state == JourneyState.STOPPED


def test_a_stop_of_a_paused_journey_that_lets_people_go_on_needs_the_gates(scene: Scene) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    runs.pause(journey=journey, user=scene.member, now=NOW)
    scene.webhook.membergrant_set.all().delete()

    with pytest.raises(PermissionDenied):
        runs.stop(journey=journey, user=scene.member, take_out=False, now=NOW)
    assert fresh(run).state == RunState.PAUSED

    runs.stop(journey=journey, user=scene.member, take_out=True, now=NOW)
    assert fresh(run).state == RunState.STOPPED


def test_people_who_may_finish_can_still_be_taken_out(scene: Scene) -> None:
    journey = scene.journey()
    run = publish(scene, journey)
    sweep()
    runs.stop(journey=journey, user=scene.member, take_out=False, now=NOW)

    runs.stop(journey=journey, user=scene.member, take_out=True, now=NOW)

    assert plans_of(run)[0].state == PlanState.CANCELLED


def test_a_stopped_journey_can_be_published_again(scene: Scene) -> None:
    journey = scene.journey()
    publish(scene, journey)
    runs.stop(journey=journey, user=scene.member, take_out=True, now=NOW)

    again = publish(scene, journey)

    assert journey.state == JourneyState.RUNNING
    assert again.version.number == 2


# --- Progress -------------------------------------------------------------------------------------


def test_progress_counts_from_the_chunks(scene: Scene) -> None:
    run = publish(scene, scene.journey(steps=[scene.config()] * 2))
    sweep()
    first, _second = plans_of(run)
    one, two, three = (person.pk for person in scene.people)
    settle(first, {two: StateByte.DEAD, three: StateByte.SKIPPED})
    later = NOW + timedelta(seconds=3)

    progress = runs.progress_of(fresh(run), now=later)

    assert (progress.people, progress.planned, progress.waiting) == (3, 3, 0)
    assert (progress.accepted, progress.failed, progress.skipped) == (1, 1, 1)
    assert (progress.total, progress.ended, progress.percent) == (6, 3, 50)
    assert progress.rate == 1.0
    assert progress.seconds_left == 3
    assert [step.step.name for step in progress.steps] == ["Step 1", "Step 2"]
    assert one


def test_the_rate_is_that_of_the_last_half_minute(scene: Scene) -> None:
    run = publish(scene, scene.journey())
    sweep()
    (plan,) = plans_of(run)
    later = NOW + timedelta(hours=1)
    assert runs.progress_of(fresh(run), now=later).rate == 0
    settle(plan)

    progress = runs.progress_of(fresh(run), now=later + timedelta(seconds=2))

    assert progress.rate == 1.5


def test_progress_asks_as_much_for_a_million(
    scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_crowd(scene, 3_000)
    run = publish(scene, scene.journey(steps=[scene.config()] * 3))
    sweep()

    with django_assert_max_num_queries(9):
        runs.progress_of(fresh(run), now=NOW)


def test_a_second_run_does_not_touch_the_first_ones_numbers(scene: Scene) -> None:
    journey = scene.journey()
    first = publish(scene, journey)
    sweep()
    settle(plans_of(first)[0])
    runner.sweep(now=NOW)
    journey.refresh_from_db()
    second = publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=NOW
    ).run
    sweep()

    assert runs.progress_of(fresh(first), now=NOW).accepted == 3
    assert runs.progress_of(fresh(second), now=NOW).waiting == 3
