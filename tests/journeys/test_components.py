from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from journeys import components, context
from journeys.component import Context, Problem
from journeys.components.event import Condition, EventConfig, Match, Reentry
from journeys.components.webhook import WebhookConfig
from journeys.definition import Document
from journeys.forms.webhook import WebhookForm
from journeys.models import Journey
from tests.factories import make_member
from tests.journeys.factories import NICKNAME, NOW, SHOP, Scene, make_purchase, make_scene
from tests.webhooks.factories import make_choice_list, make_webhook
from webhooks import control, registering
from webhooks.choices import Encryption, ParameterType
from webhooks.models import Parameter
from webhooks.rendering import EmptyRule, Source, Variable
from workspaces.choices import Preset
from workspaces.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def load(scene: Scene, journey: Journey, **options: Any) -> Context:
    document = Document.from_json(journey.draft)
    return context.load(workspace=scene.workspace, documents=[document], now=NOW, **options)


def problems(scene: Scene, journey: Journey) -> list[Problem]:
    loaded = load(scene, journey, user=scene.member)
    return [
        problem
        for step in loaded.document
        for problem in components.of(step).problems(step, loaded)
    ]


def codes(scene: Scene, journey: Journey) -> list[tuple[str, str]]:
    return [(problem.field, problem.code) for problem in problems(scene, journey)]


def edit(journey: Journey, number: int = 0, **config: Any) -> None:
    """Change a step's config as it is stored, past the checks of a save."""
    journey.draft["steps"][number]["config"].update(config)
    journey.save(update_fields=["draft"])


def test_a_complete_journey_has_no_problem(scene: Scene) -> None:
    journey = scene.journey()

    assert problems(scene, journey) == []


def test_summaries_say_what_a_step_does(scene: Scene) -> None:
    journey = scene.journey()
    loaded = load(scene, journey)

    start, step = loaded.document
    assert components.of(start).summary(start, loaded) == "Members · Now"
    assert components.of(step).summary(step, loaded) == "CRM coupons · Mobile"


def test_the_picker_offers_starts_and_steps() -> None:
    assert [each.code for each in components.starts()] == ["audience", "event"]
    assert [each.code for each in components.addable()] == ["webhook"]
    assert components.COMPONENTS["end"].icon == "flag"


# --- Audience start -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"audiences": []}, ("audiences", "required")),
        ({"audiences": list(range(1000, 1021))}, ("audiences", "too_many_audiences")),
        ({"audiences": [10**9]}, ("audiences", "audience_gone")),
        ({"when": "at", "at": None}, ("at", "required")),
        ({"when": "at", "at": "2026-11-24T10:00:00+00:00"}, ("at", "start_passed")),
    ],
)
def test_an_audience_start_says_what_it_lacks(
    scene: Scene, config: dict[str, Any], expected: tuple[str, str]
) -> None:
    journey = scene.journey()
    journey.draft["start"]["config"].update(config)

    assert expected in codes(scene, journey)


def test_a_start_in_the_future_is_fine(scene: Scene) -> None:
    journey = scene.journey()
    at = (NOW + timedelta(minutes=1)).isoformat()
    journey.draft["start"]["config"].update({"when": "at", "at": at})

    assert codes(scene, journey) == []


def test_another_tenants_audience_does_not_exist_here(scene: Scene) -> None:
    foreign = make_scene()
    journey = scene.journey()
    journey.draft["start"]["config"]["audiences"] = [foreign.audience.pk]

    assert codes(scene, journey) == [("audiences", "audience_gone")]


# --- Event start ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"event_type": None}, ("event_type", "required")),
        ({"event_type": 10**9}, ("event_type", "event_type_gone")),
        ({"conditions": [{}]}, ("conditions.0", "required")),
        (
            {"conditions": [{"attribute": "gone", "op": "equals", "value": 1}]},
            ("conditions.0", "attribute_gone"),
        ),
        (
            {"conditions": [{"attribute": "amount", "op": "contains", "value": "1"}]},
            ("conditions.0", "unknown_operator"),
        ),
        (
            {"conditions": [{"attribute": "amount", "op": "at_least", "value": "fifty"}]},
            ("conditions.0", "invalid_value"),
        ),
        ({"reentry": "after_days", "reentry_days": -1}, ("reentry_days", "out_of_range")),
    ],
)
def test_an_event_start_says_what_it_lacks(
    scene: Scene, config: dict[str, Any], expected: tuple[str, str]
) -> None:
    journey = scene.event_journey(make_purchase(scene))
    journey.draft["start"]["config"].update(config)

    assert expected in codes(scene, journey)


AT_LEAST_50 = Condition("amount", "at_least", 50)
FROM_BERLIN = Condition("shop", "equals", "Berlin")
TYPES = {"amount": "number", "shop": "text"}


@pytest.mark.parametrize(
    ("match", "attributes", "expected"),
    [
        (Match.ALL, {"amount": 50, "shop": "Berlin"}, True),
        (Match.ALL, {"amount": 49.99, "shop": "Berlin"}, False),
        (Match.ALL, {"amount": 50}, False),
        (Match.ANY, {"amount": 50}, True),
        (Match.ANY, {"shop": "Berlin"}, True),
        (Match.ANY, {"amount": 1, "shop": "Paris"}, False),
        (Match.ANY, {"amount": "50"}, False),
        (Match.ANY, {"amount": None}, False),
        (Match.ANY, {}, False),
    ],
)
def test_conditions_decide_whom_an_event_lets_in(
    match: Match, attributes: dict[str, Any], expected: bool
) -> None:
    config = EventConfig(match=match, conditions=(AT_LEAST_50, FROM_BERLIN))

    assert config.matches(attributes, TYPES) is expected


@pytest.mark.parametrize("match", list(Match))
def test_without_conditions_every_event_lets_in(match: Match) -> None:
    assert EventConfig(match=match).matches({}, TYPES)


def test_a_condition_on_an_attribute_that_is_gone_lets_nobody_in() -> None:
    assert not EventConfig(conditions=(AT_LEAST_50,)).matches({"amount": 99}, {})


def test_a_condition_reads_as_a_sentence() -> None:
    assert AT_LEAST_50.sentence({"amount": "Amount"}, TYPES) == "Amount is at least 50"


def test_an_event_config_survives_the_way_to_json_and_back() -> None:
    config = EventConfig(
        event_type=3,
        match=Match.ANY,
        conditions=(AT_LEAST_50,),
        reentry=Reentry.AFTER_DAYS,
        reentry_days=7,
    )

    assert EventConfig.from_json(config.to_json()) == config
    assert config.reentry_after == timedelta(days=7)


# --- Webhook step ---------------------------------------------------------------------------------


def test_a_webhook_config_survives_the_way_to_json_and_back() -> None:
    config = WebhookConfig(
        webhook=1,
        revision=2,
        values={"content": "Dear ${name}"},
        variables={"content": (NICKNAME,)},
        id_type=3,
        reach_id_type=4,
        encryption=Encryption.SHA256,
    )

    assert WebhookConfig.from_json(config.to_json()) == config


def test_the_fingerprint_changes_with_everything_a_test_tests(scene: Scene) -> None:
    config = WebhookConfig.from_json(scene.config())
    revision = scene.webhook.revisions.get()

    others = [
        replace(config, values={"content": "Other ${name}"}),
        replace(config, variables={"content": (replace(NICKNAME, default="You"),)}),
        replace(config, id_type=scene.email.pk),
        replace(config, reach_id_type=scene.email.pk),
        replace(config, encryption=Encryption.MD5),
    ]
    found = {each.fingerprint(revision) for each in (config, *others)}
    newer = copy(revision)
    newer.number = 2
    assert len({*found, config.fingerprint(newer)}) == 7


def test_the_fingerprint_leaves_out_what_saving_adds_and_the_panel_keeps(scene: Scene) -> None:
    config = WebhookConfig.from_json(scene.config())
    revision = scene.webhook.revisions.get()

    others = [
        replace(config, revision=1),
        replace(config, values={**config.values, "of another webhook": "x"}),
        replace(config, variables={"content": (NICKNAME, replace(NICKNAME, name="unused"))}),
    ]
    assert {each.fingerprint(revision) for each in others} == {config.fingerprint(revision)}


def test_an_empty_step_asks_for_its_webhook_first(scene: Scene) -> None:
    journey = scene.journey(steps=[WebhookConfig().to_json()])

    assert codes(scene, journey) == [("webhook", "required")]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"values": {}}, ("parameter:content", "invalid_value")),
        ({"variables": {}}, ("parameter:content", "unknown_variable")),
        ({"values": {"content": "Dear ${name"}}, ("parameter:content", "unclosed_variable")),
        ({"id_type": None}, ("id_type", "required")),
        ({"id_type": 10**9}, ("id_type", "id_type_refused")),
        ({"reach_id_type": 10**9}, ("reach_id_type", "id_type_gone")),
        ({"encryption": "aes"}, ("encryption", "no_aes_key")),
        ({"webhook": 10**9}, ("webhook", "webhook_gone")),
    ],
)
def test_a_webhook_step_says_what_it_lacks(
    scene: Scene, config: dict[str, Any], expected: tuple[str, str]
) -> None:
    journey = scene.journey()
    edit(journey, **config)

    assert expected in codes(scene, journey)


def test_an_unknown_variable_says_how_to_write_plain_text(scene: Scene) -> None:
    journey = scene.journey()
    edit(journey, values={"content": "Dear ${x}"}, variables={})

    (problem,) = problems(scene, journey)
    assert problem.sentence == (
        "“x” is not a variable here. Insert it, or write $${x} for plain text."
    )
    edit(journey, values={"content": "Dear $${x}"})
    assert problems(scene, journey) == []


def test_a_variable_whose_tag_is_gone_is_no_longer_available(scene: Scene) -> None:
    journey = scene.journey()
    scene.workspace.tags.get(code="nickname").delete()

    (problem,) = problems(scene, journey)
    assert (problem.field, problem.code) == ("parameter:content", "variable_gone")
    assert "no longer available" in problem.sentence


def test_event_attributes_are_variables_with_an_event_start_only(scene: Scene) -> None:
    config = scene.config(values={"content": "At ${shop}"}, variables={"content": (SHOP,)})

    assert codes(scene, scene.event_journey(make_purchase(scene), steps=[config])) == []
    assert codes(scene, scene.journey(steps=[config])) == [("parameter:content", "variable_gone")]


def test_tags_are_variables_with_both_starts(scene: Scene) -> None:
    event_journey = scene.event_journey(make_purchase(scene))

    assert codes(scene, event_journey) == []
    offered = [(each.source, each.code) for each in load(scene, event_journey).sources]
    assert offered == [
        (Source.EVENT, "amount"),
        (Source.EVENT, "shop"),
        (Source.TAG, "nickname"),
        (Source.TAG, "orders"),
    ]


def test_two_variables_of_one_name_are_refused(scene: Scene) -> None:
    journey = scene.journey()
    twice = [NICKNAME.to_json(), Variable("name", Source.TAG, "orders").to_json()]
    edit(journey, variables={"content": twice})

    assert ("parameter:content", "duplicate_variable") in codes(scene, journey)


def test_a_wrong_format_of_a_variable_is_refused(scene: Scene) -> None:
    journey = scene.journey()
    wrong = replace(NICKNAME, empty=EmptyRule.NOTHING, format="no such format")
    edit(journey, variables={"content": [wrong.to_json()]})

    assert codes(scene, journey) == [("parameter:content", "invalid_format")]


def test_values_are_checked_by_the_type_of_their_parameter(scene: Scene) -> None:
    choices = make_choice_list(scene.workspace, "sms", "mail")
    webhook = make_webhook(
        scene.workspace,
        parameters=[
            {"name": "amount", "type": ParameterType.NUMERIC, "minimum": 1, "maximum": 100},
            {"name": "day", "type": ParameterType.DATE},
            {"name": "channel", "type": ParameterType.CHOICE, "choice_list": choices},
            {"name": "note", "type": ParameterType.CHARACTER, "required": False, "max_length": 3},
            {"name": "secret", "is_constant": True, "constant_value": "x"},
        ],
    )
    wrong = {"amount": 0, "day": "tomorrow", "channel": "fax", "note": "long"}
    right = {"amount": "20.50", "day": "2026-12-31", "channel": "sms"}
    journey = scene.journey(steps=[])
    journey.draft["steps"] = [
        {
            "key": "00000000-0000-0000-0000-000000000001",
            "component": "webhook",
            "name": "Step",
            "config": scene.config(webhook=webhook.pk, values=values, variables={}),
        }
        for values in (wrong, right)
    ]
    scene.member = None  # type: ignore[assignment]  # nobody's rights are asked about

    assert codes(scene, journey) == [
        (f"parameter:{name}", "invalid_value") for name in ("amount", "day", "channel", "note")
    ]


def test_a_disabled_webhook_cannot_be_used(scene: Scene) -> None:
    journey = scene.journey()
    control.disable(webhook=scene.webhook, actor=None, now=NOW)

    assert codes(scene, journey) == [("webhook", "webhook_disabled")]


def test_the_panel_says_whether_the_chosen_webhook_is_disabled_or_barred(scene: Scene) -> None:
    journey = scene.journey()
    control.disable(webhook=scene.webhook, actor=None, now=NOW)

    def choices_for(user: User) -> str:
        loaded = load(scene, journey)
        form = WebhookForm(step=loaded.document.steps[0], context=loaded, user=user)
        return str(form["webhook"])

    administrator = make_member(scene.workspace, Preset.ADMINISTRATOR)
    outsider = make_member(scene.workspace, Preset.MARKETER)
    assert ">CRM coupons (disabled)</option>" in choices_for(administrator)
    assert ">CRM coupons (disabled)</option>" in choices_for(scene.member)
    assert ">CRM coupons (you may not use it)</option>" in choices_for(outsider)


def test_an_id_type_that_is_no_longer_in_use_is_refused(scene: Scene) -> None:
    journey = scene.journey()
    scene.mobile.in_mapping = scene.mobile.enabled = False
    scene.mobile.save()

    assert codes(scene, journey) == [("id_type", "id_type_refused")]


def test_a_lost_gate_is_named(scene: Scene) -> None:
    journey = scene.journey()
    scene.webhook.membergrant_set.all().delete()

    (problem,) = problems(scene, journey)
    assert (problem.field, problem.code) == ("webhook", "gate")
    assert problem.sentence == "The usage permission for this webhook is missing."


# --- An edited webhook ----------------------------------------------------------------------------


def revise(scene: Scene) -> None:
    registering.settle(webhook=scene.webhook, actor=None, now=NOW)
    scene.webhook.refresh_from_db()


def test_a_new_required_parameter_is_asked_for_by_its_own_field(scene: Scene) -> None:
    journey = scene.journey()
    Parameter.objects.create(webhook=scene.webhook, name="amount", type=ParameterType.NUMERIC)
    revise(scene)

    assert codes(scene, journey) == [("parameter:amount", "invalid_value")]


def test_a_removed_parameter_asks_to_open_the_step(scene: Scene) -> None:
    Parameter.objects.create(webhook=scene.webhook, name="extra", required=False)
    revise(scene)
    journey = scene.journey()
    scene.webhook.parameters.filter(name="extra").delete()
    revise(scene)

    (problem,) = problems(scene, journey)
    assert problem.code == "webhook_changed"
    assert problem.sentence == (
        "Removed parameters: extra. Open the step, look at its values and click OK."
    )


def test_a_new_optional_parameter_is_taken_over(scene: Scene) -> None:
    journey = scene.journey()
    Parameter.objects.create(webhook=scene.webhook, name="extra", required=False)
    revise(scene)
    loaded = load(scene, journey)

    assert codes(scene, journey) == []
    (step,) = loaded.document.steps
    kept = components.of(step).refreshed(step, loaded)
    assert WebhookConfig.from_json(kept.config).revision == 2
