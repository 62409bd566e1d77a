"""What a frozen parameter accepts as its value."""

import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from webhooks import values
from webhooks.choices import ParameterType

Frozen = Mapping[str, Any]  # One parameter as ``Parameter.frozen`` gives it.


def problem(parameter: Frozen, value: Any) -> str | Promise | None:
    """Return the sentence that says why the parameter does not take this value, or None.

    A text that holds variables is measured as it was typed; what it becomes for each person
    is checked when it is rendered.
    """
    text = values.text_of(value)
    if text == "":
        return _("Enter a value.") if parameter["required"] else None
    match ParameterType(parameter["type"]):
        case ParameterType.NUMERIC:
            return _number_problem(parameter, value)
        case ParameterType.DATE:
            if values.moment_of(value) is None:
                return _("Enter a date like 2026-12-31.")
        case ParameterType.CHOICE:
            if text not in [choice for choice, _label in parameter["choices"]]:
                return _("Choose one of the list.")
        case ParameterType.CHARACTER if any(map(_is_control, text)):
            return _("Short text has one line only.")
        case _:
            pass
    limit = parameter["max_length"]
    if limit and len(text) > limit:
        message = _("This has %(length)d characters; %(limit)d at most are possible.")
        return message % {"length": len(text), "limit": limit}
    return None


def problems(parameters: Sequence[Frozen], given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with typed values, by parameter name; constants are not asked for."""
    found = {
        parameter["name"]: problem(parameter, given.get(parameter["name"]))
        for parameter in parameters
        if not parameter["is_constant"]
    }
    return {name: str(sentence) for name, sentence in found.items() if sentence}


def _number_problem(parameter: Frozen, value: Any) -> str | Promise | None:
    number = values.number_of(value)
    if number is None:
        return _("Enter a number.")
    minimum, maximum = parameter["minimum"], parameter["maximum"]
    if minimum is not None and number < Decimal(minimum):
        return _("Enter %(limit)s or more.") % {
            "limit": values.text_of(Decimal(minimum).normalize())
        }
    if maximum is not None and number > Decimal(maximum):
        return _("Enter %(limit)s or less.") % {
            "limit": values.text_of(Decimal(maximum).normalize())
        }
    return None


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"
