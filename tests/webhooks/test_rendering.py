"""Text with variables: parsed, compiled, filled in one pass."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks import rendering
from webhooks.choices import ParameterType
from webhooks.rendering import (
    Binding,
    BindingError,
    EmptyRule,
    ParameterPlan,
    Rendered,
    SizeError,
    Skipped,
    Slot,
    Source,
    Variable,
)


def name_variable(**changes: Any) -> Variable:
    return Variable(**({"name": "name", "source": Source.TAG, "code": "nickname"} | changes))


def plan(text: str, *variables: Variable, **binding: Any) -> ParameterPlan:
    return ParameterPlan(
        [Binding("content", ParameterType.TEXT, text, variables=variables, **binding)]
    )


def filled(compiled: ParameterPlan, *tags: Any, **attributes: Any) -> str | None:
    rendered = compiled.render(tags, attributes)
    assert isinstance(rendered, Rendered)
    return rendered.texts[0]


# --- Names and tokens -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "name",
        "parameter 1 character",
        "优惠码",
        "नाम",
        "ชื่อ",
        "a-b_c 1",
        "é",
        "e\u0301",
        " x ",
        "x" * 64,
    ],
)
def test_a_name_holds_letters_of_any_script(name: str) -> None:
    assert rendering.name_problem(name) is None


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 65, "a{b", "a}b", "$a", "a.b", "a\nb", "a\tb", "a/b", "a\u200bb", "😀"]
)
def test_a_name_holds_nothing_else(name: str) -> None:
    assert str(rendering.name_problem(name)).endswith(".")


def test_names_are_compared_in_nfc_and_trimmed() -> None:
    compiled = plan("Hi ${ Cafe\u0301 }", name_variable(name="Caf\u00e9 "))

    assert filled(compiled, "x") == "Hi x"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("Dear ${name} Hello", ["Dear ", Slot("name"), " Hello"]),
        ("${a}${b}", [Slot("a"), Slot("b")]),
        ("$${x}", ["${x}"]),
        ("$$${x}", ["$", Slot("x")]),
        ("$$$${x}", ["$${x}"]),
        ("costs $5, $$5, $$$ now", ["costs $5, $$5, $$$ now"]),
        ("{x} {{x}}", ["{x} {{x}}"]),
        ("${x", ["${x"]),
        ("${a${b}", ["${a", Slot("b")]),
        ("${}", [Slot("")]),
        ("$", ["$"]),
        ("${x}$", [Slot("x"), "$"]),
    ],
)
def test_parse(text: str, pieces: list[str | Slot]) -> None:
    assert rendering.parse(text) == pieces


@given(st.text(alphabet="${}ab 优"))
def test_an_escaped_text_goes_out_as_it_is(text: str) -> None:
    assert "".join(map(str, rendering.parse(rendering.escape(text)))) == text


def test_a_long_run_of_dollars_takes_no_time() -> None:
    started = time.perf_counter()

    rendering.parse("$" * 1_000_000)

    assert time.perf_counter() - started < 1


def test_an_unknown_variable_is_named_with_what_to_do() -> None:
    (problem,) = rendering.problems_in("Hi ${name} and ${x}", ["name"])

    assert (problem.code, problem.name) == ("unknown_variable", "x")
    assert str(problem.message) == (
        "“x” is not a variable here. Insert it, or write $${x} for plain text."
    )


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("${name}", []),
        ("$${x} is plain", []),
        ("${x} ${x}", ["unknown_variable"]),
        ("${}", ["unknown_variable"]),
        ("${name", ["unclosed_variable"]),
        ("${x} ${", ["unknown_variable", "unclosed_variable"]),
        ("$${", []),
    ],
)
def test_problems_in(text: str, codes: list[str]) -> None:
    problems = rendering.problems_in(text, ["name"])

    assert [problem.code for problem in problems] == codes
    assert all(str(problem.message).endswith(".") for problem in problems)


# --- Filling --------------------------------------------------------------------------------------


def test_the_seeds_second_example_letter_for_letter() -> None:
    compiled = plan("Dear ${name} Hello", name_variable(empty=EmptyRule.DEFAULT, default="Member"))

    assert filled(compiled, "Zhang San") == "Dear Zhang San Hello"
    assert filled(compiled, None) == "Dear Member Hello"


@pytest.mark.parametrize("value", [0, 0.0, False, "0", " ", "false", [0]])
def test_zero_and_false_and_blanks_are_values(value: Any) -> None:
    compiled = plan("<${name}>", name_variable(empty=EmptyRule.SKIP))

    assert isinstance(compiled.render([value]), Rendered)


@pytest.mark.parametrize("value", [None, "", [], [None, ""]])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (EmptyRule.NOTHING, Rendered(["<>"], defaulted=0, blanked=1)),
        (EmptyRule.DEFAULT, Rendered(["<you>"], defaulted=1, blanked=0)),
        (EmptyRule.SKIP, Skipped("content", "name")),
    ],
)
def test_the_empty_rule(value: Any, rule: EmptyRule, expected: Rendered | Skipped) -> None:
    compiled = plan("<${name}>", name_variable(empty=rule, default="you"))

    assert compiled.render([value]) == expected


@pytest.mark.parametrize(
    "value",
    [
        "${x}",
        "${name}",
        "$${name}",
        "%s %(name)s %%",
        "{0.__class__}",
        "{{7*7}}",
        '","admin":true,"x":"',
        "</script>",
        "\\u0041 \\",
        "😀 \u202e right to left",
        "\ud800",
        "line\nbreak\ttab\x01",
    ],
)
def test_a_value_that_looks_like_something_is_only_text(value: str) -> None:
    compiled = plan("100% ${name} ${other}", name_variable(), name_variable(name="other", code="o"))

    assert filled(compiled, value, "x") == f"100% {value} x"


def test_a_default_is_not_expanded_either() -> None:
    compiled = plan(
        "${name}${other}",
        name_variable(empty=EmptyRule.DEFAULT, default="${other}"),
        name_variable(name="other", code="o"),
    )

    assert filled(compiled, None, "x") == "${other}x"


@given(st.lists(st.text(), min_size=2, max_size=2))
def test_any_values_stand_where_their_variables_stood(values: list[str]) -> None:
    compiled = plan(
        "a${x}%b${y}c$${x}${x}",
        name_variable(name="x", code="x"),
        name_variable(name="y", code="y"),
    )

    assert filled(compiled, *values) == f"a{values[0]}%b{values[1]}c${{x}}{values[0]}"


def test_tags_and_attributes_come_from_their_own_source() -> None:
    compiled = plan(
        "${a} ${b} ${c}",
        name_variable(name="a", source=Source.EVENT, code="x"),
        name_variable(name="b", code="x"),
        name_variable(name="c", source=Source.EVENT, code="missing"),
    )

    assert (compiled.tag_codes, compiled.attribute_codes) == (("x",), ("x", "missing"))
    assert filled(compiled, "tag", x="attribute") == "attribute tag "


def test_a_code_used_twice_is_read_once() -> None:
    compiled = plan("${a} ${b}", name_variable(name="a"), name_variable(name="b", format="0.00"))

    assert compiled.tag_codes == ("nickname",)
    assert filled(compiled, 2.5) == "2.5 2.50"


def test_a_variable_that_no_text_uses_is_not_read() -> None:
    compiled = plan("${a}", name_variable(name="a"), name_variable(name="b", code="unused"))

    assert compiled.tag_codes == ("nickname",)
    assert len(compiled.variables) == 1


def test_masks_name_the_variables_that_went_out_empty() -> None:
    compiled = plan(
        "${a}${b}${c}",
        name_variable(name="a", code="a", empty=EmptyRule.DEFAULT, default="-"),
        name_variable(name="b", code="b"),
        name_variable(name="c", code="c"),
    )

    rendered = compiled.render([None, "x", ""])

    assert isinstance(rendered, Rendered)
    assert compiled.mask_names(rendered.defaulted) == [("content", "a")]
    assert compiled.mask_names(rendered.blanked) == [("content", "c")]


def test_an_optional_parameter_left_empty_is_left_out_and_a_required_one_is_not() -> None:
    variables = (name_variable(),)
    compiled = ParameterPlan(
        [
            Binding("needed", ParameterType.TEXT, "${name}", variables=variables),
            Binding("spare", ParameterType.TEXT, "${name}", required=False, variables=variables),
            Binding("note", ParameterType.TEXT, "", required=False),
            Binding("zero", ParameterType.NUMERIC, 0, required=False),
        ]
    )

    rendered = compiled.render([None])

    assert isinstance(rendered, Rendered)
    assert rendered.texts == ["", None]
    assert compiled.params(rendered) == {"needed": '""', "zero": "0"}
    assert compiled.texts(rendered) == {"needed": "", "spare": "", "note": "", "zero": "0"}


def test_a_million_characters_go_out_and_one_more_does_not() -> None:
    compiled = plan("${name}", name_variable())

    assert filled(compiled, "优" * 1_000_000) == "优" * 1_000_000
    with pytest.raises(SizeError) as caught:
        compiled.render(["x" * 1_000_001])
    assert caught.value.reason == "too_long"
    assert str(caught.value) == "content is 1,000,001 long, 1,000,000 at most are possible"


def test_the_parameters_own_limit_counts_the_whole_text() -> None:
    compiled = plan("Dear ${name}", name_variable(), max_length=10)

    assert filled(compiled, "12345") == "Dear 12345"
    with pytest.raises(SizeError):
        compiled.render(["123456"])


def test_the_preview_marks_defaults_and_blanks_and_skips_nobody() -> None:
    compiled = plan(
        "Dear ${a} ${b}${c}",
        name_variable(name="a", code="a", empty=EmptyRule.DEFAULT, default="Member"),
        name_variable(name="b", code="b"),
        name_variable(name="c", code="c", empty=EmptyRule.SKIP),
    )

    pieces = compiled.preview(["", 7, None])["content"]

    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("literal", "Dear "),
        ("default", "Member"),
        ("literal", " "),
        ("value", "7"),
        ("blank", ""),
    ]


def test_a_test_send_gives_values_in_the_plans_order() -> None:
    compiled = plan(
        "${b} ${a}", name_variable(name="a", code="same"), name_variable(name="b", code="same")
    )

    assert [each.variable.name for each in compiled.variables] == ["b", "a"]
    assert compiled.render_values(["1", "2"]) == Rendered(["1 2"])


# --- Constants ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "pattern", "json"),
    [
        (ParameterType.CHARACTER, "abc", "", '"abc"'),
        (ParameterType.CHARACTER, "${x}", "", '"${x}"'),
        (ParameterType.CHOICE, 'say "hi"', "", r'"say \"hi\""'),
        (ParameterType.TEXT, "no variable, $${x}", "", '"no variable, ${x}"'),
        (ParameterType.NUMERIC, "20", "", "20"),
        (ParameterType.NUMERIC, "20.50", "", "20.50"),
        (ParameterType.NUMERIC, 0, "", "0"),
        (ParameterType.NUMERIC, "1234.5", "#,##0.00", '"1,234.50"'),
        (ParameterType.DATE, "2026-12-31", "", '"2026-12-31"'),
        (ParameterType.DATE, "2026-12-31T10:00:00+08:00", "", '"2026-12-31T02:00:00+00:00"'),
        (ParameterType.DATE, "2026-12-31", "DD/MM/YYYY", '"31/12/2026"'),
    ],
)
def test_a_constant_goes_out_in_its_type(
    kind: ParameterType, value: Any, pattern: str, json: str
) -> None:
    compiled = ParameterPlan([Binding("p", kind, value, format=pattern)])

    assert compiled.params(Rendered([])) == {"p": json}


@pytest.mark.parametrize(
    "binding",
    [
        Binding("p", ParameterType.CHARACTER, ""),
        Binding("p", ParameterType.NUMERIC, None),
        Binding("p", ParameterType.NUMERIC, "twelve"),
        Binding("p", ParameterType.NUMERIC, "12", format="YYYY"),
        Binding("p", ParameterType.DATE, "tomorrow"),
        Binding("p", ParameterType.DATE, "2026-02-30"),
        Binding("p", ParameterType.DATE, "2026-12-31", format="soon"),
        Binding("p", ParameterType.CHARACTER, "abcd", max_length=3),
        Binding("p", ParameterType.TEXT, "${x}"),
        Binding("p", ParameterType.TEXT, "${name}", variables=(name_variable(format="??"),)),
    ],
)
def test_a_wrong_binding_says_which_and_why(binding: Binding) -> None:
    with pytest.raises(BindingError) as caught:
        ParameterPlan([binding])

    assert caught.value.parameter == "p"
    assert str(caught.value.message).endswith(".")


def test_two_parameters_of_one_name_are_refused() -> None:
    with pytest.raises(BindingError):
        ParameterPlan(
            [
                Binding("é", ParameterType.CHARACTER, "a"),
                Binding("e\u0301 ", ParameterType.TEXT, "b"),
            ]
        )


def test_no_more_variables_than_a_delivery_has_bits() -> None:
    text = "".join(f"${{v{number}}}" for number in range(64))
    variables = [name_variable(name=f"v{number}", code=str(number)) for number in range(64)]

    with pytest.raises(BindingError, match="63"):
        plan(text, *variables)


def test_a_binding_survives_being_stored() -> None:
    binding = Binding(
        "content",
        ParameterType.TEXT,
        "${name}",
        required=False,
        variables=(name_variable(empty=EmptyRule.DEFAULT, default="x", format="0.0"),),
        max_length=9,
    )

    assert Binding.from_json(binding.to_json()) == binding
