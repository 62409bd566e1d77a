"""The audiences of the console: the list, the builder of rules, and files that are looked into."""

import json
from datetime import timedelta
from typing import Any, Final

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override
from pytest_django.fixtures import DjangoAssertNumQueries

from identity import audience_rules, audiences, rule_rows
from identity.choices import TagType
from identity.models import Audience
from identity.rule_sentences import Words, sentence
from journeys import publishing
from journeys.components.audience import When
from tests.factories import make_administrator, make_member, make_workspace
from tests.identity.factories import (
    make_audience,
    make_event_type,
    make_identifier,
    make_profile,
    make_tag,
)
from tests.journeys.factories import Scene, make_scene
from workspaces.choices import Preset
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db

HTMX: Final = {"HX-Request": "true"}
BATH: Final[dict[str, Any]] = {
    "match": "all",
    "conditions": [{"tag": "city", "operator": "equals", "value": "Bath"}],
}
EVERY_KIND: Final[dict[str, Any]] = {
    "match": "any",
    "conditions": [
        {"tag": "city", "operator": "one_of", "value": ["Bath", "Rome, Georgia"]},
        {"tag": "spent", "operator": "between", "value": [1, 2.5]},
        {"tag": "born", "operator": "before", "value": "2001-05-06"},
        {"tag": "club", "operator": "equals", "value": False},
        {"tag": "likes", "operator": "contains_any", "value": ["jazz"]},
        {"tag": "city", "operator": "is_empty"},
        {"id_type": "MOBILE", "operator": "has_not"},
        {
            "match": "all",
            "conditions": [
                {"id_type": "EMAIL", "operator": "has"},
                {
                    "event": "purchase",
                    "operator": "less_than",
                    "times": 2,
                    "days": 7,
                    "where": [{"attribute": "amount", "operator": "at_least", "value": 10}],
                },
            ],
        },
        {"tag": "city", "operator": "not_equals", "value": "Paris"},
    ],
}


@pytest.fixture
def scene() -> Scene:
    cache.clear()
    scene = make_scene()
    for code, kind in (
        ("city", TagType.TEXT),
        ("spent", TagType.NUMBER),
        ("born", TagType.DATE),
        ("club", TagType.BOOLEAN),
        ("likes", TagType.LIST),
    ):
        make_tag(scene.workspace, code, kind, name=code.title())
    make_event_type(scene.workspace)
    return scene


@pytest.fixture
def admin(scene: Scene) -> Client:
    client = Client()
    client.force_login(make_administrator(scene.workspace, name="Wang Lei"))
    return client


@pytest.fixture
def marketer(scene: Scene) -> Client:
    client = Client()
    client.force_login(make_member(scene.workspace, Preset.MARKETER))
    return client


def url(scene: Scene, name: str, *args: Any) -> str:
    return reverse(f"journeys:{name}", args=[scene.workspace.slug, *args])


def form_of(rules: dict[str, Any], **more: str) -> dict[str, str]:
    """Return what the builder's form posts for rules."""
    rows = rule_rows.of_rules(rules)
    data = {"rows": str(len(rows.rows)), "match": rows.match}
    for place, row in enumerate(rows.rows):
        for name in ("level", "subject", "operator", "value", "upto", "times", "days", "match"):
            data[f"{name}-{place}"] = str(getattr(row, name))
    return {**data, **more}


def one_row(**fields: str) -> dict[str, str]:
    return {"rows": "1", "match": "all", "level-0": "1"} | {
        f"{name}-0": value for name, value in fields.items()
    }


# --- The list -------------------------------------------------------------------------------------


def test_before_the_first_audience_the_list_teaches(admin: Client, scene: Scene) -> None:
    Audience.objects.all().delete()

    shown = admin.get(url(scene, "audiences")).content.decode()

    assert "No audiences yet" in shown
    assert "Make the first audience" in shown


def test_a_row_says_kind_people_journeys_and_who_changed_it_last(
    admin: Client, scene: Scene
) -> None:
    scene.journey()
    rules = make_audience(scene.workspace, name="Bath", rules=BATH)
    admin.post(url(scene, "audience", rules.pk), form_of(BATH))

    (row, of_list) = sorted(
        admin.get(url(scene, "audiences")).context["rows"], key=lambda row: row["size"] or 0
    )

    assert (row["audience"], row["size"], row["uses"]) == (rules, None, [])
    assert row["changed_by"] == "Wang Lei"
    assert of_list["size"] == scene.audience.members.count()
    assert [use.journey.name for use in of_list["uses"]] == ["Welcome"]


def test_a_list_of_50_asks_no_more_than_one_of_1(
    admin: Client, scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    scene.journey()
    for number in range(60):
        make_audience(scene.workspace, name=f"Rules {number:02}", rules=BATH)

    with django_assert_max_num_queries(30):
        page = admin.get(url(scene, "audiences"))

    assert len(page.context["rows"]) == 50
    assert "1–50 of 61" in page.content.decode()


def test_a_search_without_a_match_names_the_words(admin: Client, scene: Scene) -> None:
    shown = admin.get(url(scene, "audiences"), {"q": "winter\x00"}).content.decode()

    assert "No audience has “winter” in its name" in shown
    assert "Clear the filter" in shown


def test_a_marketer_reads_and_does_not_change(marketer: Client, scene: Scene) -> None:
    rules = make_audience(scene.workspace, name="Bath", rules=BATH)

    shown = marketer.get(url(scene, "audience", rules.pk)).content.decode()

    assert "People where City is “Bath”." in shown
    assert "Data Management-Identity and Data" in shown
    assert '<form id="rules-form"' not in shown
    assert "New audience" not in marketer.get(url(scene, "audiences")).content.decode()
    assert marketer.post(url(scene, "audience", rules.pk), form_of(BATH)).status_code == 403


def test_another_tenants_audience_is_not_there(admin: Client, scene: Scene) -> None:
    away = make_audience(make_workspace(), name="Away", rules=BATH)

    for name in ("audience", "audience_people", "audience_rename"):
        assert admin.get(url(scene, name, away.pk)).status_code == 404
    assert admin.post(url(scene, "audience_delete", away.pk)).status_code == 404
    assert Audience.objects.filter(pk=away.pk).exists()


def test_who_lacks_the_right_sees_masked_ids(marketer: Client, scene: Scene) -> None:
    person = make_profile(scene.workspace, tags={"city": "Bath"})
    make_identifier(person, scene.mobile, "13812345678", source=scene.source)
    audience = make_audience(scene.workspace, people=[person])

    shown = marketer.get(url(scene, "audience_people", audience.pk), {"sample": ""})

    assert "1 person now" in shown.content.decode()
    assert "138****5678" in shown.content.decode()
    assert "13812345678" not in shown.content.decode()


# --- Rules ----------------------------------------------------------------------------------------


def test_rules_of_every_kind_come_back_from_the_form_as_they_were(scene: Scene) -> None:
    words = Words.of(scene.workspace)
    rows = rule_rows.posted(form_of(EVERY_KIND))

    tree = rule_rows.drawn(rows, words)

    assert rule_rows.rules_of(rows, tree, scene.workspace) == EVERY_KIND
    audience_rules.validate(scene.workspace, EVERY_KIND)


def test_rules_read_as_one_sentence(scene: Scene) -> None:
    words = Words.of(scene.workspace)
    rules = {
        "match": "all",
        "conditions": [
            BATH["conditions"][0],
            {"match": "any", "conditions": EVERY_KIND["conditions"][1:3]},
            EVERY_KIND["conditions"][7]["conditions"][1],
        ],
    }

    assert sentence(rules, words) == (
        "People where City is “Bath” and (Spent is between 1 and 2.5 or Born is before"
        " 6 May 2001) and Purchase (with amount is at least 10) happened less than 2 times"
        " in the last 7 days."
    )
    with override("zh-hans"):
        assert sentence(rules, words) == (
            "满足以下条件的用户：“City”等于“Bath”，且（“Spent”介于 1 与 2.5 之间，"
            "或“Born”早于 2001年5月6日），且最近 7 天内“Purchase”（其中“amount”大于等于 10）"
            "发生少于 2 次。"
        )


def test_what_was_removed_since_stands_in_the_sentence_by_its_code(scene: Scene) -> None:
    rules = {"match": "all", "conditions": [{"tag": "gone", "operator": "equals", "value": 1}]}

    assert sentence(rules, Words.of(scene.workspace)) == "People where gone equals 1."


def test_a_new_audience_of_rules_is_saved_and_told_of(admin: Client, scene: Scene) -> None:
    answer = admin.post(url(scene, "audience_new"), form_of(EVERY_KIND, name=" Spring "))

    made = Audience.objects.get(name="Spring")
    assert answer["Location"] == url(scene, "audience", made.pk)
    assert made.rules == EVERY_KIND
    assert AuditEntry.objects.get(action="audience.created").object_label == "Spring"


@pytest.mark.parametrize(
    ("then", "leads_on"),
    [
        ("/w/else/journeys/?page=2", True),
        ("http://testserver/w/else/", True),
        ("https://evil.example/w/", False),
        ("//evil.example/w/", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_who_saved_on_leaving_goes_on_within_the_console_alone(
    admin: Client, scene: Scene, then: str, leads_on: bool
) -> None:
    made = admin.post(url(scene, "audience_new"), form_of(BATH, name="Bath", then=then))
    own = url(scene, "audience", Audience.objects.get(name="Bath").pk)
    changed = admin.post(own, form_of(EVERY_KIND, then=then))
    refused = admin.post(own, {**one_row(), "then": then})

    assert made["Location"] == changed["Location"] == (then if leads_on else own)
    assert refused.status_code == 422
    assert "data-unsaved>" in refused.content.decode()
    assert "data-unsaved>" not in admin.get(own).content.decode()


def test_a_script_that_saves_gets_what_is_wrong_or_where_to_go(admin: Client, scene: Scene) -> None:
    new = url(scene, "audience_new")
    refused = admin.post(new, {**one_row(), "name": "Bath"}, headers=HTMX)
    made = admin.post(new, form_of(BATH, name="Bath"), headers=HTMX)
    own = url(scene, "audience", Audience.objects.get(name="Bath").pk)
    wrong = admin.post(own, one_row(), headers=HTMX)
    changed = admin.post(own, form_of(EVERY_KIND), headers=HTMX)

    assert refused.status_code == wrong.status_code == 422
    for answer in (refused, wrong):
        shown = answer.content.decode()
        assert "<html" not in shown
        assert "Choose what the condition is about, or remove it." in shown
    assert 'value="Bath"' in refused.content.decode()
    assert made["HX-Redirect"] == changed["HX-Redirect"] == own


def test_what_was_typed_stays_when_it_is_wrong(admin: Client, scene: Scene) -> None:
    data = one_row(subject="tag:spent", operator="at_least", value="<lots>")

    answer = admin.post(url(scene, "audience_new"), {**data, "name": scene.audience.name})

    shown = answer.content.decode()
    assert answer.status_code == 422
    assert "The value must be a number like 12.5." in shown
    assert "Another audience has this name." in shown
    assert 'value="&lt;lots&gt;"' in shown
    assert f'value="{scene.audience.name}"' in shown


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "Choose what the condition is about, or remove it."),
        ({"subject": "tag:gone"}, "“gone” no longer exists."),
        ({"subject": "id:GONE"}, "“GONE” no longer exists."),
        ({"subject": "attribute:amount"}, "“amount” no longer exists."),
        ({"subject": "tag:city", "operator": "equals"}, "Enter a value."),
        ({"subject": "tag:city", "operator": "one_of", "value": " \n"}, "a list of 1 to 1,000"),
        ({"subject": "tag:born", "operator": "on", "value": "2026-1-5"}, "must be a date like"),
        ({"subject": "event:purchase", "times": "0"}, "Enter how many times"),
        ({"subject": "event:purchase", "days": "²"}, "Enter the days"),
        ({"subject": "group"}, "The group is empty."),
        ({"subject": "drop table"}, "no longer exists."),
    ],
)
def test_a_wrong_row_says_what_to_do(
    admin: Client, scene: Scene, row: dict[str, str], said: str
) -> None:
    answer = admin.post(url(scene, "audience_new"), {**one_row(**row), "name": "New"})

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Audience.objects.filter(name="New").exists()


@pytest.mark.parametrize(
    "data",
    [
        {"rows": "999999999999"},
        {"rows": "-1", "match": "some"},
        {"rows": "3", "level-0": "9", "subject-0": "group", "level-1": "x", "subject-2": "\x00"},
        {"rows": "1", "subject-0": "tag:city", "value-0": "x" * 100_000, "operator-0": "drop"},
        {"rows": "200", **{f"level-{n}": "99" for n in range(200)}},
        {"rows": "40", **{f"subject-{n}": "group" for n in range(40)}}
        | {f"level-{n}": str(n + 1) for n in range(40)},
    ],
)
def test_a_hostile_form_is_answered(admin: Client, scene: Scene, data: dict[str, str]) -> None:
    for name in ("audience_rows", "audience_said", "audience_count"):
        assert admin.post(url(scene, name), {**data, "action": "remove:9999"}).status_code == 200
    assert admin.post(url(scene, "audience_new"), data).status_code in {422, 302}


def test_buttons_add_and_remove_rows_and_keep_what_is_typed(admin: Client, scene: Scene) -> None:
    def rows_after(action: str) -> list[tuple[int, str]]:
        page = admin.post(url(scene, "audience_rows"), {**data, "action": action})
        drawn = list(page.context["tree"])
        found = []
        while drawn:
            each = drawn.pop(0)
            found.append((each.row.level, each.row.subject))
            drawn[:0] = each.children
        return found

    data = form_of(
        {"match": "all", "conditions": [EVERY_KIND["conditions"][7], BATH["conditions"][0]]}
    )
    before = [
        (1, "group"),
        (2, "id:EMAIL"),
        (2, "event:purchase"),
        (3, "attribute:amount"),
        (1, "tag:city"),
    ]

    assert rows_after("") == before
    assert rows_after("add:") == [*before, (1, "")]
    assert rows_after("add:0") == [*before[:4], (2, ""), before[4]]
    assert rows_after("add:2") == [*before[:4], (3, ""), before[4]]
    assert rows_after("group:0") == [*before[:4], (2, "group"), (3, ""), before[4]]
    assert rows_after("remove:0") == [before[4]]
    assert rows_after("remove:2") == [*before[:2], before[4]]


def test_the_rows_are_said_counted_and_shown_with_some_people(admin: Client, scene: Scene) -> None:
    for number in range(12):
        make_profile(scene.workspace, tags={"city": "Bath" if number else "Rome"})
    said = admin.post(url(scene, "audience_said"), form_of(BATH)).content.decode()
    counted = admin.post(url(scene, "audience_count"), form_of(BATH))

    assert "People where City is “Bath”." in said
    assert "Counting…" in said
    assert "Still counting." in said
    assert "11 people now" in counted.content.decode()
    assert len(counted.context["people"]) == 10


def test_a_count_that_takes_too_long_is_given_up() -> None:
    with (
        pytest.raises(OperationalError, match="statement timeout"),
        audiences.patience(timedelta(milliseconds=20)),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(5)")


def test_patience_ends_with_its_block_whatever_goes_on_around_it() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        before = cursor.fetchone()
        with audiences.patience(timedelta(seconds=3)):
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("3s",)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == before


def test_two_at_once_are_told_of_one_another(admin: Client, scene: Scene) -> None:
    audience = make_audience(scene.workspace, rules=BATH)
    seen = audience.updated_at.isoformat()
    rome = json.loads(json.dumps(BATH).replace("Bath", "Rome"))
    admin.post(url(scene, "audience", audience.pk), form_of(rome, seen=seen))

    late = admin.post(url(scene, "audience", audience.pk), form_of(BATH, seen=seen))

    audience.refresh_from_db()
    assert late.status_code == 409
    assert "Wang Lei has changed these rules meanwhile: People where City is “Rome”." in (
        late.content.decode()
    )
    assert audience.rules == rome
    again = form_of(BATH, seen=audience.updated_at.isoformat())
    assert admin.post(url(scene, "audience", audience.pk), again).status_code == 302
    audience.refresh_from_db()
    assert audience.rules == BATH


# --- What is done to one as a whole ---------------------------------------------------------------


def test_the_dialog_leads_to_the_rules_or_makes_the_list(admin: Client, scene: Scene) -> None:
    create = url(scene, "audience_create")

    rules = admin.post(create, {"name": "Bath & co", "kind": "rules"}, headers=HTMX)
    of_list = admin.post(create, {"name": "Spring", "kind": "list"}, headers=HTMX)
    taken = admin.post(create, {"name": "Spring", "kind": "rules"}, headers=HTMX)
    nothing = admin.post(create, {"name": " ", "kind": "?"}, headers=HTMX)

    made = Audience.objects.get(name="Spring")
    assert rules["HX-Redirect"] == f"{url(scene, 'audience_new')}?name=Bath+%26+co"
    assert of_list["HX-Redirect"] == url(scene, "audience_upload", made.pk)
    assert (taken.status_code, nothing.status_code) == (422, 422)
    assert "Another audience has this name." in taken.content.decode()


def test_an_audience_is_renamed_and_copied_with_names_of_200_characters(
    admin: Client, scene: Scene
) -> None:
    person = make_profile(scene.workspace)
    audience = make_audience(scene.workspace, people=[person], name="Spring")
    rename = url(scene, "audience_rename", audience.pk)

    assert admin.post(rename, {"name": "x" * 201}).status_code == 422
    assert admin.post(rename, {"name": scene.audience.name}).status_code == 422
    assert admin.post(rename, {"name": "x" * 200}).status_code == 302
    for _twice in range(2):
        admin.post(url(scene, "audience_duplicate", audience.pk))

    names = Audience.objects.filter(name__startswith="xx").order_by("pk")
    assert [each.name for each in names] == [
        "x" * 200,
        "x" * 193 + " (copy)",
        "x" * 191 + " (copy 2)",
    ]
    assert all(each.members.count() == 1 for each in names)


def test_an_audience_in_use_is_not_deleted_and_says_by_what(admin: Client, scene: Scene) -> None:
    journey = scene.journey()
    delete = url(scene, "audience_delete", scene.audience.pk)

    refused = admin.post(delete, headers=HTMX)

    assert refused.status_code == 422
    assert "It is used by: Welcome." in refused.content.decode()
    journey.is_archived = True
    journey.save()
    assert admin.post(delete, headers=HTMX)["HX-Redirect"] == url(scene, "audiences")
    assert not Audience.objects.filter(pk=scene.audience.pk).exists()
    assert AuditEntry.objects.filter(action="audience.deleted").exists()


def test_who_changes_an_audience_is_warned_of_journeys_not_started(
    admin: Client, scene: Scene
) -> None:
    audience = make_audience(scene.workspace, rules=BATH)
    at = timezone.now() + timedelta(days=2)
    journey = scene.journey(audiences=(audience.pk,), when=When.AT, at=at)
    before = admin.get(url(scene, "audience", audience.pk)).content.decode()
    publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )

    after = admin.get(url(scene, "audience", audience.pk)).content.decode()

    unused = make_audience(scene.workspace, name="Of nobody", rules=BATH)
    assert "Used in 1 journey" in before
    assert "Not used in a journey" in (
        admin.get(url(scene, "audience", unused.pk)).content.decode()
    )
    assert "has not started yet" not in before
    assert "“Welcome” has not started yet." in after


def test_the_start_panel_leads_to_the_audience_and_to_a_new_one(
    admin: Client, marketer: Client, scene: Scene
) -> None:
    journey = scene.journey()
    panel = url(scene, "panel", journey.pk, journey.draft["start"]["key"])

    for client, leads_on in ((admin, "New audience"), (marketer, "Look at the audiences")):
        shown = client.get(panel).content.decode()
        assert f'href="{url(scene, "audience", scene.audience.pk)}"' in shown
        assert leads_on in shown


# --- Files ----------------------------------------------------------------------------------------


def file_of(scene: Scene, content: bytes, **fields: str) -> dict[str, Any]:
    return {
        "file": SimpleUploadedFile("people.csv", content),
        "source": str(scene.source.pk),
        "encoding": "utf-8",
        **fields,
    }


def test_a_file_is_looked_into_and_nothing_is_written(admin: Client, scene: Scene) -> None:
    person = make_profile(scene.workspace)
    make_identifier(person, scene.mobile, "13800000001", source=scene.source)
    audience = make_audience(scene.workspace)
    content = b"MOBILE\n138 0000 0001\n13800000077\nx\n"

    shown = admin.post(url(scene, "audience_look", audience.pk), file_of(scene, content))

    found = shown.context["found"]
    assert found.id_type == scene.mobile
    assert (found.report.accepted, found.unknown, found.wrong) == (1, 1, 1)
    assert found.first[0] == (2, ["138 0000 0001"])
    assert [reject.line for reject in found.rejects] == [4]
    assert audience.members.count() == 0
    assert not AuditEntry.objects.filter(action="audience.imported").exists()


def test_only_the_beginning_of_a_long_file_is_looked_into(admin: Client, scene: Scene) -> None:
    audience = make_audience(scene.workspace)
    content = b"MOBILE\n" + b"".join(b"138%08d\n" % number for number in range(10_500))

    shown = admin.post(url(scene, "audience_look", audience.pk), file_of(scene, content))

    assert not shown.context["found"].is_all
    assert "These numbers are about its first 10,000 lines." in shown.content.decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"CITY\nBath\n", "“CITY” is not known here."),
        (b"MOBILE,EMAIL\n1,2\n", "An audience file has one ID column."),
        (b"MOBILE\n\xff\xfe\xfd\n", "is not UTF-8"),
        (b'{"MOBILE": "13800000001", "NAME": {"a": 1}}\n', "“NAME” is not known here."),
    ],
)
def test_a_file_that_cannot_be_read_says_so_before_the_import(
    admin: Client, scene: Scene, content: bytes, said: str
) -> None:
    audience = make_audience(scene.workspace)

    shown = admin.post(url(scene, "audience_look", audience.pk), file_of(scene, content))

    assert shown.status_code == 200
    assert said in shown.content.decode().replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("MOBILE\n张三\n".encode("gb18030"), "Line 2 is not UTF-8."),
        (b"", "The submitted file is empty."),
    ],
)
def test_a_file_that_cannot_be_imported_is_explained_at_its_field(
    admin: Client, scene: Scene, content: bytes, said: str
) -> None:
    audience = make_audience(scene.workspace)

    shown = admin.post(url(scene, "audience_upload", audience.pk), file_of(scene, content))

    assert shown.status_code == 422
    assert said in shown.context["form"].errors["file"][0]


def test_a_file_comes_from_no_source_of_another_tenant(admin: Client, scene: Scene) -> None:
    audience = make_audience(scene.workspace)
    source = str(make_workspace().data_sources.get().pk)
    sent = file_of(scene, b"MOBILE\n13800000077\n", source=source)

    shown = admin.post(url(scene, "audience_upload", audience.pk), sent)

    assert shown.status_code == 422
    assert "source" in shown.context["form"].errors
    assert audience.members.count() == 0


def test_an_import_says_what_came_of_it_and_its_rejects_are_downloaded(
    admin: Client, marketer: Client, scene: Scene
) -> None:
    audience = make_audience(scene.workspace)
    content = b"MOBILE\n13800000077\nx\n"
    upload = url(scene, "audience_upload", audience.pk)

    shown = admin.post(upload, file_of(scene, content, create_people="on"))
    rejects = admin.get(url(scene, "audience_rejects", audience.pk))

    assert "1 of 2 lines are in." in shown.content.decode()
    assert shown.content.decode().count("A mobile number has 5 to 15 digits") == 1
    assert audience.members.count() == 1
    assert "audience.imported" in AuditEntry.objects.values_list("action", flat=True)
    assert rejects["Content-Type"] == "text/csv; charset=utf-8"
    assert '3,MOBILE,"A mobile number has 5 to 15 digits' in rejects.content.decode()
    assert marketer.get(url(scene, "audience_rejects", audience.pk)).status_code == 403
    assert admin.post(upload, {}).status_code == 422


def test_an_audience_of_rules_takes_no_file(admin: Client, scene: Scene) -> None:
    audience = make_audience(scene.workspace, rules=BATH)

    assert admin.get(url(scene, "audience_upload", audience.pk)).status_code == 404
    assert admin.get(url(scene, "audience_rejects", audience.pk)).status_code == 404
