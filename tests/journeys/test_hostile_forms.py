"""What no browser posts: every field of the editor answers with a sentence, never with a 500."""

import json
from typing import Any, Final

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.journeys.factories import Scene, make_purchase, make_scene
from tests.journeys.test_views_editor import CONTENT, client_of, dialog, posted, step_of, url

pytestmark = pytest.mark.django_db

DEEP: Final = "[" * 3_000
NUMBERS: Final = ("²", "9" * 30, "9" * 5_000)
MOMENTS: Final = ("0000", "9" * 30, "2099-13-45T10:00", "0001-01-01T00:00", "9999-12-31T23:59")
OBJECTS: Final = (
    DEEP,
    "[1]",
    '{"content": {"name": 1}}',
    '{"content": [{"name": [], "source": "tag", "code": "nickname"}]}',
)
# Escaped in JSON, these pass every check of a form field.
UNKEPT: Final = ("\\u0000", "\\ud800")


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def statuses(client: Client, address: str, data: dict[str, Any], **hostile: Any) -> set[int]:
    """Post once for each hostile value of each field, each from the same state."""
    found = set()
    for field, values in hostile.items():
        for value in values:
            before = transaction.savepoint()
            found.add(client.post(address, {**data, field: value}).status_code)
            transaction.savepoint_rollback(before)
    return found


def test_the_webhooks_panel(scene: Scene) -> None:
    journey = scene.journey()
    client, data = client_of(scene.member), posted(scene, journey)
    address = url(journey, "panel", step_of(journey))
    numbers = {"webhook": NUMBERS, "id_type": NUMBERS, "reach_id_type": NUMBERS}

    assert statuses(client, address, data, revision=NUMBERS) <= {409}
    assert statuses(client, address, data, **numbers) == {422}
    assert statuses(client, address, data, variables=OBJECTS) == {422}
    assert statuses(client, address, data, kept=OBJECTS) <= {204}
    assert statuses(client, address, data, name=["a\x00b"], **{CONTENT: ["a\x00b"]}) == {422}
    preview = url(journey, "preview", step_of(journey))
    assert statuses(client, preview, data, person=NUMBERS, variables=OBJECTS) == {200}


@pytest.mark.parametrize("unkept", UNKEPT)
def test_a_text_that_the_database_does_not_take(scene: Scene, unkept: str) -> None:
    journey = scene.journey()
    variables = json.dumps(journey.draft["steps"][0]["config"]["variables"])
    data = posted(scene, journey, variables=variables.replace("Member", unkept))

    response = client_of(scene.member).post(url(journey, "panel", step_of(journey)), data)

    assert response.status_code == 422
    assert "“name” is not a variable here." in response.content.decode()


def test_the_starts_panels(scene: Scene) -> None:
    client = client_of(scene.member)
    journey = scene.journey()
    audience = {
        "revision": str(journey.draft_revision),
        "name": "All",
        "audiences": str(scene.audience.pk),
        "when": "at",
        "at": "2099-01-01T00:00",
    }
    purchase = make_purchase(scene)
    listening = scene.event_journey(purchase)
    event = {
        "revision": str(listening.draft_revision),
        "name": "Bought",
        "event_type": str(purchase.pk),
        "match": "all",
        "reentry": "after_days",
        "reentry_days": "3",
        "condition_attribute": "shop",
        "condition_op": "equals",
        "condition_value": "north",
    }

    address = url(journey, "panel", journey.draft["start"]["key"])
    assert statuses(client, address, audience, audiences=NUMBERS, at=MOMENTS) == {422}
    people = url(journey, "start_people", journey.draft["start"]["key"])
    assert statuses(client, people, audience, audiences=NUMBERS, at=MOMENTS) == {200}
    address = url(listening, "panel", listening.draft["start"]["key"])
    assert statuses(client, address, event, event_type=NUMBERS) == {422}
    assert statuses(client, address, event, reentry_days=NUMBERS) <= {204, 422}
    assert statuses(client, address, event, condition_value=["a\x00b"]) == {204}
    amount = {**event, "condition_attribute": "amount"}
    assert statuses(client, address, amount, condition_value=[*NUMBERS, "1e999"]) <= {204, 422}


def test_the_dialogs(scene: Scene) -> None:
    journey = scene.journey()
    client, step = client_of(scene.member), step_of(journey)
    variable = dialog(scene, journey)

    for name in ("variable", "variable_insert", "variable_preview", "variable_rates"):
        found = statuses(
            client, url(journey, name, step), variable, variables=OBJECTS, cursor=NUMBERS
        )
        assert found <= {200, 422}, name


def test_the_search(scene: Scene) -> None:
    address = reverse("journeys:list", args=[scene.workspace.slug])

    response = client_of(scene.member).get(address, {"q": "a\x00b", "state": "\x00"})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "config",
    [
        {"webhook": {"a": 1}},
        {"webhook": "²"},
        {"revision": 10**30},
        {"values": [1]},
        {"values": {"content": {"a": 1}}},
        {"variables": {"content": [{"name": [], "source": "tag", "code": "nickname"}]}},
        {"variables": 7},
        {"values": {"content": "\ud800"}},
        {"id_type": [1]},
    ],
)
def test_a_test_of_a_step_that_nobody_has_drawn_is_not_taken(
    scene: Scene, config: dict[str, Any]
) -> None:
    journey = scene.journey()
    step = journey.draft["steps"][0]
    panel = {**step, "config": {**step["config"], **config}}
    client = client_of(scene.member)

    for name in ("test_send", "test_values"):
        for given in (json.dumps(panel), DEEP, "[]", ""):
            response = client.post(url(journey, name, step_of(journey)), {"panel": given})
            assert response.status_code == 404, (name, given[:60])
