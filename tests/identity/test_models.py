"""What the database itself refuses, and which months it keeps events in."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from identity import partitions, presets
from identity.models import Audience, Event, IdType, MappingKey, Profile
from tests.identity.factories import (
    make_audience,
    make_event,
    make_event_type,
    make_id_type,
    make_plain_workspace,
    make_profile,
    make_tag,
)
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    return make_plain_workspace()


def test_a_workspace_has_at_most_fifty_id_types(workspace: Workspace) -> None:
    for number in range(50):
        make_id_type(workspace, f"T{number}")

    with pytest.raises(IntegrityError, match="at most 50 ID types"), transaction.atomic():
        make_id_type(workspace, "ONE_MORE")
    make_id_type(make_plain_workspace(), "ELSEWHERE")


def test_at_most_five_of_them_take_part_in_mapping(workspace: Workspace) -> None:
    types = [make_id_type(workspace, f"T{number}", in_mapping=number < 5) for number in range(6)]

    with pytest.raises(IntegrityError, match="At most 5 ID types"), transaction.atomic():
        IdType.objects.filter(pk=types[5].pk).update(in_mapping=True)
    IdType.objects.filter(pk=types[0].pk).update(in_mapping=False)
    IdType.objects.filter(pk=types[5].pk).update(in_mapping=True)


def test_a_disabled_type_cannot_be_in_mapping(workspace: Workspace) -> None:
    with pytest.raises(IntegrityError, match="in_mapping_is_enabled"), transaction.atomic():
        make_id_type(workspace, "ONEID", enabled=False, in_mapping=True)


def test_two_types_can_swap_their_priorities(workspace: Workspace) -> None:
    first, second = make_id_type(workspace, "A"), make_id_type(workspace, "B")

    with transaction.atomic():
        IdType.objects.filter(pk=first.pk).update(priority=2)
        IdType.objects.filter(pk=second.pk).update(priority=1)

    assert list(workspace.id_types.values_list("code", flat=True)) == ["B", "A"]


@pytest.mark.parametrize("make", [make_id_type, make_tag, make_event_type])
def test_a_code_never_changes(workspace: Workspace, make: Any) -> None:
    obj: Model = make(workspace, "CODE" if make is make_id_type else "code")

    with pytest.raises(IntegrityError, match="can never change"), transaction.atomic():
        type(obj)._default_manager.filter(pk=obj.pk).update(code="other")


def test_a_mapping_value_has_one_owner(workspace: Workspace) -> None:
    id_type = make_id_type(workspace, "ONEID", in_mapping=True)
    MappingKey.objects.create(id_type=id_type, value="A1", profile=make_profile(workspace))

    with pytest.raises(IntegrityError), transaction.atomic():
        MappingKey.objects.create(id_type=id_type, value="A1", profile=make_profile(workspace))


def test_a_profile_is_merged_into_an_older_one_only(workspace: Workspace) -> None:
    older, younger = make_profile(workspace), make_profile(workspace)

    with pytest.raises(IntegrityError, match="merged_into_an_older"), transaction.atomic():
        Profile.objects.filter(pk=older.pk).update(merged_into=younger)


def test_only_an_audience_of_rules_has_rules(workspace: Workspace) -> None:
    audience = make_audience(workspace)

    with pytest.raises(IntegrityError, match="rules_only_of_rules"), transaction.atomic():
        Audience.objects.filter(pk=audience.pk).update(rules={})


def test_presets_are_installed_once_in_the_workspaces_language() -> None:
    workspace = make_plain_workspace()
    for _time in range(2):
        presets.install(workspace)

    types = list(workspace.id_types.all())
    assert [each.code for each in types[:4]] == ["ONEID", "MAISCRM_ID", "MOBILE", "TAOBAO_ID"]
    assert len(types) == 17
    assert [each.code for each in types if each.in_mapping] == [
        "ONEID",
        "MOBILE",
        "UNION_ID",
        "EMAIL",
    ]


# --- months -----------------------------------------------------------------------------------


def partition_of(event: Event) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM identity_event WHERE event_id = %s",
            [event.event_id],
        )
        (name,) = cursor.fetchone()
    return str(name)


def test_months_are_made_ahead_and_only_once(workspace: Workspace) -> None:
    now = datetime(2031, 12, 5, tzinfo=UTC)

    assert partitions.ensure_ahead(now=now) == 3
    assert partitions.ensure_ahead(now=now) == 0
    event = make_event(
        make_profile(workspace),
        make_event_type(workspace),
        occurred_at=datetime(2032, 2, 29, 23, 59, tzinfo=UTC),
    )
    assert partition_of(event) == "identity_event_2032_02"


def test_events_that_came_before_their_month_move_into_it(workspace: Workspace) -> None:
    event = make_event(
        make_profile(workspace),
        make_event_type(workspace),
        occurred_at=datetime(2033, 3, 1, tzinfo=UTC),
    )
    assert partition_of(event) == "identity_event_default"

    partitions.ensure_ahead(now=datetime(2033, 3, 5, tzinfo=UTC))

    assert partition_of(event) == "identity_event_2033_03"


def test_far_months_stay_in_the_default_partition() -> None:
    now = datetime(2031, 6, 1, tzinfo=UTC)
    in_reach, too_old, too_far = (2031 - 10) * 12 + 5, (2031 - 11) * 12, 2099 * 12

    assert partitions.ensure_months([in_reach, too_old, too_far], now=now) == 1


def test_old_months_leave_whole(workspace: Workspace) -> None:
    profile, event_type = make_profile(workspace), make_event_type(workspace)
    old = datetime(2031, 6, 10, tzinfo=UTC)
    partitions.ensure_ahead(now=old)
    make_event(profile, event_type, occurred_at=old)
    kept = make_event(profile, event_type, occurred_at=old + timedelta(days=31))

    dropped = partitions.drop_before(month=date(2031, 7, 1))

    assert "identity_event_2031_06" in dropped
    assert Event.objects.get() == kept


def test_no_index_offers_the_values_of_an_id_type_as_a_way_to_one_persons() -> None:
    """Misled by statistics, PostgreSQL would read 23,000 people's values for each of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid"
            " JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]"
            " WHERE x.indrelid = 'identity_identifier'::regclass"
        )
        assert dict(cursor.fetchall()) == {
            "identity_identifier_pkey": "profile_id",
            "identity_identifier_of_value": "value",
        }
