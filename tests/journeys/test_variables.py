from dataclasses import replace

import pytest

from journeys import variables
from journeys.component import VariableSource
from webhooks.rendering import EmptyRule, Piece, Source, Variable

NAME = Variable("name", Source.TAG, "nickname", EmptyRule.DEFAULT, "Member")
DAY = Variable("day", Source.TAG, "birthday", EmptyRule.NOTHING, format="M月D日")
TAGS = [
    VariableSource(Source.TAG, "nickname", "Nickname", "text"),
    VariableSource(Source.TAG, "birthday", "Birthday", "date"),
]


def read(pieces: list[Piece] | None) -> str:
    return "".join(piece.text for piece in pieces or [])


def test_the_seeds_sentence_with_and_without_a_value() -> None:
    shown = variables.example("Dear ${name} Hello", [NAME], {"name": "Zhang San"})

    assert read(shown.with_value) == "Dear Zhang San Hello"
    assert read(shown.without) == "Dear Member Hello"
    assert [piece.kind for piece in shown.without or []] == ["literal", "default", "literal"]


def test_a_blank_is_marked_where_nothing_is_sent() -> None:
    nothing = replace(NAME, empty=EmptyRule.NOTHING, default="")
    shown = variables.example("Dear ${name} Hello", [nothing], {"name": "Zhang San"})

    assert read(shown.without) == "Dear  Hello"
    assert (shown.without or [])[1] == Piece("blank", "", "name")


def test_whoever_is_skipped_gets_no_sentence() -> None:
    shown = variables.example("Dear ${name}", [replace(NAME, empty=EmptyRule.SKIP)], {"name": "X"})

    assert read(shown.with_value) == "Dear X"
    assert shown.without is None


def test_an_example_shows_the_format() -> None:
    shown = variables.example("在${day}当天", [DAY], {"day": "1990-02-03"})

    assert read(shown.with_value) == "在2月3日当天"


def test_a_value_that_looks_like_a_variable_is_not_expanded() -> None:
    shown = variables.example("Dear ${name}", [NAME], {"name": "${day}"})

    assert read(shown.with_value) == "Dear ${day}"


def test_a_text_without_variables_reads_as_it_goes_out() -> None:
    shown = variables.example("Costs $${x} and $5", [], {})

    assert read(shown.with_value) == "Costs ${x} and $5"


@pytest.mark.parametrize(
    ("name", "others", "problem"),
    [
        ("name", [], None),
        ("优惠码", ["name"], None),
        (" name ", ["name"], "Another variable of this text has this name."),
        ("cafe\u0301", ["café"], "Another variable of this text has this name."),
        ("", [], "Enter a name."),
        ("a{b", [], "A name holds letters, digits, spaces, “_” and “-” only."),
    ],
)
def test_names_are_unique_in_their_text(name: str, others: list[str], problem: str | None) -> None:
    assert variables.name_problem(name, others) == problem


def test_a_name_is_proposed_from_the_tags_and_free() -> None:
    assert variables.proposed_name(TAGS[0], []) == "Nickname"
    assert variables.proposed_name(TAGS[0], ["Nickname"]) == "Nickname 2"
    odd = replace(TAGS[0], name="Amount (€)")
    assert variables.proposed_name(odd, []) == "nickname"


def test_a_variable_that_the_text_does_not_use_is_no_problem() -> None:
    gone = Variable("gone", Source.TAG, "no_such_tag")

    assert variables.problems("Dear ${name}", [NAME, gone], TAGS) == []
    assert variables.used_in("Dear ${name}", [NAME, gone]) == [NAME]


def test_variables_of_another_start_are_unavailable() -> None:
    of_event = Variable("shop", Source.EVENT, "shop")

    assert variables.unavailable([NAME, of_event], TAGS) == [of_event]
    (problem,) = variables.problems("At ${shop}", [of_event], TAGS)
    assert (problem.code, problem.variable) == ("variable_gone", "shop")
