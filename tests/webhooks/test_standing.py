"""The people behind a run's numbers: as many as the number says, each once, in any state."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.webhooks.scene import Scene, make_scene
from webhooks import control, plans, progress, standing
from webhooks.choices import DeliveryState
from webhooks.models import Delivery
from webhooks.receiver import Behaviour, Receiver
from webhooks.standing import Person, Wanted

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def people(scene: Scene, **wanted: object) -> list[Person]:
    return list(standing.everybody(Wanted([scene.plan.pk], **wanted)))  # type: ignore[arg-type]


def forget_tag(qaids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE identity_profile SET tags = '{}' WHERE qaid = ANY(%s)", [qaids])


def forget_ids(qaids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM identity_identifier WHERE profile_id = ANY(%s)", [qaids])


def test_who_waits_is_found_before_anything_is_made_for_them(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=5)
    scene.submit(size=2)

    found = people(scene, state=DeliveryState.QUEUED)

    assert sorted(each.qaid for each in found) == scene.qaids
    assert {each.delivery for each in found} == {None}
    assert not people(scene, state=DeliveryState.DELIVERED)


def test_every_number_has_so_many_people_behind_it(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=12)
    forget_ids(scene.qaids[:3])
    receiver.behave("/in", Behaviour(status=422))
    scene.submit(size=4, qaids=scene.qaids[:6])
    scene.drain()

    counts = scene.counts()
    for state in DeliveryState:
        column = "queued" if state == DeliveryState.QUEUED else state.value
        assert len(people(scene, state=state)) == getattr(counts, column)
    for tally, number in counts.tallies.items():
        assert len(people(scene, tally=tally)) == number, tally
    assert counts.by_reason("skipped") == {"no_id": 3}


def test_who_got_the_default_is_found(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=6)
    forget_tag(scene.qaids[1:3])
    scene.submit()
    scene.drain()

    found = people(scene, tally="default:content:name")

    assert sorted(each.qaid for each in found) == scene.qaids[1:3]
    assert not people(scene, tally="default:content:other")


def test_who_was_taken_out_with_a_whole_chunk_is_found(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    scene.submit()
    control.cancel_plans([scene.plan.pk])
    scene.drain(seconds=3)

    found = people(scene, tally="cancelled:cancelled")

    made = plans.compiled(scene.plan).delivery_ids(scene.chunks()[0].day).many(scene.qaids)
    assert [each.delivery_id for each in found] == made
    assert {each.state for each in found} == {DeliveryState.CANCELLED}


def test_pages_follow_one_another_without_gaps_or_repeats(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=25)
    scene.submit(size=4)
    scene.drain()

    seen: list[int] = []
    place = None
    while True:
        page = standing.page(Wanted([scene.plan.pk]), after=place, limit=3)
        seen += [each.qaid for each in page.people]
        place = page.following
        if place is None:
            break

    assert sorted(seen) == scene.qaids


def test_a_row_belongs_to_the_person_it_stands_beside(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=4)
    scene.submit()
    scene.drain()

    rows = {row.qaid: row.pk for row in Delivery.objects.filter(plan=scene.plan)}
    assert {each.qaid: each.delivery_id for each in people(scene)} == rows
    assert all(each.delivery and each.delivery.qaid == each.qaid for each in people(scene))


def test_one_person_and_a_span_of_time_narrow_it(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=4)
    scene.submit()
    scene.drain()
    now = timezone.now()

    assert [each.qaid for each in people(scene, qaids=[scene.qaids[2]])] == [scene.qaids[2]]
    assert len(people(scene, since=now - timedelta(minutes=5), until=now)) == 4
    assert not people(scene, since=now)
    assert not people(scene, until=now - timedelta(minutes=5))


def test_a_rare_state_is_looked_for_only_in_chunks_that_count_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(receiver.url("/in"), people=60)
    forget_ids(scene.qaids[:1])
    scene.submit(size=1)
    scene.drain()
    monkeypatch.setattr(standing, "CHUNKS_AT_MOST", 20)

    page = standing.page(Wanted([scene.plan.pk], state=DeliveryState.SKIPPED))

    assert [each.qaid for each in page.people] == scene.qaids[:1]
    assert page.following is None


def test_a_long_look_ends_with_the_place_to_go_on_from(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(receiver.url("/in"), people=45)
    scene.submit(size=1)
    monkeypatch.setattr(standing, "CHUNKS_AT_MOST", 20)
    wanted = Wanted([scene.plan.pk], until=timezone.now() - timedelta(days=1))

    first = standing.page(wanted)
    assert (first.people, first.following is not None) == ([], True)
    second = standing.page(wanted, after=first.following)
    assert standing.page(wanted, after=second.following).following is None


def test_a_slow_look_ends_with_its_chunk_and_leaves_nobody_out(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_scene(receiver.url("/in"), people=9)
    scene.submit(size=2)
    monkeypatch.setattr(standing, "SECONDS_AT_MOST", 0)

    first = standing.page(Wanted([scene.plan.pk]))
    assert 0 < len(first.people) < 9
    assert first.following is not None
    assert sorted(each.qaid for each in people(scene)) == scene.qaids


def test_the_sum_of_all_states_is_everybody(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=9)
    scene.submit(size=4)

    assert len(people(scene)) == progress.counts([scene.plan.pk])[scene.plan.pk].planned == 9
