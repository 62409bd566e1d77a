"""Values of tags and event attributes: what each type takes, and how it is kept as JSON.

Numbers are kept as JSON numbers. Dates are kept as ISO text that sorts by time: ``2026-11-24``,
or ``2026-11-24T10:00:00Z`` when there is a time of day, always UTC.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identity.choices import TagType
from identity.normalising import InvalidValueError

MAX_TEXT: Final = 100_000
MAX_LIST: Final = 1_000
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}\Z", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\Z", re.ASCII)
_BOOLEANS: Final = {
    "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False,
}  # fmt: skip

_COMPLAINTS: Final[dict[str, Promise]] = {
    TagType.TEXT: _("must be a text of at most 100,000 characters, without NUL"),
    TagType.NUMBER: _("must be a number like 12.5"),
    TagType.DATE: _("must be a date like 2026-11-24 or 2026-11-24T10:00:00Z"),
    TagType.BOOLEAN: _("must be true or false"),
    TagType.LIST: _("must be a list of at most 1,000 texts"),
}


def parse_time(value: str, zone: tzinfo) -> datetime:
    """Return a moment; without an offset it is of ``zone``, without a time of day its midnight.

    Raises:
        ValueError: it is no ISO 8601 date or time.
    """
    moment = datetime.fromisoformat(value.strip())
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    if not 1000 < moment.year < 9000:
        raise ValueError("out of range")
    return moment.astimezone(UTC)


def _text(value: Any, _zone: tzinfo) -> Any:
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\x00" in value:
        raise ValueError
    # A half of a surrogate pair is no character: PostgreSQL refuses it.
    value.encode()
    return value


def _number(value: Any, _zone: tzinfo) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return value


def _date(value: Any, zone: tzinfo) -> Any:
    value = _text(value, zone).strip()
    if len(value) <= 10:
        return date.fromisoformat(value).isoformat()
    return parse_time(value, zone).isoformat().replace("+00:00", "Z")


def _boolean(value: Any, _zone: tzinfo) -> Any:
    if value is not True and value is not False:
        raise ValueError
    return value


def _list(value: Any, zone: tzinfo) -> Any:
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise ValueError
    return [_text(item, zone) for item in value]


_JSON: Final[dict[str, Callable[[Any, tzinfo], Any]]] = {
    TagType.TEXT: _text,
    TagType.NUMBER: _number,
    TagType.DATE: _date,
    TagType.BOOLEAN: _boolean,
    TagType.LIST: _list,
}


def _number_of(text: str) -> Any:
    text = text.strip()
    if _WHOLE.match(text):
        return int(text)
    if not _NUMBER.match(text):
        raise ValueError
    return float(text)


def _boolean_of(text: str) -> Any:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ValueError from None


def _list_of(text: str) -> Any:
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [item.strip() for item in re.split(r"[;|]", text) if item.strip()]


_TEXT_FORMS: Final[dict[str, Callable[[str], Any]]] = {
    TagType.NUMBER: _number_of,
    TagType.BOOLEAN: _boolean_of,
    TagType.LIST: _list_of,
}


def from_json(value: Any, *, value_type: str, zone: tzinfo) -> Any:
    """Return a JSON value as it is kept. A text "12" is no number here.

    Raises:
        InvalidValueError: it is none of this type; the message says what it must be and reads
            after the name of the value.
    """
    try:
        return _JSON[value_type](value, zone)
    except (ValueError, OverflowError):
        raise InvalidValueError(str(_COMPLAINTS[value_type])) from None


def from_text(text: str, *, value_type: str, zone: tzinfo) -> Any:
    """Return the value that a cell of a CSV file spells; raises like ``from_json``."""
    try:
        value = _TEXT_FORMS[value_type](text) if value_type in _TEXT_FORMS else text
        return _JSON[value_type](value, zone)
    except (ValueError, OverflowError, RecursionError):
        raise InvalidValueError(str(_COMPLAINTS[value_type])) from None
