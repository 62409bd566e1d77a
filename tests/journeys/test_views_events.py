"""The events page: what came in, and what it started."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from identity import ingestion
from identity.models import IncomingEvent, Profile
from journeys import enrolling
from journeys.components.event import Condition, Reentry
from journeys.models import Journey, Run
from tests.factories import make_administrator, make_member
from tests.identity.factories import make_event, make_event_type
from tests.journeys.factories import Scene, make_purchase, make_scene
from tests.journeys.test_whole_way import publish
from workspaces.points import Point

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def administrator(scene: Scene) -> Client:
    return client_of(make_administrator(scene.workspace))


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def holding(scene: Scene, *points: Point) -> Client:
    return client_of(make_member(scene.workspace, points=points))


def url(scene: Scene, name: str = "events") -> str:
    return reverse(f"journeys:{name}", args=[scene.workspace.slug])


def rows(client: Client, scene: Scene, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(url(scene), query).context["rows"]
    return found


def listen(scene: Scene, name: str = "Thanks", **start: Any) -> Run:
    purchase = scene.workspace.event_types.filter(code="purchase").first() or make_purchase(scene)
    journey = scene.event_journey(purchase, **start)
    Journey.objects.filter(pk=journey.pk).update(name=name)
    return publish(scene, journey)


def take() -> None:
    enrolling.enroll(now=timezone.now())


# --- What it started ------------------------------------------------------------------------------


def test_an_event_names_the_journeys_it_let_its_person_into(
    administrator: Client, scene: Scene
) -> None:
    run = listen(scene)
    scene.report(scene.people[0], "e-1", amount=60, shop="Lakeside")
    take()

    (row,) = rows(administrator, scene)

    assert [(each.run, each.entered) for each in row["outcomes"]] == [(run, True)]
    shown = administrator.get(url(scene)).content.decode()
    why = reverse(
        "journeys:why",
        args=[scene.workspace.slug, run.journey_id, run.pk, scene.people[0].pk],
    )
    assert f'href="{why}"' in shown
    assert "13800000001" in shown
    assert f"?person={scene.people[0].pk}" in shown
    assert "Lakeside" in shown


def test_an_event_that_waits_says_so(administrator: Client, scene: Scene) -> None:
    listen(scene)
    scene.report(scene.people[0], "e-1", amount=60)

    assert "Waits to be taken" in administrator.get(url(scene)).content.decode()


def test_an_event_that_nobody_listens_for_says_so(administrator: Client, scene: Scene) -> None:
    make_purchase(scene)
    scene.report(scene.people[0], "e-1", amount=60)
    take()

    assert "no journey listened for it" in administrator.get(url(scene)).content.decode()


def test_a_condition_and_the_reentry_rule_are_named_where_they_kept_a_person_out(
    administrator: Client, scene: Scene
) -> None:
    picky = listen(scene, "Picky", conditions=(Condition("amount", "at_least", 50),))
    once = listen(scene, "Once", reentry=Reentry.ONCE)
    for number, amount in enumerate((10, 60)):
        scene.report(scene.people[0], f"e-{number}", amount=amount)
        take()

    second, first = rows(administrator, scene)

    assert [(each.run, each.why_not) for each in first["outcomes"]] == [
        (once, ""),
        (picky, "the event does not meet: amount is at least 50."),
    ]
    assert [(each.run, each.entered) for each in second["outcomes"]] == [
        (picky, True),
        (once, False),
    ]
    assert "re-entry rule" in second["outcomes"][1].why_not


def test_a_journey_that_listened_later_is_not_blamed(administrator: Client, scene: Scene) -> None:
    make_purchase(scene)
    scene.report(scene.people[0], "e-1", amount=60)
    take()
    IncomingEvent.objects.update(taken_at=timezone.now() - timedelta(minutes=1))
    listen(scene)
    scene.report(scene.people[1], "e-2", amount=60)
    take()

    later, earlier = rows(administrator, scene)

    assert not earlier["outcomes"]
    assert [each.entered for each in later["outcomes"]] == [True]


# --- The list -------------------------------------------------------------------------------------


def test_pages_follow_one_another_without_gap_or_repetition(
    administrator: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_purchase(scene)
    make_event_type(scene.workspace, "login")
    for number in range(5):
        scene.report(scene.people[0], f"e-{number}", amount=1)
    monkeypatch.setattr("identity.incoming.page.__kwdefaults__", {"after": None, "limit": 2})

    seen, after = [], ""
    while True:
        answer = administrator.get(url(scene), {"after": after})
        seen += [row["event"].event_id for row in answer.context["rows"]]
        after = answer.context["following"]
        if not after:
            break

    assert seen == [f"e-{number}" for number in reversed(range(5))]


def test_the_list_narrows_to_one_type(administrator: Client, scene: Scene) -> None:
    make_purchase(scene)
    make_event_type(scene.workspace, "login", name="Log-in")
    scene.report(scene.people[0], "e-1", amount=1)

    assert len(rows(administrator, scene, type="purchase")) == 1
    shown = administrator.get(url(scene), {"type": "login"}).content.decode()
    assert "No “Log-in” event yet" in shown


def test_an_id_is_posted_and_never_stands_in_an_address(
    administrator: Client, scene: Scene
) -> None:
    make_purchase(scene)
    scene.report(scene.people[0], "e-1", amount=1)
    scene.report(scene.people[1], "e-2", amount=1)

    answer = administrator.post(f"{url(scene)}?type=purchase", {"id": "13800000001"})

    assert answer.status_code == 302
    assert "13800000001" not in answer.headers["Location"]
    assert "type=purchase" in answer.headers["Location"]
    found = administrator.get(answer.headers["Location"]).context["rows"]
    assert [row["event"].event_id for row in found] == ["e-1"]
    nobody = administrator.post(url(scene), {"id": "13900000009"}, follow=True)
    assert "No event of this person" in nobody.content.decode()
    narrowed = administrator.get(url(scene), {"person": "0", "type": "purchase"})
    assert "No “Purchase” of this person" in narrowed.content.decode()


def test_the_events_of_a_merged_person_are_the_survivors(
    administrator: Client, scene: Scene
) -> None:
    make_purchase(scene)
    scene.report(scene.people[1], "e-1", amount=1)
    older, younger = scene.people[0], scene.people[1]
    younger.identifiers.all().delete()
    Profile.objects.filter(pk=younger.pk).update(merged_into=older, tags={}, tag_times={})

    (row,) = rows(administrator, scene, person=str(older.pk))

    assert row["person"].qaid == older.pk


@pytest.mark.parametrize(
    "query",
    [
        {"type": "gone\x00", "person": "x,,999999999999999999999", "after": "x"},
        {"after": "2026-01-01T00:00:00~1"},
        {"after": "2026-01-01T00:00:00+00:00~999999999999999999999"},
    ],
)
def test_an_address_that_makes_no_sense_is_a_page_all_the_same(
    administrator: Client, scene: Scene, query: dict[str, str]
) -> None:
    make_purchase(scene)

    assert administrator.get(url(scene), query).status_code == 200


def test_queries_do_not_grow_with_the_events(administrator: Client, scene: Scene) -> None:
    listen(scene)
    scene.report(scene.people[0], "e-0", amount=1)
    take()
    administrator.get(url(scene))
    with CaptureQueriesContext(
        connection,
    ) as few:
        administrator.get(url(scene))
    for number in range(1, 12):
        scene.report(scene.people[number % 2], f"e-{number}", amount=1)
    take()
    with CaptureQueriesContext(connection) as many:
        assert len(rows(administrator, scene)) == 12

    assert len(many) == len(few)


def test_another_tenants_events_and_journeys_are_not_here(
    administrator: Client, scene: Scene
) -> None:
    other = make_scene()
    listen(other, "Theirs")
    other.report(other.people[0], "e-1", amount=1)
    take()
    make_purchase(scene)

    assert not rows(administrator, scene)
    assert not rows(administrator, scene, person=str(other.people[0].pk))
    assert "Theirs" not in administrator.get(url(scene, "event_summary")).content.decode()


# --- What may be seen -----------------------------------------------------------------------------


def test_ids_and_attributes_are_hidden_without_the_right(scene: Scene) -> None:
    listen(scene)
    scene.report(scene.people[0], "e-1", amount=60, shop="Lakeside")
    take()

    shown = holding(scene, Point.VIEW_DELIVERIES).get(url(scene)).content.decode()

    assert "138****0001" in shown
    assert "13800000001" not in shown
    assert "Lakeside" not in shown
    assert "“User Insight-People in Clear”" in shown


def test_whoever_manages_data_alone_gets_no_links_to_deliveries(scene: Scene) -> None:
    listen(scene)
    scene.report(scene.people[0], "e-1", amount=60)
    take()

    shown = holding(scene, Point.MANAGE_DATA).get(url(scene)).content.decode()

    assert "Thanks" in shown
    assert "/deliveries/" not in shown
    assert f"/runs/{Run.objects.get().pk}/people/" not in shown


@pytest.mark.parametrize(
    ("point", "status"),
    [
        (Point.VIEW_DELIVERIES, 200),
        (Point.MANAGE_DATA, 200),
        (Point.AUTOMATED_MARKETING, 403),
        (Point.VIEW_PROFILES, 403),
    ],
)
def test_one_of_two_points_opens_the_page(scene: Scene, point: Point, status: int) -> None:
    client = holding(scene, point)

    assert client.get(url(scene)).status_code == status
    assert client.get(url(scene, "event_summary")).status_code == status


# --- The types, and the first use -----------------------------------------------------------------


def test_the_summary_counts_each_type_and_names_who_listens(
    administrator: Client, scene: Scene
) -> None:
    run = listen(scene)
    make_event_type(scene.workspace, "login", name="Log-in")
    for number in range(3):
        scene.report(scene.people[0], f"e-{number}", amount=1)
    IncomingEvent.objects.filter(event_id="e-0").update(
        received_at=timezone.now() - timedelta(days=2)
    )

    login, purchase = administrator.get(url(scene, "event_summary")).context["summary"]

    assert (purchase["counts"].day, purchase["counts"].week) == (2, 3)
    assert purchase["runs"] == [run]
    assert (login["counts"].day, login["runs"]) == (0, [])


def test_the_title_of_the_types_is_no_part_of_what_is_asked_for_later(
    administrator: Client, scene: Scene
) -> None:
    make_event_type(scene.workspace, "login", name="Log-in")

    page = administrator.get(url(scene)).content.decode()
    part = administrator.get(url(scene, "event_summary")).content.decode()

    assert page.count('<h2 id="types-title">') == 1
    assert "<h2" not in part


def test_without_events_the_command_is_one_that_the_api_takes(
    administrator: Client, scene: Scene
) -> None:
    make_purchase(scene)

    answer = administrator.get(url(scene))

    assert "No “Purchase” event yet" in answer.content.decode()
    command = answer.context["curl"]
    assert "http://testserver/api/v1/events/" in command
    body = json.loads(command.split("-d '")[1].removesuffix("'"))
    (result,) = ingestion.receive(
        workspace=scene.workspace, items=body["events"], now=timezone.now()
    )
    assert result.status == "accepted", result


def test_a_type_whose_events_are_older_says_when_the_last_was(
    administrator: Client, scene: Scene
) -> None:
    purchase = make_purchase(scene)
    make_event(scene.people[0], purchase, occurred_at=timezone.now() - timedelta(days=20))

    shown = administrator.get(url(scene)).content.decode()

    assert "No “Purchase” event in the last 7 days" in shown
    assert "The latest one happened on" in shown


def test_without_event_types_it_says_who_makes_them(administrator: Client, scene: Scene) -> None:
    assert reverse("admin:identity_eventtype_add") in administrator.get(url(scene)).content.decode()

    shown = holding(scene, Point.VIEW_DELIVERIES).get(url(scene)).content.decode()

    assert "Whoever manages the data of this workspace adds it" in shown
    assert reverse("admin:identity_eventtype_add") not in shown
