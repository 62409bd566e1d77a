"""Live events: in by the API, once, and out to the runner, once."""

import json
import time
import tracemalloc
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from identity import ingestion
from identity.api import throttling
from identity.ingestion import ItemResult, Taken
from identity.models import Event, Identifier, IdType, IncomingEvent, MappingKey, Profile
from tests.identity.factories import (
    NOW,
    make_data_source,
    make_event_type,
    make_id_type,
    make_identifier,
    make_plain_workspace,
    make_profile,
)
from workspaces import api_keys
from workspaces.choices import Scope
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    workspace = make_plain_workspace()
    make_id_type(workspace, "ONEID", multi_value=False, in_mapping=True)
    make_id_type(workspace, "MOBILE", in_mapping=True)
    make_id_type(workspace, "OPEN_ID")
    make_event_type(
        workspace,
        "purchase",
        attributes={"amount": "number", "shop": "text", "day": "date", "gift": "boolean"},
        required=("amount",),
    )
    return workspace


def item(event_id: Any = "e1", /, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "event_type": "purchase",
        "ids": {"ONEID": "A1"},
        "occurred_at": NOW.isoformat(),
        "attributes": {"amount": 50},
        **fields,
    }


def receive(workspace: Workspace, *items: Any, now: datetime = NOW) -> list[ItemResult]:
    return ingestion.receive(workspace=workspace, items=items, now=now)


def statuses(results: list[ItemResult]) -> list[tuple[str, str]]:
    return [(result.status, result.code) for result in results]


def take(limit: int = 100) -> list[Taken]:
    with transaction.atomic(), connection.cursor() as cursor:
        return ingestion.take(cursor, limit=limit, now=NOW)


def test_an_event_of_somebody_new_makes_a_person_and_is_queued(workspace: Workspace) -> None:
    results = receive(workspace, item(ids={"ONEID": "A1", "MOBILE": "138 0000 0001"}))

    assert results == [ItemResult(0, "e1", "accepted")]
    event = Event.objects.get()
    assert event.attributes == {"amount": 50}
    assert set(event.profile.identifiers.values_list("value", flat=True)) == {"A1", "13800000001"}
    assert IncomingEvent.objects.get().taken_at is None


def test_an_event_of_somebody_known_finds_the_person(workspace: Workspace) -> None:
    receive(workspace, item("e1"))

    receive(workspace, item("e2", ids={"ONEID": "A1"}, occurred_at=None))

    assert Profile.objects.count() == 1
    assert Event.objects.get(event_id="e2").occurred_at == NOW
    assert Identifier.objects.get().last_seen == NOW


def test_an_event_sent_again_is_a_duplicate_in_any_call(workspace: Workspace) -> None:
    first = receive(workspace, item("e1"), item("e1", attributes={"amount": 7}))
    again = receive(workspace, item("e1"))

    assert statuses(first) == [("accepted", ""), ("duplicate", "duplicate")]
    assert statuses(again) == [("duplicate", "duplicate")]
    assert Event.objects.get().attributes == {"amount": 50}
    assert IncomingEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"event_type": "refund"}, "unknown_event_type", "There is no event type “refund”."),
        ({"event_type": None}, "unknown_event_type", "The event type is missing."),
        ({"ids": {}}, "missing_user_id", "No ID says whose this is."),
        ({"ids": ["A1"]}, "invalid_id", "“ids” must be an object of IDs by ID type."),
        ({"ids": {"MOBILE": "x"}}, "invalid_id", "A mobile number has 5 to 15 digits; “+”, "),
        ({"ids": {"ONEID": ["A1"]}}, "invalid_id", "An ID must be a text."),
        ({"ids": {"MOBIL": "1"}}, "unknown_field", "“MOBIL” is not known here."),
        ({"ids": {"OPEN_ID": "o-1"}}, "unknown_person", "Nobody is known by this ID. Send an ID "),
        ({"attributes": {"amount": "50"}}, "invalid_attribute", "“amount” must be a number "),
        ({"attributes": {"amount": True}}, "invalid_attribute", "“amount” must be a number "),
        ({"attributes": {}}, "missing_attribute", "The attribute “amount” is missing."),
        (
            {"attributes": {"amount": 1, "day": "soon"}},
            "invalid_attribute",
            "“day” must be a date like 2026-11-24 or 2026-11-24T10:00:00Z.",
        ),
        (
            {"attributes": {"amount": 1, "color": "red"}},
            "unknown_attribute",
            "The event type “purchase” has no attribute “color”.",
        ),
        ({"attributes": 5}, "invalid_attribute", "“attributes” must be an object."),
        ({"event_id": ""}, "invalid_event_id", "The event id is missing."),
        ({"event_id": "x" * 101}, "invalid_event_id", "An event id has at most 100 characters"),
        (
            {"occurred_at": (NOW - timedelta(days=8)).isoformat()},
            "too_old",
            "The event is older than 7 days. Import it from a file: import_events.",
        ),
        (
            {"occurred_at": (NOW + timedelta(minutes=6)).isoformat()},
            "in_future",
            "The time lies in the future.",
        ),
        ({"occurred_at": "yesterday"}, "invalid_time", "A time must look like 2026-11-24 or "),
        ({"occurred_at": 5}, "invalid_time", "A time must look like 2026-11-24 or "),
        ({"attributes": {"amount": 1, "shop": "a\x00b"}}, "invalid_attribute", "“shop” must be"),
        ({"attributes": {"amount": 1, "shop": "\ud800"}}, "invalid_attribute", "“shop” must be"),
    ],
)
def test_a_bad_event_is_refused_with_a_sentence_and_the_good_one_beside_it_is_not(
    workspace: Workspace, fields: dict[str, Any], code: str, message: str
) -> None:
    bad, good = receive(workspace, item("bad", **fields), item("good", ids={"ONEID": "A2"}))

    assert (bad.status, bad.code) == ("rejected", code)
    assert bad.message.startswith(message)
    assert good.status == "accepted"
    assert list(Event.objects.values_list("event_id", flat=True)) == ["good"]


def test_what_is_no_object_is_refused(workspace: Workspace) -> None:
    assert statuses(receive(workspace, "e1", None, item("e2"))) == [
        ("rejected", "invalid"),
        ("rejected", "invalid"),
        ("accepted", ""),
    ]


def test_an_id_of_several_people_is_nobodys(workspace: Workspace) -> None:
    open_id, source = IdType.objects.get(code="OPEN_ID"), make_data_source(workspace)
    for _person in range(2):
        make_identifier(make_profile(workspace), open_id, "o-1", source=source)

    assert statuses(receive(workspace, item(ids={"OPEN_ID": "o-1"}))) == [
        ("rejected", "several_people")
    ]


def test_an_event_can_merge_two_people(workspace: Workspace) -> None:
    receive(workspace, item("e1", ids={"ONEID": "A1"}), item("e2", ids={"MOBILE": "13800000001"}))

    receive(workspace, item("e3", ids={"ONEID": "A1", "MOBILE": "13800000001"}))

    survivor = Profile.objects.get(merged_into=None)
    assert set(MappingKey.objects.values_list("profile", flat=True)) == {survivor.pk}
    assert {event.qaid for event in take()} == {survivor.qaid}


def test_events_are_taken_once_the_oldest_first(workspace: Workspace) -> None:
    receive(workspace, item("e1"), item("e2"), item("e3", attributes={"amount": 1, "gift": True}))

    assert [event.event_id for event in take(limit=2)] == ["e1", "e2"]
    (last,) = take(limit=2)
    assert last.attributes == {"amount": 1, "gift": True}
    assert last.workspace_id == workspace.pk
    assert take() == []


def test_old_ids_are_forgotten_and_waiting_events_are_not(workspace: Workspace) -> None:
    receive(workspace, item("taken"), now=NOW)
    take()
    receive(workspace, item("waiting"), now=NOW)

    assert ingestion.prune(now=NOW + timedelta(days=7)) == 0
    assert ingestion.prune(now=NOW + timedelta(days=9)) == 1
    assert IncomingEvent.objects.get().event_id == "waiting"


def test_a_call_costs_the_same_queries_for_one_event_and_for_many(
    workspace: Workspace, django_assert_num_queries: Any
) -> None:
    for event_id in ("first", "second"):
        receive(workspace, item(event_id))
    of_somebody_known = 22

    with django_assert_num_queries(of_somebody_known):
        receive(workspace, item("one"))
    with django_assert_num_queries(of_somebody_known):
        receive(workspace, *(item(f"e{number}") for number in range(200)))


# --- over HTTP --------------------------------------------------------------------------------


@pytest.fixture
def secret(workspace: Workspace) -> str:
    return api_keys.create(
        workspace=workspace, name="Shop", scopes=[Scope.EVENTS_WRITE], actor=None
    ).secret


def post(secret: str, body: Any, **headers: str) -> Any:
    return Client().post(
        "/api/v1/events/",
        body if isinstance(body, str | bytes) else json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret}", **headers},
    )


def test_the_api_answers_each_event(workspace: Workspace, secret: str) -> None:
    now = timezone.now().isoformat()

    answer = post(secret, {"events": [item("e1", occurred_at=now), item("e2", event_type="x")]})

    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1
    assert answer.json()["results"][0] == {
        "index": 0,
        "id": "e1",
        "status": "accepted",
        "code": "",
        "message": "",
    }
    assert answer.json()["results"][1]["code"] == "unknown_event_type"
    assert Event.objects.get().workspace_id == workspace.pk


def test_a_call_takes_a_thousand_events_and_answers_each(workspace: Workspace, secret: str) -> None:
    now = timezone.now().isoformat()
    sent = [
        item(f"e{number}", occurred_at=now, ids={"ONEID": f"A{number % 10}"})
        for number in range(1_000)
    ]

    answer = post(secret, {"events": sent}).json()

    assert answer["accepted"] == 1_000
    assert [(each["index"], each["id"]) for each in answer["results"]] == [
        (number, f"e{number}") for number in range(1_000)
    ]
    assert Event.objects.count() == 1_000


def test_names_that_mean_nothing_cost_next_to_nothing(workspace: Workspace) -> None:
    names = iter(range(600_000))
    own = [item(f"e{n}", **{f"x{next(names)}": "" for _ in range(200)}) for n in range(500)]
    ids = [item(f"i{n}", ids={f"x{next(names)}": "1" for _ in range(200)}) for n in range(500)]

    tracemalloc.start()
    results = receive(workspace, *own, *ids)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert set(statuses(results)) == {("rejected", "unknown_field")}
    assert "“x0” is not known here." in results[0].message
    assert peak < 20_000_000


def test_half_a_surrogate_is_answered_like_any_bad_event(secret: str) -> None:
    answer = post(secret, {"events": [item("\ud800"), item("e2", event_type="\udfff")]})

    assert answer.status_code == 200
    assert [each["id"] for each in answer.json()["results"]] == ["?", "e2"]
    assert [each["code"] for each in answer.json()["results"]] == [
        "invalid_event_id",
        "unknown_event_type",
    ]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("{", 400, "The request is not JSON in UTF-8."),
        ("[" * 100_000, 400, "The request is not JSON in UTF-8."),
        (b'{"events": ["\xff"]}', 400, "The request is not JSON in UTF-8."),
        ({}, 400, "Send an object with the list “events”."),
        ({"events": []}, 400, "Send 1 to 1,000 events at a time."),
        ({"events": [{}] * 1001}, 400, "Send 1 to 1,000 events at a time."),
        (" " * (5 * 1024 * 1024 + 1), 413, "The request is larger than 5 MB. Send fewer events "),
    ],
)
def test_a_body_that_is_no_list_of_events_is_refused_whole(
    secret: str, body: Any, status: int, sentence: str
) -> None:
    answer = post(secret, body)

    assert answer.status_code == status
    assert answer.json()["detail"].startswith(sentence)


def test_who_reports_more_than_can_be_taken_is_asked_to_wait(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "WAITING_AT_MOST", 3)
    monkeypatch.setattr(throttling, "_LOOK_SECONDS", 0)
    assert post(secret, {"events": [item(f"e{number}") for number in range(4)]}).status_code == 200

    refused = post(secret, {"events": [item("e4")]})

    assert (refused.status_code, refused["Retry-After"]) == (429, "5")
    assert ingestion.waiting() == 4
    with transaction.atomic(), connection.cursor() as cursor:
        ingestion.take(cursor, limit=2, now=timezone.now())
    assert post(secret, {"events": [item("e4")]}).status_code == 200


def test_all_processes_together_have_the_calls_of_a_minute(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    monkeypatch.setattr(throttling, "CALLS_A_MINUTE", 5)
    monkeypatch.setattr(throttling, "CALLS_AT_ONCE", 3)
    while timezone.now().second > 55:
        time.sleep(0.1)
    statuses: list[int] = []

    for _process in range(3):
        monkeypatch.setattr(throttling.EventsThrottle, "_taken", (0, {}))
        statuses += [post(secret, {"events": [item("e")]}).status_code for _ in range(3)]

    assert statuses == [200] * 5 + [429] * 4


def test_calls_are_counted_by_the_minute(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(throttling, "CALLS_A_MINUTE", 2)
    bodies = [{"events": [item(f"e{number}")]} for number in range(6)]

    answers = [post(secret, body) for body in bodies]

    assert 429 in {answer.status_code for answer in answers}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 0 < int(refused["Retry-After"]) <= 60
