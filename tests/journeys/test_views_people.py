"""The people pages: finding one, and all that is known of them."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identity import audience_rules, people
from identity.choices import TagType
from identity.models import Profile
from tests.factories import make_administrator, make_member
from tests.identity.factories import (
    make_audience,
    make_event,
    make_identifier,
    make_profile,
    make_tag,
)
from tests.journeys.factories import Scene, make_purchase, make_scene
from tests.reading import heading, told
from workspaces import audit
from workspaces.points import POINT_LABELS, Point

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    cache.clear()
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


def url(scene: Scene, name: str = "people", *args: object) -> str:
    return reverse(f"journeys:{name}", args=[scene.workspace.slug, *args])


def page(scene: Scene, person: Profile) -> str:
    return url(scene, "person_page", person.qaid)


# --- Finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["13800000001", "san@example.com", " +86 138 0000 0001 "])
def test_any_whole_id_leads_to_its_persons_page(
    administrator: Client, scene: Scene, typed: str
) -> None:
    answer = administrator.post(url(scene), {"id": typed})

    assert answer.status_code == 302
    assert answer.headers["Location"] == page(scene, scene.people[0])


def test_a_part_of_an_id_finds_nobody_and_stays_in_the_field(
    administrator: Client, scene: Scene
) -> None:
    shown = administrator.post(url(scene), {"id": "1380000000"}).content.decode()

    assert "Nobody has this ID" in shown
    assert 'value="1380000000"' in shown


def test_nothing_typed_is_an_error_at_the_field(administrator: Client, scene: Scene) -> None:
    answer = administrator.post(url(scene), {"id": " "})

    assert answer.status_code == 422
    assert "Enter the whole ID of one person." in answer.content.decode()


def test_of_several_people_with_one_id_each_is_offered_masked(scene: Scene) -> None:
    scene.email.in_mapping = False
    scene.email.save()
    make_identifier(scene.people[1], scene.email, "san@example.com", source=scene.source)

    shown = holding(scene, Point.MANAGE_DATA).post(url(scene), {"id": "san@example.com"})

    text = shown.content.decode()
    assert page(scene, scene.people[0]) in text
    assert page(scene, scene.people[1]) in text
    assert "138****0002" in text
    assert "13800000002" not in text


def test_a_person_of_another_workspace_is_not_there(administrator: Client, scene: Scene) -> None:
    other = make_scene()
    theirs = other.person(mobile="13900000077")

    found = administrator.post(url(scene), {"id": "13900000077"}).content.decode()

    assert "Nobody has this ID" in found
    assert administrator.get(page(scene, theirs)).status_code == 404
    assert administrator.get(url(scene, "person_audiences", theirs.qaid)).status_code == 404


# --- How people are known -------------------------------------------------------------------------


def test_the_census_counts_people_and_not_values(administrator: Client, scene: Scene) -> None:
    make_identifier(scene.people[0], scene.mobile, "13800000099", source=scene.source)
    other = make_scene()
    other.person(mobile="13900000077")

    answer = administrator.get(url(scene, "people_census"))

    assert answer.context["counted"].people == 3
    by_code = {
        row["id_type"].code: (row["count"], row["percent"]) for row in answer.context["rows"]
    }
    assert by_code["MOBILE"] == (2, 66)
    assert by_code["EMAIL"] == (2, 66)


def test_the_census_is_counted_once_in_ten_minutes(administrator: Client, scene: Scene) -> None:
    first = administrator.get(url(scene, "people_census")).context["counted"]
    scene.person(mobile="13800000088")

    assert administrator.get(url(scene, "people_census")).context["counted"] == first


def test_a_census_that_takes_too_long_says_so(
    administrator: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity.census._COUNTS", "SELECT %s, %s::int[], pg_sleep(30)")
    monkeypatch.setattr("identity.census.PATIENCE", timedelta(milliseconds=50))

    shown = administrator.get(url(scene, "people_census")).content.decode()

    assert "given up" in shown


def test_a_workspace_without_people_says_where_they_come_from(
    administrator: Client, scene: Scene
) -> None:
    scene.workspace.audiences.all().delete()
    Profile.objects.filter(workspace=scene.workspace).update(erased_at=timezone.now())

    assert "Nobody is known yet" in administrator.get(url(scene, "people_census")).content.decode()


def test_each_data_source_says_when_a_file_was_imported(
    administrator: Client, scene: Scene
) -> None:
    audit.record(
        actor=None,
        workspace=scene.workspace,
        action="identifiers.imported",
        obj=scene.source,
        changes={},
    )

    (crm,) = administrator.get(url(scene)).context["sources"]

    assert crm.source == scene.source
    assert crm.last_import is not None


# --- One person -----------------------------------------------------------------------------------


def test_a_page_tells_all_that_is_known(administrator: Client, scene: Scene) -> None:
    person = scene.people[0]
    make_event(person, make_purchase(scene), attributes={"shop": "Lakeside"})
    for code, kind, value in (
        ("first", TagType.DATE, "2025-05-28"),
        ("spent", TagType.NUMBER, 12345.5),
        ("member", TagType.BOOLEAN, True),
    ):
        make_tag(scene.workspace, code, kind)
        person.tags[code] = value
    person.save()

    shown = administrator.get(page(scene, person)).content.decode()

    for known in ("13800000001", "san@example.com", "Nickname", "Zhang San", "Lakeside", "crm"):
        assert known in shown, known
    # As it stands on screens: no ISO dates, no words of code, thousands apart.
    for said in ("28 May 2025", "12,345.5", "yes"):
        assert said in shown, said
    assert "2025-05-28" not in shown
    assert "Nothing was sent to this person." in shown
    assert reverse("admin:identity_profile_change", args=[person.qaid]) in shown


def test_without_the_right_ids_are_masked_and_sensitive_tags_and_attributes_hidden(
    scene: Scene,
) -> None:
    make_tag(scene.workspace, "salary", name="Salary", sensitive=True)
    person = scene.person("13800000055", nickname="Open", salary="9000")
    make_event(person, make_purchase(scene), attributes={"shop": "Lakeside"})

    shown = holding(scene, Point.MANAGE_DATA).get(page(scene, person)).content.decode()

    assert "138****0055" in shown
    assert "13800000055" not in shown
    assert "Open" in shown
    for hidden in ("Salary", "9000", "Lakeside"):
        assert hidden not in shown, hidden
    assert "1 sensitive tag is hidden." in shown


def test_a_merged_person_leads_to_the_survivor_who_names_them(
    administrator: Client, scene: Scene
) -> None:
    older, younger = scene.people[0], scene.people[1]
    younger.identifiers.all().delete()
    Profile.objects.filter(pk=younger.pk).update(merged_into=older, tags={}, tag_times={})

    answer = administrator.get(page(scene, younger))

    assert answer.headers["Location"] == page(scene, older)
    shown = administrator.get(page(scene, older)).content.decode()
    assert f"<dt>Merged from</dt><dd>{younger.qaid}</dd>" in shown


def test_a_person_is_called_by_an_id_and_the_qaid_is_a_detail(
    administrator: Client, scene: Scene
) -> None:
    person = make_profile(scene.workspace, qaid=7_654_321)
    make_identifier(person, scene.email, "li@example.com", source=scene.source)
    nameless = make_profile(scene.workspace, qaid=7_654_322)
    audience = make_audience(scene.workspace, people=[person, nameless])
    manager = holding(scene, Point.MANAGE_DATA)

    seen = administrator.get(page(scene, person)).content.decode()
    masked = manager.get(page(scene, person)).content.decode()
    unknown = administrator.get(page(scene, nameless)).content.decode()
    sample = administrator.get(url(scene, "audience_people", audience.pk), {"sample": ""})

    assert heading(seen) == "li@example.com"
    assert heading(masked) == "l****@example.com"
    assert heading(unknown) == "Person without an ID"
    assert "<dd>7654321</dd>" in seen
    listed = sample.content.decode()
    assert page(scene, person) in listed
    assert "Person without an ID" in listed
    for shown in (seen, masked, unknown, listed):
        assert "76543" not in told(shown)


def test_an_erased_person_says_that_nothing_is_left(administrator: Client, scene: Scene) -> None:
    people.erase(scene.people[0], now=timezone.now())

    shown = administrator.get(page(scene, scene.people[0])).content.decode()

    assert "This person was erased on" in shown
    assert "13800000001" not in shown


def test_audiences_are_lists_and_rules_that_hold(administrator: Client, scene: Scene) -> None:
    rule = {"tag": "nickname", "operator": "equals", "value": "Zhang San"}
    rules = {"match": "all", "conditions": [rule]}
    audience_rules.validate(scene.workspace, rules)
    make_audience(scene.workspace, name="Called San", rules=rules)
    make_audience(scene.workspace, name="Nobody's")

    first = administrator.get(url(scene, "person_audiences", scene.people[0].qaid))
    second = administrator.get(url(scene, "person_audiences", scene.people[1].qaid))

    assert [each.name for each in first.context["inside"]] == ["Called San", "Members"]
    assert [each.name for each in second.context["inside"]] == ["Members"]


def test_a_rule_that_takes_too_long_is_named_and_the_others_are_told(
    administrator: Client, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"tag": "nickname", "operator": "equals", "value": "Zhang San"}
    make_audience(scene.workspace, name="Slow", rules={"match": "all", "conditions": [rule]})

    def too_long(*_args: Any, **_more: Any) -> bool:
        raise OperationalError

    monkeypatch.setattr("identity.audience_rules.contains", too_long)

    answer = administrator.get(url(scene, "person_audiences", scene.people[0].qaid))

    assert [each.name for each in answer.context["unknown"]] == ["Slow"]
    assert [each.name for each in answer.context["inside"]] == ["Members"]


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "status"),
    [
        (Point.MANAGE_DATA, 200),
        (Point.VIEW_PROFILES, 200),
        (Point.VIEW_DELIVERIES, 403),
        (Point.AUTOMATED_MARKETING, 403),
    ],
)
def test_one_of_two_points_opens_the_pages(scene: Scene, point: Point, status: int) -> None:
    client = holding(scene, point)
    qaid = scene.people[0].qaid

    for address in (
        url(scene),
        url(scene, "people_census"),
        url(scene, "person_page", qaid),
        url(scene, "person_audiences", qaid),
    ):
        answer = client.get(address)
        assert answer.status_code == status, address
        if status == 403:
            assert str(POINT_LABELS[Point.VIEW_PROFILES]) in answer.content.decode()


def test_deliveries_stand_there_for_who_may_see_them_alone(scene: Scene) -> None:
    person = scene.people[0]

    without = holding(scene, Point.VIEW_PROFILES).get(page(scene, person)).content.decode()
    having = holding(scene, Point.VIEW_PROFILES, Point.VIEW_DELIVERIES)

    assert "Latest deliveries" not in without
    assert "Latest deliveries" in having.get(page(scene, person)).content.decode()


def test_the_navigation_leads_here_for_who_may(scene: Scene) -> None:
    sees = holding(scene, Point.VIEW_PROFILES)
    looks = holding(scene, Point.VIEW_DELIVERIES)
    events = reverse("journeys:events", args=[scene.workspace.slug])

    shown = sees.get(url(scene)).content.decode()
    assert f'href="{url(scene)}"' in shown
    assert f'href="{events}"' not in shown
    shown = looks.get(events).content.decode()
    assert f'href="{events}"' in shown
    assert f'href="{url(scene)}"' not in shown
