"""One spelling for one ID, so that equal IDs are equal bytes.

An import normalises a whole column at once (``normalise_column``), an event or a form one
value (``normalise``); both go through the same function of the kind.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identity.choices import IdKind
from identity.models.id_types import MAX_VALUE_LENGTH

_MOBILE: Final = re.compile(r"\+?[0-9]{5,15}\Z", re.ASCII)
_MAINLAND: Final = re.compile(r"86(1[3-9][0-9]{9})\Z", re.ASCII)
_MOBILE_SEPARATORS: Final = str.maketrans("", "", " -.()/\t")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+\Z")

_COMPLAINTS: Final[dict[str, Promise]] = {
    IdKind.MOBILE: _("A mobile number has 5 to 15 digits; “+”, spaces and hyphens are allowed."),
    IdKind.EMAIL: _("An e-mail address looks like name@example.com."),
    IdKind.DIGITS: _("Only digits are allowed."),
    IdKind.DEVICE: _("A device ID has no spaces and no control characters."),
    IdKind.TEXT: _("Control characters are not allowed."),
}
_TOO_LONG: Final = _("A value has at most 255 characters.")


class InvalidValueError(ValueError):
    """No value of this kind; the message is a sentence for people and does not hold the value."""


def _mobile(value: str) -> str | None:
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
    value = value.translate(_MOBILE_SEPARATORS)
    if not _MOBILE.match(value):
        return None
    digits = value.removeprefix("+")
    while digits.startswith("00"):
        digits = digits[2:]
    # The mainland's country code is the one that most sources leave out.
    if mainland := _MAINLAND.match(digits):
        return mainland[1]
    return digits if len(digits) >= 5 else None


def _email(value: str) -> str | None:
    value = _text_form(value).lower()
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    return value if _EMAIL.match(value) and value.isprintable() else None


def _digits(value: str) -> str | None:
    value = value.strip()
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
    return value if value.isascii() and value.isdigit() else None


def _device(value: str) -> str | None:
    value = value.strip().lower()
    return value if value.isascii() and value.isprintable() and " " not in value else None


def _text(value: str) -> str | None:
    value = _text_form(value)
    return value if value.isprintable() else None


def _text_form(value: str) -> str:
    value = value.strip()
    return value if value.isascii() else unicodedata.normalize("NFC", value).strip()


_FUNCTIONS: Final[dict[str, Callable[[str], str | None]]] = {
    IdKind.MOBILE: _mobile,
    IdKind.EMAIL: _email,
    IdKind.DIGITS: _digits,
    IdKind.DEVICE: _device,
    IdKind.TEXT: _text,
}


def normalise(value: str, kind: str) -> str:
    """Return the one spelling of a value; "" when there is none.

    Raises:
        InvalidValueError: the value is none of this kind.
    """
    if not value or value.isspace():
        return ""
    normal = _FUNCTIONS[kind](value)
    if normal is None:
        raise InvalidValueError(str(_COMPLAINTS[kind]))
    if len(normal) > MAX_VALUE_LENGTH:
        raise InvalidValueError(str(_TOO_LONG))
    return normal


def normalise_column(values: Iterable[str], kind: str) -> list[str | None]:
    """Normalise many values; None stands where ``normalise`` would complain."""
    function = _FUNCTIONS[kind]
    column: list[str | None] = []
    append = column.append
    for value in values:
        normal = function(value) if value and not value.isspace() else ""
        append(None if normal is None or len(normal) > MAX_VALUE_LENGTH else normal)
    return column
