"""Files come in whole, twice without harm, and what is wrong is named by its line."""

import gzip
import io
from datetime import timedelta
from typing import Any

import pytest

from identity import importing
from identity.choices import TagType
from identity.importing import ImportFileError, ImportReport
from identity.models import (
    Audience,
    AudienceMember,
    DataSource,
    Event,
    Identifier,
    IdType,
    IncomingEvent,
    MappingConflict,
    MappingKey,
    Profile,
)
from tests.identity.factories import (
    NOW,
    make_audience,
    make_data_source,
    make_event_type,
    make_id_type,
    make_plain_workspace,
    make_profile,
    make_tag,
)
from workspaces.models import AuditEntry, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    """ONEID (one a person), MOBILE and EMAIL take part in ID Mapping, OPEN_ID does not."""
    workspace = make_plain_workspace()
    make_id_type(workspace, "ONEID", multi_value=False, in_mapping=True)
    make_id_type(workspace, "MOBILE", in_mapping=True)
    make_id_type(workspace, "EMAIL", in_mapping=True)
    make_id_type(workspace, "OPEN_ID")
    return workspace


@pytest.fixture
def crm(workspace: Workspace) -> DataSource:
    return make_data_source(workspace, "crm")


@pytest.fixture
def shop(workspace: Workspace) -> DataSource:
    return make_data_source(workspace, "shop")


def table(text: str | bytes, **options: Any) -> importing.Table:
    raw = text if isinstance(text, bytes) else text.encode()
    return importing.read(io.BytesIO(raw), **options)


def identifiers(source: DataSource, text: str | bytes, **options: Any) -> ImportReport:
    return importing.import_identifiers(
        workspace=source.workspace, source=source, table=table(text), now=NOW, **options
    )


def tags(source: DataSource, text: str, **options: Any) -> ImportReport:
    return importing.import_tags(
        workspace=source.workspace, source=source, table=table(text), now=NOW, **options
    )


def events(source: DataSource, text: str, **options: Any) -> ImportReport:
    return importing.import_events(
        workspace=source.workspace, source=source, table=table(text), now=NOW, **options
    )


def people(workspace: Workspace) -> set[frozenset[str]]:
    """Return the workspace's people as the sets of their values."""
    found: dict[int, set[str]] = {}
    for identifier in Identifier.objects.filter(profile__workspace=workspace):
        found.setdefault(identifier.profile_id, set()).add(identifier.value)
    return {frozenset(values) for values in found.values()}


def reasons(report: ImportReport) -> list[tuple[int, str]]:
    return [(reject.line, reject.reason) for reject in report.rejects]


# --- who is who -------------------------------------------------------------------------------


def test_ids_of_one_line_are_one_person_in_one_spelling(crm: DataSource) -> None:
    report = identifiers(
        crm, "ONEID,MOBILE,EMAIL\nA1,+86 138-0000-0001,Ann@Example.com\nA2,13800000002,\n"
    )

    assert people(crm.workspace) == {
        frozenset({"A1", "13800000001", "ann@example.com"}),
        frozenset({"A2", "13800000002"}),
    }
    assert (report.lines, report.accepted, report.new_people) == (2, 2, 2)
    assert MappingKey.objects.count() == 5


def test_two_sources_meet_in_a_shared_id(crm: DataSource, shop: DataSource) -> None:
    identifiers(crm, "ONEID,MOBILE\nA1,13800000001\n")

    report = identifiers(shop, "MOBILE,EMAIL\n13800000001,ann@example.com\n")

    assert people(crm.workspace) == {frozenset({"A1", "13800000001", "ann@example.com"})}
    assert report.new_people == 0


def test_a_line_that_names_two_people_merges_them(crm: DataSource) -> None:
    identifiers(crm, "MOBILE,EMAIL\n13800000001,\n,ann@example.com\n13800000003,\n")
    older, younger, _other = Profile.objects.order_by("qaid")

    report = identifiers(crm, "MOBILE,EMAIL\n13800000001,ann@example.com\n")

    assert report.merged_people == 1
    younger.refresh_from_db()
    assert younger.merged_into == older
    assert people(crm.workspace) == {
        frozenset({"13800000001", "ann@example.com"}),
        frozenset({"13800000003"}),
    }
    assert set(MappingKey.objects.filter(value="ann@example.com")) == set(
        MappingKey.objects.filter(profile=older, id_type__code="EMAIL")
    )


def test_redirects_stay_flat(crm: DataSource) -> None:
    identifiers(crm, "MOBILE,EMAIL\n13800000001,\n13800000002,\n13800000003,\n")
    first, second, third = Profile.objects.order_by("qaid")

    identifiers(crm, "MOBILE,EMAIL\n13800000002,b@example.com\n13800000003,b@example.com\n")
    identifiers(crm, "MOBILE,EMAIL\n13800000001,b@example.com\n")

    second.refresh_from_db()
    third.refresh_from_db()
    assert (second.merged_into, third.merged_into) == (first, first)


def test_people_merged_in_one_file_are_one_person_from_the_start(crm: DataSource) -> None:
    report = identifiers(
        crm,
        "MOBILE,EMAIL\n13800000001,a@example.com\n13800000002,b@example.com\n"
        "13800000001,b@example.com\n",
    )

    assert (report.new_people, report.merged_people) == (1, 0)
    assert Profile.objects.count() == 1


def test_a_conflict_keeps_two_people_and_is_listed_once(crm: DataSource) -> None:
    identifiers(crm, "ONEID,MOBILE\nA1,13800000001\n")

    for _time in range(2):
        report = identifiers(crm, "ONEID,MOBILE\nA2,13800000001\n")

    assert report.conflicts == 1
    assert people(crm.workspace) == {frozenset({"A1", "13800000001"}), frozenset({"A2"})}
    conflict = MappingConflict.objects.get()
    assert (conflict.id_type.code, conflict.decided_by.code) == ("ONEID", "ONEID")
    assert conflict.values == ["A2", "A1"]
    assert conflict.times == 2


def test_a_single_value_type_outside_mapping_keeps_the_value_seen_last(crm: DataSource) -> None:
    make_id_type(crm.workspace, "CARD", multi_value=False)

    identifiers(crm, "ONEID,CARD,seen_at\nA1,new,2026-11-20\nA1,old,2026-11-10\n")

    assert people(crm.workspace) == {frozenset({"A1", "new"})}


def test_a_merge_moves_tags_lists_and_identifiers(crm: DataSource) -> None:
    workspace = crm.workspace
    make_tag(workspace, "city", data_source=crm)
    make_tag(workspace, "name", data_source=crm)
    identifiers(crm, "MOBILE,EMAIL\n13800000001,\n,ann@example.com\n")
    older, younger = Profile.objects.order_by("qaid")
    tags(crm, "MOBILE,city,name,time\n13800000001,Bath,Ann,2026-11-02\n")
    tags(crm, "EMAIL,city,time\nann@example.com,York,2026-11-03\n")
    audience = make_audience(workspace, people=[younger])

    identifiers(crm, "MOBILE,EMAIL\n13800000001,ann@example.com\n")

    older.refresh_from_db()
    younger.refresh_from_db()
    assert older.tags == {"city": "York", "name": "Ann"}
    assert younger.tags == {}
    assert list(audience.members.values_list("profile_id", flat=True)) == [older.qaid]


def test_an_id_outside_mapping_finds_its_only_owner(crm: DataSource) -> None:
    make_tag(crm.workspace, "city", data_source=crm)
    identifiers(
        crm,
        "ONEID,OPEN_ID\nA1,o-1\nA2,o-2\nA3,o-2\n",
    )

    report = tags(crm, "OPEN_ID,city\no-1,Bath\no-2,York\no-3,Leeds\n")

    assert Profile.objects.get(tags__city="Bath").identifiers.filter(value="A1").exists()
    assert report.accepted == 1
    assert [line for line, _reason in reasons(report)] == [3, 4]
    assert reasons(report)[0][1] == "Several people have this ID."


# --- again, aside, and not for real -----------------------------------------------------------


def test_the_same_file_twice_changes_nothing(crm: DataSource) -> None:
    text = "ONEID,MOBILE,OPEN_ID,seen_at\nA1,13800000001,o-1,2026-11-01\nA2,,o-2,\n"
    identifiers(crm, text)
    before = list(Identifier.objects.values().order_by("pk"))

    report = identifiers(crm, text)

    assert list(Identifier.objects.values().order_by("pk")) == before
    assert (report.accepted, report.new_people, Profile.objects.count()) == (2, 0, 2)


def test_a_dry_run_says_what_would_happen_and_leaves_nothing(crm: DataSource) -> None:
    report = identifiers(crm, "MOBILE\n13800000001\nx\n", dry_run=True)

    assert (report.accepted, report.rejected, report.new_people) == (1, 1, 1)
    assert Profile.objects.count() == 0
    assert not AuditEntry.objects.exists()


def test_small_chunks_give_the_same_as_large_ones(crm: DataSource) -> None:
    from identity.importing.identifiers import IdentifierImporter
    from identity.importing.running import run

    lines = [f"A{number % 7},1380000{number % 5:04d}" for number in range(40)]
    text = "\n".join(["OPEN_ID,MOBILE", *lines])

    importer = IdentifierImporter(workspace=crm.workspace, source=crm, now=NOW)
    report = run(importer, table(text), chunk_lines=3)

    assert report.lines == 40
    assert Profile.objects.filter(merged_into=None).count() == 5


def test_gzip_and_a_byte_order_mark_are_recognised(crm: DataSource) -> None:
    text = "\ufeffMOBILE;EMAIL\n13800000001;ann@example.com\n".encode()

    report = identifiers(crm, gzip.compress(text))

    assert report.accepted == 1


def test_json_lines_may_have_numbers_as_ids(crm: DataSource) -> None:
    report = identifiers(crm, '{"MOBILE": 13800000001}\n\n{"ONEID": "A1", "MOBILE": null}\n')

    assert report.accepted == 2
    assert people(crm.workspace) == {frozenset({"13800000001"}), frozenset({"A1"})}


def test_an_import_leaves_an_audit_entry(crm: DataSource) -> None:
    identifiers(crm, "MOBILE\n13800000001\n")

    entry = AuditEntry.objects.get()
    assert entry.action == "identifiers.imported"
    assert entry.changes["accepted"] == [None, 1]


# --- what is wrong ----------------------------------------------------------------------------


def test_bad_lines_are_named_and_the_others_come_in(crm: DataSource) -> None:
    report = identifiers(
        crm,
        "ONEID,MOBILE,seen_at\n"
        "A1,13800000001,\n"
        "A2,12,\n"
        ",,\n"
        "A3,13800000003,tomorrow\n"
        "A4\n"
        "A5,13800000005,2030-01-01\n"
        '"A\n6",13800000006,\n'
        "A7,13800000007,2026-11-01T08:00:00+08:00\n",
    )

    assert report.accepted == 2
    assert reasons(report) == [
        (3, "A mobile number has 5 to 15 digits; “+”, spaces and hyphens are allowed."),
        (4, "No ID says whose this is."),
        (5, "A time must look like 2026-11-24 or 2026-11-24T10:00:00+08:00."),
        (6, "The line and the header differ in length: 1 and 3 values."),
        (7, "The time lies in the future."),
        (8, "Control characters are not allowed."),
    ]
    assert report.lines == 8


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The file is empty."),
        ("MOBIL\n1\n", "“MOBIL” is not known here. Did you mean “MOBILE”?"),
        ("mobile\n1\n", "“mobile” is not known here. Did you mean “MOBILE”?"),
        ("seen_at\n1\n", "The file has no ID column. Name one of its columns ONEID, MOBILE, "),
        ("MOBILE,MOBILE\n1,2\n", "The column “MOBILE” is there twice. Remove one of the two."),
        ("MOBILE\n张三\n".encode("gb18030"), "Line 2 is not UTF-8. Save the file as “CSV UTF-8”"),
        ("MOBILE\n1\n".encode("utf-16"), "The file is UTF-16."),
        (b"MO\x00BILE\n1\n", "The header holds NUL bytes, so this is no text file."),
        (b"\x1f\x8b\x08\x00broken", "The gzip file is damaged"),
        ('MOBILE\n"1' + "\n2" * 110_000, "The value that begins on line 2 does not end."),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    crm: DataSource, text: str | bytes, sentence: str
) -> None:
    with pytest.raises(ImportFileError) as caught:
        identifiers(crm, text)

    assert str(caught.value).startswith(sentence)


def test_the_right_encoding_can_be_named(crm: DataSource) -> None:
    make_tag(crm.workspace, "name", data_source=crm)
    raw = "ONEID,name\nA1,张三\n".encode("gb18030")

    importing.import_tags(
        workspace=crm.workspace, source=crm, table=table(raw, encoding="gb18030"), now=NOW
    )

    assert Profile.objects.get().tags == {"name": "张三"}


def test_a_cut_gzip_file_keeps_what_was_read(crm: DataSource) -> None:
    lines = "\n".join(f"1{number:010d}" for number in range(100_000, 200_000))
    raw = gzip.compress(f"MOBILE\n{lines}\n".encode())

    with pytest.raises(ImportFileError) as caught:
        identifiers(crm, raw[: len(raw) - 20_000])

    assert "The gzip file is damaged after line" in str(caught.value)
    assert "The first 50000 lines were imported." in str(caught.value)
    assert Profile.objects.count() == 50_000


def test_a_nul_byte_costs_its_line_only(crm: DataSource) -> None:
    report = identifiers(crm, b"MOBILE\n1380000\x000001\n13800000002\n")

    assert report.accepted == 1
    assert reasons(report) == [(2, "The line holds a NUL byte.")]


def test_a_disabled_id_type_is_no_column(crm: DataSource) -> None:
    IdType.objects.filter(code="OPEN_ID").update(enabled=False)

    with pytest.raises(ImportFileError, match="The ID type “OPEN_ID” is disabled"):
        identifiers(crm, "OPEN_ID\no-1\n")


def test_broken_json_lines_are_named(crm: DataSource) -> None:
    report = identifiers(
        crm, '{"MOBILE": "13800000001"}\n{"MOBILE"\n[]\n{"MOBIL": "1"}\n{"ONEID": "a\\u0000b"}\n'
    )

    assert report.accepted == 1
    assert [reject.line for reject in report.rejects] == [2, 3, 4, 5]


# --- tags -------------------------------------------------------------------------------------


@pytest.fixture
def tagged(crm: DataSource) -> DataSource:
    for code, kind in [
        ("name", TagType.TEXT),
        ("orders", TagType.NUMBER),
        ("birthday", TagType.DATE),
        ("vip", TagType.BOOLEAN),
        ("cities", TagType.LIST),
    ]:
        make_tag(crm.workspace, code, kind, data_source=crm)
    return crm


def test_tags_are_typed_and_empty_cells_say_nothing(tagged: DataSource) -> None:
    tags(tagged, "ONEID,name,orders,birthday,vip,cities\nA1,张三,3,1990-02-28,yes,Bath;York\n")

    tags(tagged, "ONEID,name,orders,vip\nA1,,4.5,false\n")

    assert Profile.objects.get().tags == {
        "name": "张三",
        "orders": 4.5,
        "birthday": "1990-02-28",
        "vip": False,
        "cities": ["Bath", "York"],
    }


def test_the_same_tags_twice_change_nothing(tagged: DataSource) -> None:
    text = "ONEID,name,cities,time\nA1,Ann,Bath;York,2026-11-20\nA2,Bob,,\n"
    tags(tagged, text)
    before = list(Profile.objects.values("pk", "tags", "tag_times").order_by("pk"))

    report = tags(tagged, text)

    assert list(Profile.objects.values("pk", "tags", "tag_times").order_by("pk")) == before
    assert [each["tags"] for each in before] == [
        {"name": "Ann", "cities": ["Bath", "York"]},
        {"name": "Bob"},
    ]
    assert (report.accepted, report.rejected, report.new_people) == (2, 0, 0)


def test_the_later_time_wins_whatever_comes_first(tagged: DataSource) -> None:
    tags(tagged, "ONEID,name,orders,time\nA1,late,,2026-11-20\n")

    tags(tagged, "ONEID,name,orders,time\nA1,early,2,2026-11-10\nA1,,3,2026-11-09\n")

    assert Profile.objects.get().tags == {"name": "late", "orders": 2}


def test_null_clears_a_tag_and_stays_cleared(tagged: DataSource) -> None:
    tags(tagged, '{"ONEID": "A1", "name": "Ann", "orders": 1, "time": "2026-11-01"}')
    tags(tagged, '{"ONEID": "A1", "name": null, "time": "2026-11-10"}')

    tags(tagged, '{"ONEID": "A1", "name": "Anna", "time": "2026-11-05"}')

    assert Profile.objects.get().tags == {"orders": 1}


def test_bad_tag_values_are_named(tagged: DataSource) -> None:
    report = tags(
        tagged, "ONEID,orders,birthday\nA1,many,\nA2,,1990-02-30\nA3,,\nA4,nan,\nA5,1e3,\n"
    )

    assert reasons(report) == [
        (2, "“orders” must be a number like 12.5."),
        (3, "“birthday” must be a date like 2026-11-24 or 2026-11-24T10:00:00Z."),
        (4, "The line has no tag."),
        (5, "“orders” must be a number like 12.5."),
    ]
    assert Profile.objects.get().tags == {"orders": 1000.0}


def test_a_tag_of_another_source_is_refused_naming_its_owner(
    tagged: DataSource, shop: DataSource
) -> None:
    with pytest.raises(ImportFileError, match="“orders” belongs to the data source “crm”"):
        tags(shop, "ONEID,orders\nA1,1\n")


# --- audiences --------------------------------------------------------------------------------


def test_a_list_takes_known_people_once_and_names_the_others(crm: DataSource) -> None:
    identifiers(crm, "ONEID,MOBILE\nA1,13800000001\nA2,13800000002\n")
    audience = make_audience(crm.workspace, updated_at=NOW - timedelta(days=1))
    text = "MOBILE\n13800000001\n138 0000 0001\n13800000009\n"

    report = importing.import_audience(audience=audience, source=crm, table=table(text), now=NOW)

    assert audience.members.count() == 1
    assert reasons(report) == [(4, "Nobody has this ID.")]
    assert (report.accepted, report.repeated) == (2, 1)
    assert Profile.objects.count() == 2
    assert Audience.objects.get().updated_at == NOW


def test_the_same_list_twice_changes_nothing(crm: DataSource) -> None:
    audience = make_audience(crm.workspace)

    def bring() -> ImportReport:
        return importing.import_audience(
            audience=audience,
            source=crm,
            table=table("MOBILE\n13800000001\n13800000002\n"),
            now=NOW,
            create_people=True,
        )

    first = bring()
    before = list(AudienceMember.objects.values().order_by("profile"))
    second = bring()

    assert list(AudienceMember.objects.values().order_by("profile")) == before
    assert len(before) == Profile.objects.count() == 2
    assert (first.new_people, first.repeated) == (2, 0)
    assert (second.new_people, second.repeated) == (0, 2)


def test_a_list_can_be_replaced_and_can_make_people(crm: DataSource) -> None:
    outsider = make_profile(crm.workspace)
    audience = make_audience(crm.workspace, people=[outsider])

    importing.import_audience(
        audience=audience,
        source=crm,
        table=table("MOBILE\n13800000001\n"),
        now=NOW,
        replace=True,
        create_people=True,
    )

    (member,) = AudienceMember.objects.all()
    assert member.profile.identifiers.get().value == "13800000001"


def test_an_audience_file_has_one_id_column(crm: DataSource) -> None:
    audience = make_audience(crm.workspace)

    with pytest.raises(ImportFileError, match="one ID column"):
        importing.import_audience(
            audience=audience, source=crm, table=table("MOBILE,EMAIL\n1,2\n"), now=NOW
        )


# --- events -----------------------------------------------------------------------------------


@pytest.fixture
def purchases(crm: DataSource) -> DataSource:
    make_event_type(
        crm.workspace,
        "purchase",
        attributes={"amount": "number", "shop": "text"},
        required=("amount",),
    )
    return crm


def test_history_is_stored_in_its_months_and_starts_nothing(purchases: DataSource) -> None:
    text = (
        "event_id,event_type,ONEID,occurred_at,amount,shop\n"
        "e1,purchase,A1,1999-01-05,12.5,Bath\n"
        "e2,purchase,A1,2026-10-05T12:00:00+08:00,7,\n"
    )

    report = events(purchases, text)

    assert (report.accepted, report.repeated) == (2, 0)
    first, second = Event.objects.order_by("occurred_at")
    assert first.attributes == {"amount": 12.5, "shop": "Bath"}
    assert second.attributes == {"amount": 7}
    assert first.profile == second.profile
    assert not IncomingEvent.objects.exists()
    assert events(purchases, text).repeated == 2
    assert Event.objects.count() == 2


def test_bad_events_are_named(purchases: DataSource) -> None:
    report = events(
        purchases,
        "event_id,event_type,ONEID,occurred_at,amount\n"
        "e1,purchase,A1,2026-11-01,\n"
        "e2,refund,A1,2026-11-01,1\n"
        ",purchase,A1,2026-11-01,1\n"
        "e4,purchase,,2026-11-01,1\n"
        "e5,purchase,A1,,1\n"
        "e6,purchase,A1,2026-11-01,much\n",
    )

    assert reasons(report) == [
        (2, "The attribute “amount” is missing."),
        (3, "There is no event type “refund”."),
        (4, "The event id is missing."),
        (5, "No ID says whose this is."),
        (6, "The time is missing."),
        (7, "“amount” must be a number like 12.5."),
    ]
    assert not Event.objects.exists()


def test_json_events_may_nest_ids_and_attributes(purchases: DataSource) -> None:
    report = events(
        purchases,
        '{"event_id": "e1", "event_type": "purchase", "occurred_at": "2026-11-01",'
        ' "ids": {"ONEID": "A1", "MOBILE": "13800000001"}, "attributes": {"amount": 3}}\n'
        '{"event_id": "e2", "event_type": "purchase", "occurred_at": "2026-11-01",'
        ' "ids": {"ONEID": "A1"}, "attributes": {"amount": "3"}}\n',
    )

    assert report.accepted == 1
    assert reasons(report) == [(2, "“amount” must be a number like 12.5.")]
    assert Event.objects.get().attributes == {"amount": 3}
    assert people(purchases.workspace) == {frozenset({"A1", "13800000001"})}


def test_an_events_file_needs_its_columns(purchases: DataSource) -> None:
    with pytest.raises(ImportFileError, match="The column “event_type” is missing"):
        events(purchases, "event_id,ONEID,occurred_at\ne1,A1,2026-11-01\n")
