"""Rules as one statement, and what is wrong with rules as sentences."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import audience_rules, conditions
from identity.audience_rules import FillRate
from identity.choices import TagType
from identity.models import Profile
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

TAGS = {
    "city": TagType.TEXT,
    "orders": TagType.NUMBER,
    "birthday": TagType.DATE,
    "vip": TagType.BOOLEAN,
    "likes": TagType.LIST,
}


@pytest.fixture
def workspace() -> Workspace:
    workspace = make_plain_workspace()
    for code, kind in TAGS.items():
        make_tag(workspace, code, kind)
    make_id_type(workspace, "MOBILE")
    make_event_type(workspace, "purchase", attributes={"amount": "number", "shop": "text"})
    return workspace


def people(workspace: Workspace, *conditions: Any, match: str = "all") -> set[str]:
    """Return the names of those for whom the conditions hold."""
    rules = {"match": match, "conditions": list(conditions)}
    audience_rules.validate(workspace, rules)
    audience = make_audience(workspace, rules=rules)
    qaids = audience_rules.sample(audience, size=1000, now=NOW)
    assert audience_rules.count(audience, now=NOW) == len(qaids) == len(set(qaids))
    assert qaids == sorted(qaids)
    return set(Profile.objects.filter(pk__in=qaids).values_list("tags__name", flat=True))


def tag(code: str, operator: str, value: Any = None) -> dict[str, Any]:
    return {"tag": code, "operator": operator, "value": value}


@pytest.fixture
def ann(workspace: Workspace) -> Profile:
    return make_profile(
        workspace,
        tags={
            "name": "Ann",
            "city": "Bath",
            "orders": 0,
            "birthday": "1990-02-28",
            "vip": False,
            "likes": ["tea", "jam"],
        },
    )


@pytest.fixture
def bob(workspace: Workspace) -> Profile:
    return make_profile(
        workspace,
        tags={
            "name": "Bob",
            "city": "100% York_",
            "orders": 12.5,
            "birthday": "1990-02-28T23:00:00Z",
            "vip": True,
            "likes": ["tea"],
        },
    )


@pytest.fixture
def nobody(workspace: Workspace) -> Profile:
    return make_profile(workspace, tags={"name": "Nobody", "city": "", "orders": "many"})


@pytest.mark.usefixtures("ann", "bob", "nobody")
@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (tag("city", "equals", "Bath"), {"Ann"}),
        (tag("city", "not_equals", "Bath"), {"Bob", "Nobody"}),
        (tag("city", "one_of", ["Bath", "Rome"]), {"Ann"}),
        (tag("city", "none_of", ["Bath"]), {"Bob", "Nobody"}),
        (tag("city", "contains", "% York_"), {"Bob"}),
        (tag("city", "contains", "a_h"), set()),
        (tag("city", "starts_with", "Ba"), {"Ann"}),
        (tag("city", "is_empty"), {"Nobody"}),
        (tag("city", "is_not_empty"), {"Ann", "Bob"}),
        (tag("orders", "equals", 0), {"Ann"}),
        (tag("orders", "equals", 12.5), {"Bob"}),
        (tag("orders", "at_least", 0), {"Ann", "Bob"}),
        (tag("orders", "more_than", 0), {"Bob"}),
        (tag("orders", "less_than", 12.5), {"Ann"}),
        (tag("orders", "at_most", 12.5), {"Ann", "Bob"}),
        (tag("orders", "between", [1, 13]), {"Bob"}),
        (tag("birthday", "on", "1990-02-28"), {"Ann", "Bob"}),
        (tag("birthday", "before", "1990-02-28"), set()),
        (tag("birthday", "after", "1990-02-27"), {"Ann", "Bob"}),
        (tag("birthday", "after", "1990-02-28"), set()),
        (tag("birthday", "between", ["1990-01-01", "1990-02-28"]), {"Ann", "Bob"}),
        (tag("vip", "equals", False), {"Ann"}),
        (tag("vip", "is_empty"), {"Nobody"}),
        (tag("likes", "contains", "jam"), {"Ann"}),
        (tag("likes", "contains_any", ["jam", "tea"]), {"Ann", "Bob"}),
        (tag("likes", "contains_none", ["jam"]), {"Bob", "Nobody"}),
    ],
)
def test_each_operator(workspace: Workspace, condition: dict[str, Any], names: set[str]) -> None:
    assert people(workspace, condition) == names


@pytest.mark.usefixtures("ann", "bob", "nobody")
def test_groups_nest(workspace: Workspace) -> None:
    inner = {
        "match": "any",
        "conditions": [tag("city", "equals", "Bath"), tag("orders", "at_least", 10)],
    }

    assert people(workspace, inner, tag("vip", "equals", True)) == {"Bob"}
    assert people(workspace, inner, tag("city", "is_empty"), match="any") == {
        "Ann",
        "Bob",
        "Nobody",
    }


def test_who_has_an_id_and_who_has_not(workspace: Workspace, ann: Profile, bob: Profile) -> None:
    mobile, source = workspace.id_types.get(), make_data_source(workspace, "shop")
    make_identifier(ann, mobile, "13800000001", source=source)

    assert people(workspace, {"id_type": "MOBILE", "operator": "has"}) == {"Ann"}
    assert people(workspace, {"id_type": "MOBILE", "operator": "has_not"}) == {"Bob"}


def test_events_count_within_their_days_and_with_their_attributes(
    workspace: Workspace, ann: Profile, bob: Profile
) -> None:
    purchase = workspace.event_types.get()
    merged = make_profile(workspace, merged_into=ann)
    for profile, days, amount in [(ann, 1, 60), (merged, 2, 70), (ann, 31, 90), (bob, 1, 10)]:
        make_event(
            profile,
            purchase,
            occurred_at=NOW - timedelta(days=days),
            attributes={"amount": amount},
        )
    rule = {"event": "purchase", "operator": "at_least", "times": 1, "days": 30}
    fifty = {"attribute": "amount", "operator": "at_least", "value": 50}

    assert people(workspace, rule) == {"Ann", "Bob"}
    assert people(workspace, {**rule, "times": 2}) == {"Ann"}
    assert people(workspace, {**rule, "times": 3}) == set()
    assert people(workspace, {**rule, "times": 3, "days": 60}) == {"Ann"}
    assert people(workspace, {**rule, "where": [fifty]}) == {"Ann"}
    assert people(workspace, {**rule, "times": 2, "operator": "less_than"}) == {"Bob"}


def test_a_nested_tree_is_one_statement_over_people(
    workspace: Workspace, ann: Profile, bob: Profile
) -> None:
    make_identifier(
        bob, workspace.id_types.get(), "13800000001", source=make_data_source(workspace, "shop")
    )
    make_event(ann, workspace.event_types.get(), occurred_at=NOW, attributes={"amount": 60})
    bought = {"event": "purchase", "operator": "at_least", "times": 1, "days": 30}
    branches = [
        {"match": "all", "conditions": [tag("city", "equals", "Bath"), bought]},
        {"match": "all", "conditions": [{"id_type": "MOBILE", "operator": "has"}]},
    ]
    rules = {"match": "all", "conditions": [{"match": "any", "conditions": branches}]}
    audience_rules.validate(workspace, rules)
    audience = make_audience(workspace, rules=rules)

    with CaptureQueriesContext(connection) as asked:
        assert audience_rules.sample(audience, size=10, now=NOW) == [ann.qaid, bob.qaid]

    over_people = re.compile(r"identity_(profile|identifier|event)\b")
    assert sum(bool(over_people.search(query["sql"])) for query in asked) == 1


@pytest.mark.usefixtures("ann")
def test_merged_erased_and_foreign_people_are_in_no_audience(
    workspace: Workspace, bob: Profile
) -> None:
    make_profile(workspace, merged_into=bob)
    make_profile(workspace, erased_at=NOW)
    make_profile(make_plain_workspace())

    assert people(workspace, tag("city", "not_equals", "Rome")) == {"Ann", "Bob"}


def test_a_condition_on_what_was_removed_holds_for_nobody(
    workspace: Workspace, ann: Profile
) -> None:
    audience = make_audience(
        workspace, rules={"match": "all", "conditions": [tag("city", "equals", "Bath")]}
    )
    assert audience_rules.contains(audience, ann.qaid)

    workspace.tags.get(code="city").delete()

    assert audience_rules.count(audience) == 0


def test_a_merged_qaid_asks_for_its_survivor(workspace: Workspace, ann: Profile) -> None:
    merged = make_profile(workspace, merged_into=ann)
    audience = make_audience(workspace, people=[ann])

    assert audience_rules.contains(audience, merged.qaid)
    assert not audience_rules.contains(audience, make_profile(workspace).qaid)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (None, "A condition must be a JSON object."),
        ([], "A condition must be a JSON object."),
        ({}, "It must name one of “tag”, “id_type”, “event” or “conditions”."),
        ({"match": "some", "conditions": [tag("vip", "is_empty")]}, "“match” must be “all” or"),
        ({"match": "all", "conditions": []}, "“conditions” must be a list that is not empty."),
        (tag("town", "equals", "x"), "There is no tag “town”."),
        (tag("city", "more_than", 1), "The operator must be one of: equals, not_equals, "),
        (tag("city", "equals", ""), "The value must be a text that is not empty."),
        (tag("orders", "equals", "5"), "The value must be a number."),
        (tag("orders", "between", [1]), "The value must be a list of two: from and to."),
        (tag("birthday", "on", "soon"), "The value must be a date like 2026-11-24."),
        (tag("birthday", "on", "1990-02-30"), "The value must be a date like 2026-11-24."),
        (tag("vip", "equals", 1), "The value must be true or false."),
        (tag("city", "one_of", []), "The value must be a list of 1 to 1,000 values."),
        (tag("city", "is_empty", "x"), "This operator takes no value."),
        ({**tag("city", "is_empty"), "not": True}, "“not” is not known here."),
        ({"id_type": "FAX", "operator": "has"}, "There is no enabled ID type “FAX”."),
        ({"id_type": "MOBILE", "operator": "is"}, "The operator must be “has” or “has_not”."),
        ({"event": "refund", "days": 1}, "There is no event type “refund”."),
        ({"event": "purchase"}, "“days” must be a whole number from 1 to 3650."),
        ({"event": "purchase", "days": 1, "times": 0}, "“times” must be a whole number of 1"),
        (
            {"event": "purchase", "days": 1, "where": [{"attribute": "color"}]},
            "The event has no attribute “color”.",
        ),
        (
            {"match": "all", "conditions": [tag("vip", "is_empty"), tag("town", "is_empty")]},
            "Condition 2: There is no tag “town”.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    workspace: Workspace, rules: Any, sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        audience_rules.validate(workspace, rules)

    assert caught.value.messages[0].startswith(sentence)


def test_groups_have_a_depth_and_conditions_a_number(workspace: Workspace) -> None:
    deep: dict[str, Any] = tag("vip", "is_empty")
    for _level in range(6):
        deep = {"match": "all", "conditions": [deep]}

    with pytest.raises(ValidationError, match="nested 5 deep"):
        audience_rules.validate(workspace, deep)
    with pytest.raises(ValidationError, match="more than 100 conditions"):
        audience_rules.validate(
            workspace, {"match": "any", "conditions": [tag("vip", "is_empty")] * 101}
        )


def test_fill_rates_count_people_with_a_value_and_show_one(
    workspace: Workspace, ann: Profile, bob: Profile, nobody: Profile
) -> None:
    audience = make_audience(workspace, people=[ann, bob, nobody])

    rates = audience_rules.fill_rates(audience=audience, tag_codes=["city", "vip", "unknown"])

    assert rates == {
        "city": FillRate(2, 3, "100% York_"),
        "vip": FillRate(2, 3, "false"),
        "unknown": FillRate(0, 3, ""),
    }
    assert audience_rules.fill_rates(audience=audience, tag_codes=[]) == {}


def test_fill_rates_of_attributes_are_of_the_events(workspace: Workspace, ann: Profile) -> None:
    purchase = workspace.event_types.get()
    make_event(ann, purchase, attributes={"amount": 5, "shop": ""})
    make_event(ann, purchase, attributes={"amount": 7})
    make_event(ann, purchase, occurred_at=NOW - timedelta(days=40), attributes={"shop": "Bath"})

    rates = audience_rules.fill_rates(event_type=purchase, attributes=["amount", "shop"], now=NOW)

    assert rates == {"amount": FillRate(2, 2, "5"), "shop": FillRate(0, 2, "")}


_VALUES = {
    TagType.TEXT: st.sampled_from(["", "a", "ab", "b%"]),
    TagType.NUMBER: st.sampled_from([0, 1, 1.5, -2, 10]),
    TagType.DATE: st.sampled_from(["2026-01-01", "2026-01-01T08:00:00Z", "2026-02-01"]),
    TagType.BOOLEAN: st.booleans(),
    TagType.LIST: st.lists(st.sampled_from(["a", "b"]), max_size=2),
}


@st.composite
def questions(draw: Any) -> tuple[str, str, Any, Any]:
    """Return a type, an operator of it, a value it takes, and a value that somebody has."""
    kind = draw(st.sampled_from(list(_VALUES)))
    operator = draw(st.sampled_from(sorted(conditions.OPERATORS[kind])))
    one = _VALUES[TagType.TEXT if kind == TagType.LIST else kind].filter(lambda value: value != "")
    wanted = (
        None
        if "empty" in operator
        else draw(st.lists(one, min_size=2, max_size=2))
        if operator in {"one_of", "none_of", "between", "contains_any", "contains_none"}
        else draw(one)
    )
    return kind, operator, wanted, draw(st.one_of(st.none(), _VALUES[kind]))


@given(st.lists(questions(), min_size=20, max_size=20))
@settings(max_examples=25)
def test_python_and_sql_agree_on_every_condition(
    asked: list[tuple[str, str, Any, Any]],
) -> None:
    for kind, operator, wanted, value in asked:
        checked = conditions.check(value_type=kind, operator=operator, value=wanted)
        document = {} if value is None else {"x": value}
        sql, params = conditions.build(
            conditions.Column("d.tags", "x"), value_type=kind, operator=operator, value=checked
        )
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {sql} FROM (SELECT %s::jsonb AS tags) d", [*params, json.dumps(document)]
            )
            (answer,) = cursor.fetchone()
        held = conditions.holds(value, value_type=kind, operator=operator, wanted=checked)
        assert answer is held, (kind, operator, wanted, value)
