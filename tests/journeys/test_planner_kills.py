"""kill -9 of a planner at the worst moments: nobody is lost, and nobody is planned twice."""

from collections.abc import Callable

import pytest
from django.db import transaction
from django.utils import timezone

from identity.models import IncomingEvent
from journeys import runner
from journeys.choices import RunState
from journeys.models import Enrollment, Run, SnapshotPage
from tests.journeys.factories import make_scene
from tests.journeys.processes import Planner, in_the_way, somebody_waits_for_us, wait_until_alone
from tests.journeys.test_runner import listen, make_crowd, people_of, plans_of, publish, settle
from tests.webhooks.processes import wait_until
from webhooks.models import Chunk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def _more_chunks_than(number: int) -> Callable[[], bool]:
    return lambda: Chunk.objects.count() > number


def test_a_planner_killed_between_pages_of_the_snapshot(
    process_environment: dict[str, str],
) -> None:
    scene = make_scene()
    everybody = make_crowd(scene, 40_000)
    run = publish(scene, scene.journey(), timezone.now())
    kills = 0

    while not Run.objects.filter(pk=run.pk, state=RunState.RUNNING).exists():
        with Planner(process_environment):
            wait_until(_more_chunks_than(Chunk.objects.count()), every=0.002)
        kills += SnapshotPage.objects.exists()
        wait_until_alone()

    (plan,) = plans_of(run)
    assert people_of(plan) == everybody
    run.refresh_from_db()
    assert (run.people, run.planned_to) == (len(everybody), everybody[-1])
    assert kills >= 1


def test_a_planner_killed_in_the_middle_of_a_page(process_environment: dict[str, str]) -> None:
    scene = make_scene()
    everybody = make_crowd(scene, 12_000)
    run = publish(scene, scene.journey(), timezone.now())
    (plan,) = plans_of(run)

    with Planner(process_environment) as planner:
        with in_the_way(plan, number=7):
            wait_until(somebody_waits_for_us)
            planner.kill()
        wait_until_alone()

    # The page it held is there again, whole.
    assert not Chunk.objects.exists()
    assert sum(len(page.qaids) for page in run.pages.all()) == len(everybody)
    with Planner(process_environment):
        wait_until(lambda: Run.objects.filter(pk=run.pk, state=RunState.RUNNING).exists())
    assert people_of(plan) == everybody


def test_a_planner_killed_while_it_freezes_the_audience(
    process_environment: dict[str, str],
) -> None:
    scene = make_scene()
    everybody = make_crowd(scene, 30_000)
    run = publish(scene, scene.journey(), timezone.now())

    with Planner(process_environment) as planner:
        with transaction.atomic():
            SnapshotPage.objects.create(run=run, number=1, qaids=[0])
            wait_until(somebody_waits_for_us)
            planner.kill()
            transaction.set_rollback(True)
        wait_until_alone()

    run.refresh_from_db()
    assert (run.state, run.started_at, run.pages.count()) == (RunState.SCHEDULED, None, 0)
    with Planner(process_environment):
        wait_until(lambda: Run.objects.filter(pk=run.pk, state=RunState.RUNNING).exists())
    assert people_of(plans_of(run)[0]) == everybody


def test_a_planner_killed_while_it_hands_people_on(process_environment: dict[str, str]) -> None:
    scene = make_scene()
    everybody = make_crowd(scene, 3_000)
    run = publish(scene, scene.journey(steps=[scene.config()] * 2), timezone.now())
    runner.sweep(now=timezone.now())
    first, second = plans_of(run)
    settle(first)
    before = list(Chunk.objects.filter(plan=first).order_by("pk").values_list("states", flat=True))
    run.refresh_from_db()

    with Planner(process_environment) as planner:
        with in_the_way(second, number=run.next_chunk + 3):
            # It has marked everybody by now, and is about to insert the next step's chunks.
            wait_until(somebody_waits_for_us)
            planner.kill()
        wait_until_alone()

    after = list(Chunk.objects.filter(plan=first).order_by("pk").values_list("states", flat=True))
    assert list(map(bytes, after)) == list(map(bytes, before))
    assert not Chunk.objects.filter(plan=second).exists()
    with Planner(process_environment):
        wait_until(lambda: not Chunk.objects.filter(plan=first, unadvanced__gt=0).exists())
    assert people_of(second) == everybody


def test_a_planner_killed_while_it_lets_people_in(process_environment: dict[str, str]) -> None:
    scene = make_scene()
    _journey, run = listen(scene)
    (plan,) = plans_of(run)
    for number in range(10):
        scene.report(scene.people[number % 2], f"e-{number}", shop="Berlin")

    with Planner(process_environment) as planner:
        with in_the_way(plan, number=0):
            wait_until(somebody_waits_for_us)
            planner.kill()
        wait_until_alone()

    assert IncomingEvent.objects.filter(taken_at=None).count() == 10
    assert not Enrollment.objects.exists()
    with Planner(process_environment):
        wait_until(lambda: not IncomingEvent.objects.filter(taken_at=None).exists())
    assert Enrollment.objects.count() == 10
    events = [event["id"] for chunk in Chunk.objects.all() for event in chunk.events or []]
    assert sorted(events) == [f"e-{number}" for number in range(10)]


def test_two_planners_share_the_work_and_double_nothing(
    process_environment: dict[str, str],
) -> None:
    scene = make_scene()
    everybody = make_crowd(scene, 30_000)
    run = publish(scene, scene.journey(), timezone.now())
    _journey, listening = listen(scene)
    for number in range(40):
        scene.report(scene.people[number % 2], f"e-{number}", shop="Berlin")

    with Planner(process_environment), Planner(process_environment):
        wait_until(lambda: Run.objects.filter(pk=run.pk, state=RunState.RUNNING).exists())
        wait_until(lambda: not IncomingEvent.objects.filter(taken_at=None).exists())

    assert people_of(plans_of(run)[0]) == everybody
    assert len(people_of(plans_of(listening)[0])) == 40


def test_a_planner_that_is_told_to_stop_ends_well(process_environment: dict[str, str]) -> None:
    scene = make_scene()
    run = publish(scene, scene.journey(), timezone.now())

    with Planner(process_environment) as planner:
        wait_until(lambda: Run.objects.filter(pk=run.pk, state=RunState.RUNNING).exists())
        assert planner.stop() == 0
