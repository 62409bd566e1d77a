"""The exact bytes of both bodies."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from webhooks import bodies
from webhooks.bodies import CustomBody, compile_body
from webhooks.choices import ParameterType
from webhooks.rendering import Binding, ParameterPlan, Rendered, SizeError, Source, Variable

NAME = Variable("name", Source.TAG, "nickname")
TEXT = Binding("content", ParameterType.TEXT, "Dear ${name} Hello", variables=(NAME,))
AMOUNT = Binding("amount", ParameterType.NUMERIC, "20")
SPARE = Binding("note", ParameterType.TEXT, "${name}", required=False, variables=(NAME,))


def one_message(plan: ParameterPlan, *tags: Any, custom: Any = None, sent_id: str = "138") -> bytes:
    body = compile_body(custom, plan, id_type="MOBILE", reach_id_type="EMAIL")
    rendered = plan.render(tags)
    assert isinstance(rendered, Rendered)
    return body.message("msg_1", [body.recipient("dlv_1", sent_id, "a@b", rendered)])


def test_the_standard_body_byte_for_byte() -> None:
    assert one_message(ParameterPlan([TEXT, AMOUNT]), "Zhang San") == (
        b'{"type":"webhook.message","id":"msg_1","test":false,"id_type":"MOBILE",'
        b'"reach_id_type":"EMAIL","recipients":[{"delivery_id":"dlv_1","id":"138",'
        b'"reach_id":"a@b","params":{"content":"Dear Zhang San Hello","amount":20}}]}'
    )


def test_a_test_says_so() -> None:
    plan = ParameterPlan([AMOUNT])
    body = compile_body(None, plan, id_type="MOBILE", reach_id_type="MOBILE", test=True)

    message = json.loads(body.message("m", [body.recipient("d", "1", "1", Rendered([]))]))

    assert message["test"] is True


def test_several_people_share_one_message() -> None:
    plan = ParameterPlan([TEXT, AMOUNT])
    body = compile_body(None, plan, id_type="MOBILE", reach_id_type="MOBILE")
    parts = []
    for name in ("A", "B", "C"):
        rendered = plan.render([name])
        assert isinstance(rendered, Rendered)
        parts.append(body.recipient(f"dlv_{name}", name, name, rendered))

    recipients = json.loads(body.message("msg_1", parts))["recipients"]

    assert [each["delivery_id"] for each in recipients] == ["dlv_A", "dlv_B", "dlv_C"]
    assert recipients[2]["params"] == {"content": "Dear C Hello", "amount": 20}


def test_without_parameters_params_is_an_empty_object() -> None:
    assert json.loads(one_message(ParameterPlan([])))["recipients"][0]["params"] == {}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_optional_text_is_left_out_wherever_it_stands(place: int) -> None:
    bindings = [TEXT, AMOUNT]
    bindings.insert(place, SPARE)
    plan = ParameterPlan(bindings)

    empty = json.loads(one_message(plan, None))["recipients"][0]["params"]
    full = json.loads(one_message(plan, "x"))["recipients"][0]["params"]

    assert empty == {"content": "Dear  Hello", "amount": 20}
    assert list(full) == [binding.name for binding in bindings]


@pytest.mark.parametrize("names", [("100%", "%s"), ('"quoted"', "back\\slash")])
def test_constants_with_percent_signs_and_quotes_stay_themselves(names: tuple[str, str]) -> None:
    bindings = [Binding("a", ParameterType.CHARACTER, text) for text in names[:1]]
    plan = ParameterPlan([*bindings, Binding("b", ParameterType.CHOICE, names[1]), TEXT])

    params = json.loads(one_message(plan, "x"))["recipients"][0]["params"]

    assert params == {"a": names[0], "b": names[1], "content": "Dear x Hello"}


@given(st.text(), st.text(min_size=1))
def test_any_value_and_any_id_arrive_as_one_string(value: str, sent_id: str) -> None:
    message = json.loads(one_message(ParameterPlan([TEXT]), value, sent_id=sent_id))

    (recipient,) = message["recipients"]
    assert recipient["id"] == sent_id
    assert recipient["params"] == {"content": f"Dear {value} Hello"}
    assert list(message) == ["type", "id", "test", "id_type", "reach_id_type", "recipients"]


def test_a_lone_surrogate_arrives_as_itself() -> None:
    body = one_message(ParameterPlan([TEXT]), "\ud83d")

    assert b"Dear \\ud83d Hello" in body
    assert json.loads(body)["recipients"][0]["params"]["content"] == "Dear \ud83d Hello"


def test_a_message_beyond_eight_megabytes_is_refused() -> None:
    plan = ParameterPlan([TEXT])
    body = compile_body(None, plan, id_type="MOBILE", reach_id_type="MOBILE")
    rendered = plan.render(["优" * 900_000])
    assert isinstance(rendered, Rendered)
    part = body.recipient("dlv_1", "1", "1", rendered)

    assert len(body.message("msg_1", [part])) > 2_700_000
    with pytest.raises(SizeError):
        body.message("msg_1", [part, part, part, part])


# --- Custom bodies --------------------------------------------------------------------------------


def test_the_custom_body_keeps_types_order_and_literals() -> None:
    custom = """{
      "z": "{id}", "who": {"kind": "{id_type}", "reach": "{reach_id}", "key": "{delivery_id}"},
      "amount": "{amount}", "text": "{content} for {amount}",
      "list": ["{content}", 1.50, null, true], "empty": [{}, []],
      "plain": "{{amount}} {", "n": 10000000000000000000000
    }"""

    body = one_message(ParameterPlan([TEXT, AMOUNT]), "Li", custom=custom).decode()

    assert body == (
        '{"z":"138","who":{"kind":"MOBILE","reach":"a@b","key":"dlv_1"},"amount":20,'
        '"text":"Dear Li Hello for 20","list":["Dear Li Hello",1.50,null,true],'
        '"empty":[{},[]],"plain":"{amount} {","n":10000000000000000000000}'
    )


@pytest.mark.parametrize(
    "value", ['","admin":true,"x":"', "{amount}", "{id}", "{{amount}}", "\\", "\n", "😀", "\ud800"]
)
def test_a_value_never_adds_structure_nor_is_filled_in_again(value: str) -> None:
    custom = {"a": "{content}", "b": "x {content} {amount}"}

    message = json.loads(one_message(ParameterPlan([TEXT, AMOUNT]), value, custom=custom))

    assert message == {"a": f"Dear {value} Hello", "b": f"x Dear {value} Hello 20"}


def test_a_parameter_left_out_takes_its_key_along() -> None:
    custom = {
        "note": "{note}",
        "in text": "<{note}>",
        "list": ["{note}"],
        "deep": {"note": "{note}"},
    }

    message = json.loads(one_message(ParameterPlan([SPARE]), None, custom=custom))

    assert message == {"in text": "<>", "list": [None], "deep": {}}


def test_a_body_without_placeholders_is_sent_as_it_is() -> None:
    assert one_message(ParameterPlan([]), custom={"ping": [1, "x"]}) == b'{"ping":[1,"x"]}'


def test_a_custom_message_has_one_recipient() -> None:
    plan = ParameterPlan([])
    body = CustomBody({"a": 1}, plan, id_type="MOBILE")

    assert body.recipients_at_most == 1
    with pytest.raises(ValueError, match="too many"):
        body.message("msg_1", ["{}", "{}"])


@pytest.mark.parametrize(
    ("source", "parameters", "code"),
    [
        ("{", [], "not_json"),
        ('{"a": NaN}', [], "not_json"),
        ('{"a": 1, "a": 2}', [], "duplicate_key"),
        ('"text"', [], "not_object"),
        ('{"a": "{content}"}', ["other"], "unknown_placeholder"),
        ('{"a": "{}"}', [], "unknown_placeholder"),
        ('{"{id}": 1}', [], "placeholder_in_key"),
        ('{"a": "{id}"}', ["id"], "reserved_name"),
        ("[" * 40 + "]" * 40, [], "too_deep"),
        ("[" * 30_000 + "]" * 30_000, [], "too_deep"),
        ('{"a": "' + "x" * 70_000 + '"}', [], "too_long"),
    ],
)
def test_a_wrong_custom_body_is_refused_with_a_sentence(
    source: str, parameters: list[str], code: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        bodies.validate_custom(source, parameters)

    (error,) = caught.value.error_list
    assert error.code == code
    assert caught.value.messages[0].endswith(".")


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        bodies.validate_custom('{"{x}": "{y}"}', ["id"])

    assert [error.code for error in caught.value.error_list] == [
        "reserved_name",
        "placeholder_in_key",
        "unknown_placeholder",
    ]


# --- For people -----------------------------------------------------------------------------------


def test_the_seeds_first_example_letter_for_letter() -> None:
    template = "Discount activity at {parameter 1 character}"

    assert (
        bodies.fill_content(template, {"parameter 1 character": "abc"})
        == "Discount activity at abc"
    )


def test_a_content_template_keeps_what_has_no_value() -> None:
    assert bodies.fill_content("{a} {b} {{c}}", {"a": "{b}"}) == "{b} {b} {c}"
    assert bodies.content_problems("{a} {b} {{c}}", ["a"]) == ["b"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_pretty_changes_white_space_only(tree: Any) -> None:
    compact = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    shown = bodies.pretty(compact)

    assert json.loads(shown) == tree
    assert shown == json.dumps(tree, ensure_ascii=False, indent=2)


def frozen(name: str, kind: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": True, "choices": []} | changes


def test_the_preview_shows_every_parameter_in_its_type() -> None:
    shown = bodies.preview_message(
        [
            frozen("a", "character", example="abc"),
            frozen("n", "numeric", example="20.50"),
            frozen("wrong", "numeric", example="many"),
            frozen("d", "date", date_format="DD/MM/YYYY"),
            frozen("c", "choice", choices=[["gold", "Gold"]]),
            frozen("k", "text", is_constant=True, constant_value="fixed"),
        ],
        id_type="MOBILE",
        recipients=2,
    )

    recipients = json.loads(shown)["recipients"]
    assert len(recipients) == 2
    assert recipients[0]["params"] == {
        "a": "abc",
        "n": 20.5,
        "wrong": 20,
        "d": "31/12/2026",
        "c": "gold",
        "k": "fixed",
    }
    assert '"n": 20.50,' in shown


def test_the_preview_of_a_custom_body() -> None:
    shown = bodies.preview_message(
        [frozen("a", "text")], id_type="MOBILE", custom={"to": "{id}", "text": "{a}"}, recipients=9
    )

    assert shown == '{\n  "to": "13800000000",\n  "text": "Dear Zhang San Hello"\n}'
