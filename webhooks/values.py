"""How a tag's or an attribute's value becomes text: emptiness, lists, dates and numbers."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

Convert = Callable[[Any], str]

_DATE_WORD: Final = re.compile(r"YYYY|YY|MM|M|DD|D|HH|H|mm|ss")
_DATE_PARTS: Final[dict[str, Callable[[datetime], str]]] = {
    "YYYY": lambda at: f"{at.year:04d}",
    "YY": lambda at: f"{at.year % 100:02d}",
    "MM": lambda at: f"{at.month:02d}",
    "M": lambda at: str(at.month),
    "DD": lambda at: f"{at.day:02d}",
    "D": lambda at: str(at.day),
    "HH": lambda at: f"{at.hour:02d}",
    "H": lambda at: str(at.hour),
    "mm": lambda at: f"{at.minute:02d}",
    "ss": lambda at: f"{at.second:02d}",
}
_NUMBER_FORMAT: Final = re.compile(r"(#,##)?0(?:\.(0{1,6}))?(%)?")
_LARGE: Final = 10**15
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def text_of(value: Any) -> str:
    """Return a value as people write it; ``""`` when it is empty.

    Empty are a missing value, null, the empty string and a list of nothing but these;
    0 and false are values. A list is joined by ``", "``.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _plain(value)
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(text_of, value)))
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(value: float | Decimal) -> str:
    """Write a number without an exponent, and a whole one without a fraction."""
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if not number.is_finite():
        return str(value)
    if number == number.to_integral_value():
        return f"{number.to_integral_value():f}"
    return f"{number:f}"


def number_of(value: Any) -> Decimal | None:
    """Return what reads as one finite number, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        return None
    return number if number.is_finite() else None


def number_json(value: Any) -> str | None:
    """Return a number as JSON, its decimals as they were typed (``20.50`` stays so), or None."""
    number = number_of(value)
    if number is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    return text if _JSON_NUMBER.fullmatch(text) else f"{number:f}"


def moment_of(value: Any, zone: tzinfo = UTC) -> datetime | date | None:
    """Return what reads as an ISO 8601 date or time, in the wanted zone, or None."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value.astimezone(zone) if value.tzinfo else value.replace(tzinfo=zone)
    return value if isinstance(value, date) else None


def date_format_problem(pattern: str) -> bool:
    """Tell whether a date pattern names no part of a date, or holds stray letters."""
    rest, parts = _DATE_WORD.subn("", pattern)
    return parts == 0 or re.search(r"[A-Za-z{}$]", rest.replace("T", "")) is not None


def number_format_problem(pattern: str) -> bool:
    """Tell whether a pattern is none of ``0``, ``0.00``, ``#,##0``, … with or without ``%``."""
    return _NUMBER_FORMAT.fullmatch(pattern) is None


def date_format(pattern: str, zone: tzinfo = UTC) -> Convert:
    """Compile a pattern like ``YYYY-MM-DD HH:mm`` or ``M月D日``; no date passes unchanged."""
    pieces: list[str | Callable[[datetime], str]] = []
    end = 0
    for match in _DATE_WORD.finditer(pattern):
        pieces += [pattern[end : match.start()], _DATE_PARTS[match.group()]]
        end = match.end()
    pieces.append(pattern[end:])

    def convert(value: Any) -> str:
        moment = moment_of(value, zone)
        if moment is None:
            return text_of(value)
        if not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day, tzinfo=zone)
        return "".join(piece if isinstance(piece, str) else piece(moment) for piece in pieces)

    return convert


def number_format(pattern: str) -> Convert:
    """Compile ``0``, ``#,##0.00`` or ``0%``; halves round up, no number passes unchanged.

    Raises:
        ValueError: the pattern is none of these.
    """
    match = _NUMBER_FORMAT.fullmatch(pattern)
    if match is None:
        raise ValueError(f"“{pattern}” is not a number format")
    grouped, decimals, percent = match.groups()
    step = Decimal(1).scaleb(-len(decimals or ""))
    specification = ",f" if grouped else "f"
    whole, zeros = (",d" if grouped else "d"), ("." + "0" * len(decimals) if decimals else "")

    def convert(value: Any) -> str:
        if type(value) is int and not percent and abs(value) < _LARGE:
            return format(value, whole) + zeros  # In a quarter of the time.
        number = number_of(value)
        if number is None or number.adjusted() > 25:
            return text_of(value)
        scaled = (number * 100 if percent else number).quantize(step, rounding=ROUND_HALF_UP)
        return format(scaled, specification) + (percent or "")

    return convert


def converter(pattern: str, zone: tzinfo = UTC) -> Convert:
    """Compile a variable's optional format: a number pattern, a date pattern, or none at all.

    Raises:
        ValueError: the pattern is neither.
    """
    if not pattern:
        return text_of
    if not number_format_problem(pattern):
        return number_format(pattern)
    if date_format_problem(pattern):
        raise ValueError(f"“{pattern}” is neither a date format nor a number format")
    return date_format(pattern, zone)
