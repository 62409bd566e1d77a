"""Headers: what may be added, what goes out."""

import pytest
from django.core.exceptions import ValidationError

from webhooks import headers
from webhooks.headers import HeaderError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer abc.def="),
        ("X-Api-Key", "k"),
        ("x-tenant", "a b  c"),
        ("User-Agent", "crm/1"),
        ("Cookie", 'a="b"; c=d'),
    ],
)
def test_an_ordinary_header_is_accepted(name: str, value: str) -> None:
    headers.validate({name: value})

    assert f"{name}: {value}" in headers.lines({}, {name: value})


NAMES = [
    "Host",
    "content-length",
    "Content-Type",
    "Transfer-Encoding",
    "CONNECTION",
    "Keep-Alive",
    "TE",
    "Upgrade",
    "Expect",
    "Proxy-Authorization",
    "webhook-id",
    "Webhook-Signature",
    "webhook-anything",
    "Idempotency-Key",
    "x-qa-test",
    "X-Forwarded-For",
    "Accept-Encoding",
    "",
    "two words",
    "co:lon",
    ":authority",
    "名",
    "line\nbreak",
    "x" * 65,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_the_administrators_is_refused_twice(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        headers.validate({name: "x"})
    with pytest.raises(HeaderError):
        headers.lines({}, {name: "x"})

    assert caught.value.messages[0].endswith(".")


@pytest.mark.parametrize(
    "value",
    ["", " ", " x", "x ", "a\r\nHost: b", "a\nb", "a\x00b", "a\x7fb", "é", "张三", "a\tb", "x\r"],
)
def test_a_value_that_cannot_be_sent_is_refused_twice(value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        headers.validate({"x-name": value})
    with pytest.raises(HeaderError) as sending:
        headers.lines({}, {"x-name": value})

    assert caught.value.messages[0].endswith(".")
    assert sending.value.reason == "invalid_header"


def test_too_many_too_long_and_twice_are_refused() -> None:
    for wrong in (
        {f"x-{number}": "v" for number in range(21)},
        {"x-long": "v" * 5_000},
        {"X-Key": "a", "x-key": "b"},
    ):
        with pytest.raises(ValidationError):
            headers.validate(wrong)


def test_every_fault_is_said_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        headers.validate({"Host": "é", "fine": "x", "a b": "x"})

    assert [error.code for error in caught.value.error_list] == [
        "header_forbidden",
        "header_value",
        "header_name",
    ]


def test_environment_parameters() -> None:
    found = headers.environment(
        {"workspace": "shop", "journey": "秋 100%", "journey_version": 3, "run": None, "step": " "}
    )

    assert found == {
        "x-qa-workspace": "shop",
        "x-qa-journey": "%E7%A7%8B 100%25",
        "x-qa-journey-version": "3",
        "x-qa-test": "false",
    }
    assert headers.environment({}, test=True) == {"x-qa-test": "true"}


@pytest.mark.parametrize("label", ["a\r\nHost: b", "\x00", "\x7f", "é", "a\tb"])
def test_no_label_can_break_a_header(label: str) -> None:
    (line,) = (
        line for line in headers.lines(headers.environment({"step": label})) if "x-qa-step" in line
    )

    assert line.isascii()
    assert line.isprintable()


def test_what_every_request_carries() -> None:
    shared = headers.lines({"x-qa-test": "false"}, {"X-Key": "k"})

    assert shared == [
        "content-type: application/json",
        f"user-agent: {headers.USER_AGENT}",
        "x-qa-test: false",
        "X-Key: k",
    ]
    assert headers.message_lines("msg_1", 5, "v1,x") == [
        "webhook-id: msg_1",
        "webhook-timestamp: 5",
        "idempotency-key: msg_1",
        "webhook-signature: v1,x",
    ]
    assert len(headers.message_lines("msg_1", 5, None)) == 3
    assert headers.lines({}, {"User-Agent": "crm"})[1:] == ["User-Agent: crm"]
