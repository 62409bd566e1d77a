"""ID Mapping in the database: what holds after any imports, and who waits for whom."""

from collections.abc import Iterator, Sequence

import psycopg2
import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import importing, locks, people, tagging
from identity.importing.identifiers import IdentifierImporter
from identity.importing.running import run
from identity.models import (
    AudienceMember,
    Event,
    Identifier,
    IdType,
    MappingConflict,
    MappingKey,
    Profile,
)
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
    make_tag,
)
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

CODES = ("ONEID", "MOBILE", "EMAIL")
_ids = st.sampled_from(["", "a", "b", "c"])
_rows = st.lists(st.tuples(_ids, _ids, _ids).filter(any), min_size=1, max_size=8)


def imported(rows: Sequence[tuple[str, ...]], *, size: int, single: bool) -> Workspace:
    """Import the rows into a workspace of their own, some at a time."""
    workspace = make_plain_workspace()
    for code in CODES:
        multi = not (single and code == "ONEID")
        make_id_type(workspace, code, kind="text", in_mapping=True, multi_value=multi)
    source = make_data_source(workspace)
    importer = IdentifierImporter(workspace=workspace, source=source, now=NOW)
    run(importer, importing.from_rows(CODES, rows), chunk_lines=size)
    return workspace


def owners(workspace: Workspace) -> dict[tuple[str, str], int]:
    keys = MappingKey.objects.filter(id_type__workspace=workspace)
    return {
        (code, value): qaid
        for code, value, qaid in keys.values_list("id_type__code", "value", "profile_id")
    }


def groups(workspace: Workspace) -> set[frozenset[tuple[str, str]]]:
    found: dict[int, set[tuple[str, str]]] = {}
    for pair, qaid in owners(workspace).items():
        found.setdefault(qaid, set()).add(pair)
    return {frozenset(pairs) for pairs in found.values()}


def components(rows: list[tuple[str, ...]]) -> Iterator[frozenset[tuple[str, str]]]:
    """Join what stands together, in the simplest way there is."""
    sets = [{pair for pair in zip(CODES, row, strict=True) if pair[1]} for row in rows]
    while sets:
        grown = sets.pop()
        while touching := [other for other in sets if other & grown]:
            sets = [other for other in sets if not other & grown]
            grown = grown.union(*touching)
        yield frozenset(grown)


@given(_rows, st.integers(1, 8))
@settings(max_examples=30)
def test_without_conflicts_people_are_what_stands_together(
    rows: list[tuple[str, ...]], size: int
) -> None:
    workspace = imported(rows, size=size, single=False)

    assert groups(workspace) == set(components(rows))
    assert not MappingConflict.objects.filter(workspace=workspace).exists()


@given(_rows, st.integers(1, 8))
@settings(max_examples=30)
def test_with_conflicts_the_database_still_makes_sense(
    rows: list[tuple[str, ...]], size: int
) -> None:
    workspace = imported(rows, size=size, single=True)

    given_pairs = {pair for row in rows for pair in zip(CODES, row, strict=True) if pair[1]}
    assert owners(workspace).keys() == given_pairs
    for pairs in groups(workspace):
        assert sum(1 for code, _value in pairs if code == "ONEID") <= 1
    # An identifier stands with its key's owner, and nobody else has it.
    identifiers = Identifier.objects.filter(profile__workspace=workspace)
    assert {
        ((code, value), qaid)
        for code, value, qaid in identifiers.values_list("id_type__code", "value", "profile_id")
    } == set(owners(workspace).items())
    redirects = Profile.objects.filter(workspace=workspace, merged_into__isnull=False)
    assert not redirects.filter(merged_into__merged_into__isnull=False).exists()
    assert not set(redirects.values_list("qaid", flat=True)) & set(owners(workspace).values())
    if set(components(rows)) != groups(workspace):
        assert MappingConflict.objects.filter(workspace=workspace).exists()


def test_importing_again_after_conflicts_changes_nobody() -> None:
    rows = [("a", "m", ""), ("b", "m", "e"), ("", "m", "e"), ("c", "", "e")]
    workspace = imported(rows, size=10, single=True)
    before = owners(workspace)

    source = workspace.data_sources.get()
    importing.import_identifiers(
        workspace=workspace, source=source, table=importing.from_rows(CODES, rows), now=NOW
    )

    assert owners(workspace) == before


# --- who waits for whom -----------------------------------------------------------------------


def test_a_lock_given_back_with_its_savepoint_is_free_for_others() -> None:
    workspace = make_plain_workspace()
    other = psycopg2.connect(**connection.get_connection_params())
    try:
        with other.cursor() as cursor:
            with transaction.atomic():
                locks.shared(workspace.pk)
                cursor.execute("SELECT pg_try_advisory_lock(29, %s)", [workspace.pk])
                assert cursor.fetchone() == (False,)
                transaction.set_rollback(True)
            cursor.execute("SELECT pg_try_advisory_lock(29, %s)", [workspace.pk])
            assert cursor.fetchone() == (True,)
    finally:
        other.close()


def test_types_that_changed_meanwhile_stop_an_import() -> None:
    workspace = make_plain_workspace()
    mobile = make_id_type(workspace, "MOBILE", in_mapping=True)
    importer = IdentifierImporter(workspace=workspace, source=make_data_source(workspace), now=NOW)
    make_id_type(workspace, "EMAIL", in_mapping=True)

    with pytest.raises(importing.ImportFileError, match="ID types were changed"):
        run(importer, importing.from_rows(["MOBILE"], [["13800000001"]]))

    assert not Identifier.objects.filter(id_type=mobile).exists()


# --- one person at a time ---------------------------------------------------------------------


def test_tags_set_by_a_step_follow_redirects_and_keep_the_later_value() -> None:
    workspace = make_plain_workspace()
    make_tag(workspace, "level")
    person = make_profile(workspace, tags={"level": "gold"})
    merged = make_profile(workspace, merged_into=person)
    foreign = make_profile(make_plain_workspace())

    earlier = tagging.set_tags(
        workspace=workspace,
        values={"level": "old"},
        qaids=[merged.qaid],
        now=NOW.replace(hour=1),
    )
    later = tagging.set_tags(
        workspace=workspace,
        values={"level": "silver"},
        qaids=[merged.qaid, person.qaid, foreign.qaid],
        now=NOW.replace(hour=23),
    )

    person.refresh_from_db()
    assert (earlier, later) == (0, 1)
    assert person.tags == {"level": "silver"}


def test_an_erased_person_is_forgotten_and_comes_back_as_somebody_new() -> None:
    workspace = make_plain_workspace()
    mobile = make_id_type(workspace, "MOBILE", in_mapping=True)
    source = make_data_source(workspace)
    person = make_profile(workspace, tags={"name": "Ann"})
    merged = make_profile(workspace, merged_into=person)
    make_identifier(person, mobile, "13800000001", source=source)
    make_event(merged, make_event_type(workspace), attributes={"amount": 5})
    make_audience(workspace, people=[person])

    people.erase(merged, now=NOW)

    person.refresh_from_db()
    assert person.erased_at == NOW
    assert (person.tags, person.tag_times) == ({}, {})
    assert Event.objects.get().attributes == {}
    assert not AudienceMember.objects.exists()
    assert not MappingKey.objects.exists()
    assert people.find(workspace, value="13800000001") == []
    importing.import_identifiers(
        workspace=workspace,
        source=source,
        table=importing.from_rows(["MOBILE"], [["13800000001"]]),
        now=NOW,
    )
    (again,) = people.find(workspace, value="13800000001", id_type=mobile)
    assert again.qaid > merged.qaid
    assert IdType.objects.count() == 1


def test_a_person_is_found_by_any_spelling_by_qaid_and_by_a_former_qaid() -> None:
    workspace = make_plain_workspace()
    mobile = make_id_type(workspace, "MOBILE")
    person = make_profile(workspace)
    merged = make_profile(workspace, merged_into=person)
    make_identifier(person, mobile, "13800000001", source=make_data_source(workspace))
    elsewhere = make_plain_workspace()

    for value in ("+86 138 0000 0001", str(person.qaid), str(merged.qaid)):
        assert people.find(workspace, value=value) == [person]
        assert people.find(elsewhere, value=value) == []
    assert people.find(workspace, value="nobody") == []
    assert people.find(workspace, value=str(person.qaid), id_type=mobile) == []
