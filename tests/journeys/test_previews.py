import json
from dataclasses import replace
from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from journeys import context, previews
from journeys.component import Context
from journeys.components.event import Condition
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.models import Journey
from tests.identity.factories import make_audience, make_event
from tests.journeys.factories import NOW, SHOP, Scene, make_purchase, make_scene
from webhooks.choices import Encryption
from webhooks.rendering import EmptyRule, Source, Variable

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def load(scene: Scene, journey: Journey) -> Context:
    document = Document.from_json(journey.draft)
    return context.load(workspace=scene.workspace, documents=[document], now=NOW)


def draw(
    scene: Scene, journey: Journey, number: int = 0, *, in_clear: bool = True
) -> previews.LivePreview:
    loaded = load(scene, journey)
    sample = previews.samples(loaded, in_clear=in_clear)[number]
    (step,) = loaded.document.steps
    config = WebhookConfig.from_json(step.config)
    return previews.draw(loaded, config, sample=sample, name=step.name, in_clear=in_clear)


# --- Coverage and fill rates ----------------------------------------------------------------------


def test_coverage_counts_whom_each_id_type_reaches(scene: Scene) -> None:
    found = previews.coverage(load(scene, scene.journey()), [scene.mobile, scene.email])

    assert (found.people, found.covered) == (3, {scene.mobile.pk: 2, scene.email.pk: 2})


def test_coverage_counts_somebody_in_two_audiences_once(scene: Scene) -> None:
    other = make_audience(scene.workspace, people=scene.people[:2])
    journey = scene.journey(audiences=(scene.audience.pk, other.pk))

    assert previews.coverage(load(scene, journey), [scene.mobile]).people == 3


def test_coverage_without_a_start_is_nobody(scene: Scene) -> None:
    found = previews.coverage(load(scene, scene.journey(audiences=())), [scene.mobile])

    assert found.is_nobody
    assert found.covered == {scene.mobile.pk: 0}


def test_coverage_of_an_event_start_looks_at_the_last_30_days(scene: Scene) -> None:
    purchase = make_purchase(scene)
    journey = scene.event_journey(purchase)
    assert previews.coverage(load(scene, journey), [scene.mobile]).is_nobody

    make_event(scene.people[0], purchase, occurred_at=NOW - timedelta(days=29))
    make_event(scene.people[0], purchase, occurred_at=NOW - timedelta(days=3))
    make_event(scene.people[1], purchase, occurred_at=NOW - timedelta(days=31))

    found = previews.coverage(load(scene, journey), [scene.mobile])
    assert (found.people, found.covered) == (1, {scene.mobile.pk: 1})


def test_fill_rates_tell_how_many_have_a_value(scene: Scene) -> None:
    scene.workspace.tags.filter(code="orders").update(sensitive=True)
    loaded = load(scene, scene.journey())

    found = previews.fill_rates(loaded, in_clear=False)

    nickname = found[Source.TAG, "nickname"]
    assert (nickname.filled, nickname.total, nickname.percent) == (2, 3, 66)
    assert nickname.example == "Zhang San"
    assert found[Source.TAG, "orders"] == previews.FillRate(1, 3, "")
    assert previews.fill_rates(loaded, in_clear=True)[Source.TAG, "orders"].example == "3"


def test_what_was_counted_is_kept_for_one_workspace_alone(scene: Scene) -> None:
    other = make_scene()
    loaded = [load(each, each.journey()) for each in (scene, other)]
    mine, theirs = (context.of(each, replace(each.document, start=None)) for each in loaded)

    keys = [previews.kept_under("rates", each, [True]) for each in (mine, theirs)]
    assert keys[0] != keys[1]
    assert keys[0] == previews.kept_under("rates", mine, [True])


def test_fill_rates_of_attributes_count_events(scene: Scene) -> None:
    purchase = make_purchase(scene)
    make_event(scene.people[0], purchase, occurred_at=NOW, attributes={"shop": "Berlin"})
    make_event(scene.people[0], purchase, occurred_at=NOW, attributes={"shop": ""})
    make_event(scene.people[1], purchase, occurred_at=NOW, attributes={"amount": 0})

    found = previews.fill_rates(load(scene, scene.event_journey(purchase)), in_clear=True)

    assert found[Source.EVENT, "shop"] == previews.FillRate(1, 3, "Berlin")
    assert found[Source.EVENT, "amount"] == previews.FillRate(1, 3, "0")
    assert found[Source.TAG, "nickname"] == previews.FillRate(1, 2, "Zhang San")


def test_fill_rates_cost_the_same_with_many_tags(
    scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    loaded = load(scene, scene.journey())

    with django_assert_max_num_queries(1):
        previews.fill_rates(loaded, in_clear=True)


def test_last_weeks_events_say_how_many_a_day_to_expect(scene: Scene) -> None:
    purchase = make_purchase(scene)
    for days, amount in ((1, 80), (2, 60), (3, 10), (8, 90)):
        at = NOW - timedelta(days=days)
        make_event(scene.people[0], purchase, occurred_at=at, attributes={"amount": amount})
    journey = scene.event_journey(purchase, conditions=(Condition("amount", "at_least", 50),))

    assert previews.expected_a_day(load(scene, journey)) == pytest.approx(2 / 7)
    assert previews.expected_a_day(load(scene, scene.journey())) is None


# --- The live preview -----------------------------------------------------------------------------


def test_the_preview_is_the_request_of_a_real_person(scene: Scene) -> None:
    drawn = draw(scene, scene.journey())

    body = json.loads(drawn.body)
    (recipient,) = body["recipients"]
    assert recipient["id"] == "13800000001"
    assert recipient["params"] == {"content": "Dear Zhang San Hello"}
    assert drawn.head.startswith("POST /marketing HTTP/1.1\nhost: crm.example.com\n")
    assert "webhook-signature: v1,…" in drawn.head
    assert [piece.kind for piece in drawn.texts["content"]] == ["literal", "value", "literal"]


def test_defaults_are_marked(scene: Scene) -> None:
    drawn = draw(scene, scene.journey(), 1)

    assert [(each.kind, each.text) for each in drawn.texts["content"]] == [
        ("literal", "Dear "),
        ("default", "Member"),
        ("literal", " Hello"),
    ]


def test_whoever_would_be_skipped_is_told_why(scene: Scene) -> None:
    assert draw(scene, scene.journey(), 2).skipped == (
        "Skipped: no Mobile is known in any data source."
    )
    orders = Variable("orders", Source.TAG, "orders", EmptyRule.SKIP)
    config = scene.config(values={"content": "${orders}"}, variables={"content": (orders,)})
    assert draw(scene, scene.journey(steps=[config]), 1).skipped == (
        "Skipped: “orders” has no value."
    )


def test_ids_are_masked_without_the_right_to_see_people(scene: Scene) -> None:
    drawn = draw(scene, scene.journey(), in_clear=False)

    assert drawn.sample is not None
    assert drawn.sample.label == "138****0001"
    assert json.loads(drawn.body)["recipients"][0]["id"] == "138****0001"
    assert "13800000001" not in drawn.head + drawn.body


def test_an_encrypted_id_is_shown_as_it_goes_out_to_who_may_see_people(scene: Scene) -> None:
    journey = scene.journey(steps=[scene.config(encryption=Encryption.MD5)])

    clear = json.loads(draw(scene, journey).body)
    masked = json.loads(draw(scene, journey, in_clear=False).body)

    assert clear["recipients"][0]["id"] == "4d009f30087e9aa9f5b5806d5f350017"
    # Ten digits are tried out in minutes: a whole hash would be as good as the number.
    assert masked["recipients"][0]["id"] == masked["recipients"][0]["reach_id"] == "4d00****"


def test_what_somebody_did_is_hidden_without_the_right_to_see_people(scene: Scene) -> None:
    purchase = make_purchase(scene)
    make_event(scene.people[0], purchase, occurred_at=NOW, attributes={"shop": "Berlin"})
    shop = Variable("shop", Source.EVENT, "shop", EmptyRule.SKIP)
    config = scene.config(values={"content": "At ${shop}"}, variables={"content": (shop,)})
    journey = scene.event_journey(purchase, steps=[config])

    clear, hidden = (draw(scene, journey, in_clear=right) for right in (True, False))
    rates = previews.fill_rates(load(scene, journey), in_clear=False)

    assert json.loads(clear.body)["recipients"][0]["params"] == {"content": "At Berlin"}
    assert json.loads(hidden.body)["recipients"][0]["params"] == {"content": "At ****"}
    assert rates[Source.EVENT, "shop"].example == ""


def test_a_sensitive_tag_is_hidden_without_the_right_to_see_people(scene: Scene) -> None:
    scene.workspace.tags.filter(code="nickname").update(sensitive=True)
    journey = scene.journey()

    drawn = draw(scene, journey, in_clear=False)

    assert json.loads(drawn.body)["recipients"][0]["params"] == {"content": "Dear **** Hello"}
    assert "Zhang San" not in f"{drawn.texts}{drawn.content}{drawn.body}"
    assert "Dear Member Hello" in draw(scene, journey, 1, in_clear=False).body
    assert "Dear Zhang San Hello" in draw(scene, journey).body


def test_an_event_preview_uses_the_latest_events_that_match(scene: Scene) -> None:
    purchase = make_purchase(scene)
    make_event(
        scene.people[0],
        purchase,
        event_id="older",
        occurred_at=NOW - timedelta(days=1),
        attributes={"shop": "Berlin", "amount": 60},
    )
    make_event(scene.people[1], purchase, occurred_at=NOW, attributes={"amount": 1})
    config = scene.config(values={"content": "At ${shop}"}, variables={"content": (SHOP,)})
    journey = scene.event_journey(
        purchase, steps=[config], conditions=(Condition("amount", "at_least", 50),)
    )

    drawn = draw(scene, journey)

    assert drawn.sample is not None
    assert drawn.sample.event_id == "older"
    assert json.loads(drawn.body)["recipients"][0]["params"] == {"content": "At Berlin"}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (WebhookConfig(), "Choose a webhook to see its request."),
        ("no id type", "Choose the ID type to send to see the request."),
        ("unknown variable", "content: “x” is not a variable here."),
    ],
)
def test_what_cannot_be_drawn_yet_says_what_is_missing(
    scene: Scene, config: WebhookConfig | str, problem: str
) -> None:
    if config == "no id type":
        config = WebhookConfig.from_json(scene.config(id_type=None))
    elif config == "unknown variable":
        config = WebhookConfig.from_json(scene.config(values={"content": "${x}"}))
    assert isinstance(config, WebhookConfig)
    loaded = load(scene, scene.journey(steps=[config.to_json()]))
    (sample, *_rest) = previews.samples(loaded, in_clear=True)

    drawn = previews.draw(loaded, config, sample=sample, name="", in_clear=True)

    assert drawn.problem.startswith(problem)
    assert drawn.body == ""


def test_with_nobody_there_is_nothing_to_draw(scene: Scene) -> None:
    journey = scene.journey()
    loaded = load(scene, journey)
    (step,) = loaded.document.steps
    config = WebhookConfig.from_json(step.config)

    drawn = previews.draw(loaded, config, sample=None, name="", in_clear=True)

    assert drawn.problem == "There is nobody to preview with yet."
