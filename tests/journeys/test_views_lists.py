"""The list of journeys, and what is done to one as a whole."""

from typing import Final

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from journeys import drafts, publishing, runner
from journeys.choices import JourneyState
from journeys.models import Journey
from tests.factories import make_member
from tests.journeys.factories import Scene, make_purchase, make_scene
from tests.journeys.test_checklist import make_test
from webhooks.models import Chunk, MemberGrant
from workspaces.points import Point

pytestmark = pytest.mark.django_db

HTMX: Final = {"HX-Request": "true"}
LIST_QUERIES: Final = 34  # Two are the savepoint of the part that may fail alone.


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def member(client: Client, scene: Scene) -> Client:
    client.force_login(scene.member)
    return client


def url(name: str, journey: Journey) -> str:
    return reverse(f"journeys:{name}", args=[journey.workspace.slug, journey.pk])


def of(scene: Scene, name: str = "list") -> str:
    return reverse(f"journeys:{name}", args=[scene.workspace.slug])


def make_named(scene: Scene, *names: str) -> list[Journey]:
    return [
        drafts.create(workspace=scene.workspace, user=scene.member, name=name, now=timezone.now())
        for name in names
    ]


def names_in(client: Client, address: str, **query: str) -> list[str]:
    return [row.journey.name for row in client.get(address, query).context["rows"]]


def test_before_the_first_journey_the_list_teaches(member: Client, scene: Scene) -> None:
    shown = member.get(of(scene)).content.decode()

    assert "No journeys yet" in shown
    assert "Send a test to yourself, then publish." in shown
    assert "Publish the first journey" in shown
    assert "To the journeys" not in shown  # It is the journeys' page.


def test_the_first_steps_stand_above_the_list_until_all_are_done(
    member: Client, scene: Scene
) -> None:
    journey = scene.journey()

    before = member.get(of(scene)).content.decode()
    publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )
    after = member.get(of(scene)).content.decode()

    assert "First steps" in before
    assert "4 of 7 done" in before
    # Then they are folded away, and gone with the last one.
    assert '<details class="fold">' not in before
    assert '<details class="fold">' in after
    assert "5 of 7 done" in after
    make_test(scene.webhook, status_code=200)
    assert "First steps" not in member.get(of(scene)).content.decode()


def test_a_row_says_what_a_marketer_asks_first(member: Client, scene: Scene) -> None:
    journey = scene.journey()
    publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )
    runner.sweep(now=timezone.now())
    Chunk.objects.update(queued=0, unsent=0, delivered=2, skipped=1)

    make_named(scene, "Nobody yet")

    (row, _draft) = member.get(of(scene), {"sort": "accepted"}).context["rows"]
    shown = member.get(of(scene)).content.decode()

    assert (row.people, row.webhooks, row.start) == (3, "CRM coupons", "Members · Now")
    # On two lines, so that nothing is left where one breaks.
    assert row.start_lines == ["Members", "Now"]
    assert "Members · Now</span>" not in shown
    assert "66.7%" in shown
    assert "In progress" in shown
    assert scene.member.name in shown


def test_the_list_is_searched_filtered_and_sorted(member: Client, scene: Scene) -> None:
    make_named(scene, "Spring coupons", "Autumn coupons", "Birthday")
    Journey.objects.filter(name="Birthday").update(state=JourneyState.FINISHED)

    assert names_in(member, of(scene), q="COUPON", sort="name") == [
        "Autumn coupons",
        "Spring coupons",
    ]
    assert names_in(member, of(scene), state="finished") == ["Birthday"]
    assert names_in(member, of(scene), sort="-name")[0] == "Spring coupons"
    segments = member.get(of(scene)).context["segments"]
    assert [(each["label"], each["count"]) for each in segments] == [
        ("All", 3),
        ("Draft", 2),
        ("Finished", 1),
    ]


def test_a_filter_that_finds_nothing_is_named_and_cleared(member: Client, scene: Scene) -> None:
    make_named(scene, "Spring coupons")

    shown = member.get(of(scene), {"q": "<b>"}).content.decode()
    of_state = member.get(of(scene), {"state": "paused"}).content.decode()
    of_both = member.get(of(scene), {"state": "paused", "q": "Spring"}).content.decode()

    assert "No journey has “&lt;b&gt;” in its name" in shown
    assert "Clear the filter" in shown
    assert "No journey has the state “Paused”" in of_state
    assert "No journey with the state “Paused” has “Spring” in its name" in of_both


@pytest.mark.parametrize(
    "query",
    [{"sort": "secret"}, {"page": "x"}, {"page": "99"}, {"state": "gone"}, {"q": "x" * 500}],
)
def test_odd_addresses_still_give_the_list(
    member: Client, scene: Scene, query: dict[str, str]
) -> None:
    make_named(scene, "Spring coupons")

    assert member.get(of(scene), query).status_code == 200


def test_fifty_stand_on_a_page(member: Client, scene: Scene) -> None:
    make_named(scene, *[f"Journey {number}" for number in range(51)])

    assert len(names_in(member, of(scene))) == 50
    assert len(names_in(member, of(scene), page="2")) == 1


def test_fifty_journeys_cost_as_many_queries_as_one(
    member: Client, scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    event = make_purchase(scene)
    for _number in range(5):
        for journey in (scene.journey(), scene.event_journey(event)):
            publishing.publish(
                journey=journey,
                revision=journey.draft_revision,
                user=scene.member,
                now=timezone.now(),
            )
    runner.sweep(now=timezone.now())

    with django_assert_max_num_queries(LIST_QUERIES):
        member.get(of(scene))


def test_the_list_is_the_workspaces_own(client: Client, scene: Scene) -> None:
    other = make_scene()
    make_named(scene, "Ours")
    make_named(other, "Theirs")
    client.force_login(other.member)

    assert names_in(client, of(other)) == ["Theirs"]
    assert client.get(of(scene)).status_code == 404


def test_a_new_journey_leads_to_its_editor(member: Client, scene: Scene) -> None:
    answer = member.post(of(scene, "create"), {"name": "Spring", "start": "event"}, headers=HTMX)

    journey = Journey.objects.get()
    assert answer.headers["HX-Redirect"] == url("editor", journey)
    assert journey.draft["start"]["component"] == "event"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": " ", "start": "event"}, "Enter a name."),
        ({"name": "x" * 201, "start": "event"}, "A name has 200 characters at most."),
        ({"name": "Spring", "start": "webhook"}, "Choose how people enter."),
        ({"name": "Spring"}, "Choose how people enter."),
    ],
)
def test_what_is_wrong_with_a_new_journey_is_said(
    member: Client, scene: Scene, given: dict[str, str], sentence: str
) -> None:
    answer = member.post(of(scene, "create"), given)

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not Journey.objects.exists()


def test_a_journey_is_renamed(member: Client, scene: Scene) -> None:
    (journey,) = make_named(scene, "Spring")

    given = {"name": "Autumn", "revision": str(journey.draft_revision)}
    answer = member.post(url("rename", journey), given, headers=HTMX)

    assert answer.headers["HX-Refresh"] == "true"
    journey.refresh_from_db()
    assert journey.name == "Autumn"


def test_renaming_what_somebody_else_renamed_asks_again(member: Client, scene: Scene) -> None:
    (journey,) = make_named(scene, "Spring")
    given = {"name": "Autumn", "revision": "0"}
    member.post(url("rename", journey), {**given, "name": "Winter"})

    answer = member.post(url("rename", journey), given)

    assert answer.status_code == 409
    assert "Press Rename to do it anyway." in answer.content.decode()
    assert 'value="Autumn"' in answer.content.decode()
    assert 'name="revision" value="1"' in answer.content.decode()


def test_a_copy_is_a_draft_of_its_own(member: Client, scene: Scene) -> None:
    journey = scene.journey()

    answer = member.post(url("duplicate", journey), headers=HTMX)

    copy = Journey.objects.exclude(pk=journey.pk).get()
    assert answer.headers["HX-Redirect"] == url("editor", copy)
    assert copy.name == "Welcome (copy)"


def test_who_may_not_use_its_webhook_may_not_copy_a_journey(member: Client, scene: Scene) -> None:
    journey = scene.journey()
    MemberGrant.objects.filter(user=scene.member).delete()

    answer = member.post(url("duplicate", journey), headers=HTMX)

    assert answer.status_code == 403
    assert "usage permission" in answer.headers["HX-Trigger"]
    assert Journey.objects.count() == 1


def test_a_journey_is_archived_and_brought_back(member: Client, scene: Scene) -> None:
    (journey,) = make_named(scene, "Spring")

    member.post(url("archive", journey))
    assert names_in(member, of(scene)) == []
    assert names_in(member, of(scene), state="archived") == ["Spring"]

    member.post(url("archive", journey), {"restore": "1"})
    assert names_in(member, of(scene)) == ["Spring"]


def test_a_journey_under_way_is_not_archived(member: Client, scene: Scene) -> None:
    (journey,) = make_named(scene, "Spring")
    Journey.objects.update(state=JourneyState.PAUSED)

    answer = member.post(url("archive", journey), headers=HTMX)

    assert answer.status_code == 422
    assert "Stop it, or wait" in answer.content.decode()


ACTIONS: Final = ("rename", "duplicate", "archive", "publish", "pause", "resume", "stop")
AT_REST: Final = ["rename", "duplicate", "archive", "publish"]


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (JourneyState.DRAFT, AT_REST),
        (JourneyState.SCHEDULED, ["rename", "duplicate", "pause", "stop"]),
        (JourneyState.RUNNING, ["rename", "duplicate", "pause", "stop"]),
        (JourneyState.PAUSED, ["rename", "duplicate", "resume", "stop"]),
        (JourneyState.STOPPED, AT_REST),
        (JourneyState.FINISHED, AT_REST),
        (JourneyState.FAILED, AT_REST),
    ],
)
def test_a_row_offers_what_may_be_done_in_its_state(
    member: Client, scene: Scene, state: str, offered: list[str]
) -> None:
    (journey,) = make_named(scene, "Spring")
    Journey.objects.update(state=state)

    shown = member.get(of(scene)).content.decode()

    addresses = {name: f'"{url(name, journey)}"' for name in ACTIONS}
    assert [name for name in ACTIONS if addresses[name] in shown] == offered


def test_who_may_not_publish_is_offered_neither_that_nor_a_pause(
    client: Client, scene: Scene
) -> None:
    publishing.publish(
        journey=(running := scene.journey()),
        revision=running.draft_revision,
        user=scene.member,
        now=timezone.now(),
    )
    (draft,) = make_named(scene, "Spring")
    client.force_login(make_member(scene.workspace, points=[Point.AUTOMATED_MARKETING]))

    shown = client.get(of(scene)).content.decode()

    assert url("rename", running) in shown
    for address in (url("publish", draft), url("pause", running), url("stop", running)):
        assert address not in shown


def test_a_pause_from_the_list_shows_the_list_anew(member: Client, scene: Scene) -> None:
    journey = scene.journey()
    publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )
    from_list = {**HTMX, "HX-Current-URL": f"http://testserver{of(scene)}?state=running"}

    paused = member.post(url("pause", journey), headers=from_list)
    shown = member.get(of(scene)).content.decode()

    assert paused.headers["HX-Refresh"] == "true"
    assert "Paused. Nobody is sent to." in shown
    assert names_in(member, of(scene), state="paused") == [journey.name]


def test_a_row_says_why_its_journey_ended_abnormally(member: Client, scene: Scene) -> None:
    make_named(scene, "Spring")
    Journey.objects.update(state=JourneyState.FAILED, state_reason="audience_gone")

    shown = member.get(of(scene)).content.decode()

    assert "Ended abnormally" in shown
    assert "Its audience no longer exists." in shown


@pytest.mark.parametrize("name", ["rename", "duplicate", "archive"])
def test_who_only_looks_changes_nothing(client: Client, scene: Scene, name: str) -> None:
    (journey,) = make_named(scene, "Spring")
    client.force_login(make_member(scene.workspace, points=[Point.VIEW_DELIVERIES]))

    assert client.get(of(scene)).status_code == 200
    assert "New journey" not in client.get(of(scene)).content.decode()
    assert client.post(url(name, journey), {"name": "x"}).status_code == 403
    assert client.post(of(scene, "create"), {"name": "x", "start": "event"}).status_code == 403
