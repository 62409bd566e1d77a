"""What a parameter accepts as its value, by type."""

from typing import Any

import pytest

from webhooks import parameter_values
from webhooks.choices import ParameterType
from webhooks.models import Parameter

CHOICES = [["sms", "SMS"], ["app", "App"]]


def frozen(kind: ParameterType, **fields: Any) -> dict[str, Any]:
    choices = fields.pop("choices", [])
    return {**Parameter(name="p", type=kind, **fields).frozen(), "choices": choices}


@pytest.mark.parametrize(
    ("parameter", "value", "sentence"),
    [
        (frozen(ParameterType.TEXT), "Hello", ""),
        (frozen(ParameterType.TEXT), "", "Enter a value."),
        (frozen(ParameterType.TEXT), None, "Enter a value."),
        (frozen(ParameterType.TEXT, required=False), "", ""),
        (frozen(ParameterType.TEXT, max_length=3), "four", "This has 4 characters; 3 at most"),
        (frozen(ParameterType.TEXT), "two\nlines", ""),
        (frozen(ParameterType.CHARACTER), "two\nlines", "Short text has one line only."),
        (frozen(ParameterType.NUMERIC), "0", ""),
        (frozen(ParameterType.NUMERIC), "20.50", ""),
        (frozen(ParameterType.NUMERIC), "many", "Enter a number."),
        (frozen(ParameterType.NUMERIC, minimum="1.500000"), "1", "Enter 1.5 or more."),
        (frozen(ParameterType.NUMERIC, maximum="500.000000"), "501", "Enter 500 or less."),
        (frozen(ParameterType.NUMERIC, minimum="1", maximum="500"), "500", ""),
        (frozen(ParameterType.DATE), "2026-12-31", ""),
        (frozen(ParameterType.DATE), "31.12.2026", "Enter a date like 2026-12-31."),
        (frozen(ParameterType.CHOICE, choices=CHOICES), "sms", ""),
        (frozen(ParameterType.CHOICE, choices=CHOICES), "SMS", "Choose one of the list."),
    ],
)
def test_a_value_is_taken_or_refused_with_a_sentence(
    parameter: dict[str, Any], value: Any, sentence: str
) -> None:
    found = str(parameter_values.problem(parameter, value) or "")

    assert found.startswith(sentence) if sentence else not found


def test_constants_are_not_asked_for() -> None:
    constant = frozen(ParameterType.TEXT, is_constant=True)

    assert parameter_values.problems([constant], {}) == {}
