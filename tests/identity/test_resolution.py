"""Which value a person is addressed by, read for a whole chunk at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from identity import resolution
from identity.choices import Pick
from identity.models import DataSource, IdType, Profile
from tests.identity.factories import (
    NOW,
    make_audience,
    make_data_source,
    make_event,
    make_event_type,
    make_id_type,
    make_identifier,
    make_plain_workspace,
    make_profile,
)
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def workspace() -> Workspace:
    return make_plain_workspace()


@pytest.fixture
def mobile(workspace: Workspace) -> IdType:
    return make_id_type(workspace, "MOBILE")


@pytest.fixture
def crm(workspace: Workspace) -> DataSource:
    return make_data_source(workspace, "crm", priority=1)


@pytest.fixture
def shop(workspace: Workspace) -> DataSource:
    return make_data_source(workspace, "shop", priority=2)


@pytest.fixture
def person(workspace: Workspace) -> Profile:
    return make_profile(workspace)


def resolve(*profiles: Profile, id_type: IdType) -> dict[int, str]:
    with connection.cursor() as cursor:
        return resolution.resolve(cursor, [profile.qaid for profile in profiles], id_type.pk)


def test_the_value_seen_last_is_used(
    person: Profile, mobile: IdType, crm: DataSource, shop: DataSource
) -> None:
    make_identifier(person, mobile, "13800000001", source=crm, last_seen=NOW - HOUR)
    make_identifier(person, mobile, "13800000002", source=shop, last_seen=NOW)

    assert resolve(person, id_type=mobile) == {person.qaid: "13800000002"}


def test_of_two_seen_at_once_the_better_source_wins(
    person: Profile, mobile: IdType, crm: DataSource, shop: DataSource
) -> None:
    make_identifier(person, mobile, "13800000001", source=shop)
    make_identifier(person, mobile, "13800000002", source=crm)

    assert resolve(person, id_type=mobile) == {person.qaid: "13800000002"}


def test_of_two_in_one_source_the_smaller_value_wins(
    person: Profile, mobile: IdType, crm: DataSource
) -> None:
    make_identifier(person, mobile, "13800000002", source=crm)
    make_identifier(person, mobile, "13800000001", source=crm)

    assert resolve(person, id_type=mobile) == {person.qaid: "13800000001"}


def test_an_id_type_can_prefer_the_value_seen_first(
    workspace: Workspace, person: Profile, crm: DataSource, shop: DataSource
) -> None:
    member = make_id_type(workspace, "ONEID", pick=Pick.EARLIEST)
    make_identifier(person, member, "new", source=crm, first_seen=NOW - HOUR)
    make_identifier(person, member, "old", source=shop, first_seen=NOW - 2 * HOUR)

    assert resolve(person, id_type=member) == {person.qaid: "old"}


def test_a_person_without_a_value_is_left_out(
    person: Profile, workspace: Workspace, mobile: IdType, crm: DataSource
) -> None:
    other = make_profile(workspace)
    make_identifier(other, mobile, "13800000001", source=crm)

    assert resolve(person, other, id_type=mobile) == {other.qaid: "13800000001"}


def test_a_disabled_id_type_has_no_values(person: Profile, mobile: IdType, crm: DataSource) -> None:
    make_identifier(person, mobile, "13800000001", source=crm)
    IdType.objects.filter(pk=mobile.pk).update(enabled=False)

    assert resolve(person, id_type=mobile) == {}


def test_a_merged_profile_answers_for_its_survivor(
    workspace: Workspace, person: Profile, mobile: IdType, crm: DataSource
) -> None:
    merged = make_profile(workspace, merged_into=person)
    make_identifier(person, mobile, "13800000001", source=crm)

    assert resolve(merged, person, id_type=mobile) == {
        merged.qaid: "13800000001",
        person.qaid: "13800000001",
    }


def test_people_come_in_the_order_asked_and_with_typed_tags(
    workspace: Workspace, mobile: IdType, crm: DataSource
) -> None:
    email = make_id_type(workspace, "EMAIL")
    first = make_profile(workspace, tags={"name": "张三", "orders": 0, "vip": False})
    second = make_profile(workspace, tags={"name": "", "cities": ["Bath", "York"]})
    make_identifier(first, mobile, "13800000001", source=crm)
    make_identifier(second, email, "b@example.com", source=crm)

    with connection.cursor() as cursor:
        people = resolution.read_people(
            cursor,
            qaids=[second.qaid, first.qaid, second.qaid],
            id_type_ids=[mobile.pk, email.pk],
            tag_codes=["name", "orders", "vip", "cities"],
        )

    two = (second.qaid, second.qaid, (None, "b@example.com"), ("", None, None, ["Bath", "York"]))
    one = (first.qaid, first.qaid, ("13800000001", None), ("张三", 0, False, None))
    assert [tuple(person[:4]) for person in people] == [two, one, two]
    assert not any(person.erased for person in people)


def test_an_erased_person_and_an_unknown_one_are_marked(workspace: Workspace) -> None:
    erased = make_profile(workspace, erased_at=NOW)

    with connection.cursor() as cursor:
        people = resolution.read_people(
            cursor, qaids=[erased.qaid, 2**40], id_type_ids=[], tag_codes=[]
        )

    assert people == [
        resolution.Person(erased.qaid, erased.qaid, (), (), True),
        resolution.Person(2**40, 2**40, (), (), True),
    ]


def test_a_chunk_is_read_in_one_statement(
    workspace: Workspace, mobile: IdType, django_assert_num_queries: Any
) -> None:
    email = make_id_type(workspace, "EMAIL")
    qaids = [make_profile(workspace).qaid for _ in range(20)]

    with django_assert_num_queries(1), connection.cursor() as cursor:
        resolution.read_people(
            cursor, qaids=qaids, id_type_ids=[mobile.pk, email.pk], tag_codes=["a", "b"]
        )


def test_coverage_counts_people_and_not_values(
    workspace: Workspace, mobile: IdType, crm: DataSource, shop: DataSource
) -> None:
    email = make_id_type(workspace, "EMAIL")
    people = [make_profile(workspace) for _ in range(3)]
    for source in (crm, shop):
        make_identifier(people[0], mobile, "13800000001", source=source)
    make_identifier(people[0], mobile, "13800000002", source=crm)
    make_identifier(people[1], mobile, "13800000003", source=crm)
    outsider = make_profile(workspace)
    make_identifier(outsider, email, "o@example.com", source=crm)
    audience = make_audience(workspace, people=people)

    counts = resolution.coverage(workspace=workspace, id_types=[mobile, email], audience=audience)

    assert counts == {mobile.pk: 2, email.pk: 0}


def test_coverage_of_an_event_type_is_of_its_last_30_days(
    workspace: Workspace, mobile: IdType, crm: DataSource
) -> None:
    event_type = make_event_type(workspace)
    recent, old, former = (make_profile(workspace) for _ in range(3))
    merged = make_profile(workspace, merged_into=former)
    for number, profile in enumerate((recent, old, former)):
        make_identifier(profile, mobile, f"1380000000{number}", source=crm)
    make_event(recent, event_type, occurred_at=NOW - timedelta(days=29))
    make_event(recent, event_type, occurred_at=NOW - timedelta(days=28))
    make_event(old, event_type, occurred_at=NOW - timedelta(days=31))
    make_event(merged, event_type, occurred_at=NOW)
    make_event(former, event_type, occurred_at=NOW)

    counts = resolution.coverage(
        workspace=workspace, id_types=[mobile], event_type=event_type, now=NOW
    )

    assert counts == {mobile.pk: 2}
