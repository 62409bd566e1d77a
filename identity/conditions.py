"""Conditions on JSON values (tags, event attributes) as SQL, one table of operators a type.

No operator casts a stored value, so that a value of another type never breaks a query: it
only does not match. A missing value is equal to nothing; "is not" and "is none of" hold for it.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from django.utils.dateparse import parse_date, parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identity.choices import AttributeType, TagType
from workspaces.sentences import listed

Fragment = tuple[str, list[Any]]


class Column(NamedTuple):
    """A JSON document in the query and the name of the value in it."""

    document: str  # SQL, ours: "p.tags", "e.attributes".
    code: str


class ConditionError(ValueError):
    """The condition makes no sense; the message is a sentence for people."""


def _json(column: Column) -> Fragment:
    return f"{column.document} -> %s", [column.code]


def _text(column: Column) -> Fragment:
    return f"coalesce({column.document} ->> %s, '')", [column.code]


def _compare(sign: str) -> Callable[[Column, Any], Fragment]:
    """Compare as jsonb: numbers by value, and only with what is a number too."""

    def build(column: Column, value: Any) -> Fragment:
        sql, params = _json(column)
        return (
            f"coalesce(jsonb_typeof({sql}) = 'number' AND {sql} {sign} %s::jsonb, false)",
            [*params, *params, json.dumps(value)],
        )

    return build


def _compare_text(sign: str) -> Callable[[Column, Any], Fragment]:
    """Compare ISO dates and times as text, which orders them."""

    def build(column: Column, value: Any) -> Fragment:
        sql, params = _text(column)
        return (f"({sql} <> '' AND {sql} COLLATE \"C\" {sign} %s)", [*params, *params, value])

    return build


def _equals(column: Column, value: Any) -> Fragment:
    sql, params = _json(column)
    return f"coalesce({sql} = %s::jsonb, false)", [*params, json.dumps(value)]


def _not_equals(column: Column, value: Any) -> Fragment:
    sql, params = _equals(column, value)
    return f"NOT {sql}", params


def _one_of(column: Column, value: Sequence[Any]) -> Fragment:
    sql, params = _json(column)
    return (
        f"coalesce({sql} IN ({', '.join(['%s::jsonb'] * len(value))}), false)",
        [*params, *(json.dumps(item) for item in value)],
    )


def _none_of(column: Column, value: Sequence[Any]) -> Fragment:
    sql, params = _one_of(column, value)
    return f"NOT {sql}", params


def _like(pattern: str) -> Callable[[Column, Any], Fragment]:
    def build(column: Column, value: Any) -> Fragment:
        sql, params = _text(column)
        escaped = str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return f"{sql} LIKE %s", [*params, pattern.format(escaped)]

    return build


def _between(column: Column, value: Sequence[Any]) -> Fragment:
    low, low_params = _compare(">=")(column, value[0])
    high, high_params = _compare("<=")(column, value[1])
    return f"({low} AND {high})", [*low_params, *high_params]


def _between_dates(column: Column, value: Sequence[Any]) -> Fragment:
    low, low_params = _compare_text(">=")(column, value[0])
    high, high_params = _compare_text("<=")(column, _end_of_day(value[1]))
    return f"({low} AND {high})", [*low_params, *high_params]


def _on(column: Column, value: Any) -> Fragment:
    return _between_dates(column, [value, value])


def _after(column: Column, value: Any) -> Fragment:
    return _compare_text(">")(column, _end_of_day(value))


def _end_of_day(value: str) -> str:
    """Return what sorts after every time of a day; a value with a time stays."""
    return f"{value}~" if len(value) == 10 else value


def _holds(column: Column, value: Any) -> Fragment:
    sql, params = _json(column)
    return f"coalesce({sql} @> %s::jsonb, false)", [*params, json.dumps([value])]


def _holds_any(column: Column, value: Sequence[Any]) -> Fragment:
    parts = [_holds(column, item) for item in value]
    return (
        f"({' OR '.join(sql for sql, _params in parts)})",
        [param for _sql, params in parts for param in params],
    )


def _holds_none(column: Column, value: Sequence[Any]) -> Fragment:
    sql, params = _holds_any(column, value)
    return f"NOT {sql}", params


def _empty(column: Column, _value: Any) -> Fragment:
    sql, params = _text(column)
    return f"{sql} IN ('', '[]')", params


def _not_empty(column: Column, _value: Any) -> Fragment:
    sql, params = _text(column)
    return f"{sql} NOT IN ('', '[]')", params


# --- what a value of a condition must be ------------------------------------------------------


def _a_text(value: Any) -> Any:
    if not isinstance(value, str) or not value or "\x00" in value:
        raise ConditionError(str(_("The value must be a text that is not empty.")))
    return value


def _a_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ConditionError(str(_("The value must be a number.")))
    return value


def _a_boolean(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ConditionError(str(_("The value must be true or false.")))
    return value


def _a_date(value: Any) -> Any:
    try:
        found = isinstance(value, str) and (parse_date(value) or parse_datetime(value))
    except ValueError:
        found = None
    if not found:
        raise ConditionError(str(_("The value must be a date like 2026-11-24.")))
    return value


def _many(one: Callable[[Any], Any], *, exactly: int | None = None) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, list) or not 1 <= len(value) <= 1000:
            raise ConditionError(str(_("The value must be a list of 1 to 1,000 values.")))
        if exactly and len(value) != exactly:
            raise ConditionError(str(_("The value must be a list of two: from and to.")))
        return [one(item) for item in value]

    return check


def _nothing(value: Any) -> Any:
    if value is not None:
        raise ConditionError(str(_("This operator takes no value.")))
    return None


class Operator(NamedTuple):
    label: Promise
    check: Callable[[Any], Any]
    build: Callable[[Column, Any], Fragment]


_EMPTINESS: Final = {
    "is_empty": Operator(_("is empty"), _nothing, _empty),
    "is_not_empty": Operator(_("is not empty"), _nothing, _not_empty),
}
_TEXT: Final = {
    "equals": Operator(_("is"), _a_text, _equals),
    "not_equals": Operator(_("is not"), _a_text, _not_equals),
    "one_of": Operator(_("is one of"), _many(_a_text), _one_of),
    "none_of": Operator(_("is none of"), _many(_a_text), _none_of),
    "contains": Operator(_("contains"), _a_text, _like("%{}%")),
    "starts_with": Operator(_("starts with"), _a_text, _like("{}%")),
    **_EMPTINESS,
}
_NUMBER: Final = {
    "equals": Operator(_("is"), _a_number, _equals),
    "not_equals": Operator(_("is not"), _a_number, _not_equals),
    "more_than": Operator(_("is more than"), _a_number, _compare(">")),
    "at_least": Operator(_("is at least"), _a_number, _compare(">=")),
    "less_than": Operator(_("is less than"), _a_number, _compare("<")),
    "at_most": Operator(_("is at most"), _a_number, _compare("<=")),
    "between": Operator(_("is between"), _many(_a_number, exactly=2), _between),
    **_EMPTINESS,
}
_DATE: Final = {
    "on": Operator(_("is on"), _a_date, _on),
    "before": Operator(_("is before"), _a_date, _compare_text("<")),
    "after": Operator(_("is after"), _a_date, _after),
    "between": Operator(_("is between"), _many(_a_date, exactly=2), _between_dates),
    **_EMPTINESS,
}
_BOOLEAN: Final = {"equals": Operator(_("is"), _a_boolean, _equals), **_EMPTINESS}
_LIST: Final = {
    "contains": Operator(_("holds"), _a_text, _holds),
    "contains_any": Operator(_("holds any of"), _many(_a_text), _holds_any),
    "contains_none": Operator(_("holds none of"), _many(_a_text), _holds_none),
    **_EMPTINESS,
}

OPERATORS: Final[dict[str, dict[str, Operator]]] = {
    TagType.TEXT: _TEXT,
    TagType.NUMBER: _NUMBER,
    TagType.DATE: _DATE,
    TagType.BOOLEAN: _BOOLEAN,
    TagType.LIST: _LIST,
}
assert set(AttributeType.values) <= set(OPERATORS)  # noqa: S101 - attributes use the same table


def check(*, value_type: str, operator: Any, value: Any) -> Any:
    """Return the checked value of a condition.

    Raises:
        ConditionError: the type has no such operator, or the operator no such value.
    """
    operators = OPERATORS[value_type]
    if not isinstance(operator, str) or operator not in operators:
        raise ConditionError(
            str(_("The operator must be one of: %(operators)s.") % {"operators": listed(operators)})
        )
    return operators[operator].check(value)


def build(column: Column, *, value_type: str, operator: str, value: Any) -> Fragment:
    """Return the SQL of a checked condition and its parameters."""
    return OPERATORS[value_type][operator].build(column, value)


def holds(value: Any, *, value_type: str, operator: str, wanted: Any) -> bool:
    """Answer the same question for one value in hand: an event's attribute, without a query."""
    return _PYTHON[operator](value, wanted, value_type)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == []


def _ordered(value: Any, value_type: str) -> Any:
    """Return the value when it can be compared in this type, else None."""
    if value_type == TagType.NUMBER:
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return value if isinstance(value, str) and value else None


def _python_compare(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any, str], bool]:
    def compare(value: Any, wanted: Any, value_type: str) -> bool:
        ordered = _ordered(value, value_type)
        return ordered is not None and test(ordered, wanted)

    return compare


def _python_between(value: Any, wanted: Any, value_type: str) -> bool:
    ordered = _ordered(value, value_type)
    high = _end_of_day(wanted[1]) if value_type == TagType.DATE else wanted[1]
    return ordered is not None and wanted[0] <= ordered <= high


def _same(value: Any, wanted: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


_PYTHON: Final[dict[str, Callable[[Any, Any, str], bool]]] = {
    "is_empty": lambda value, _wanted, _type: _is_empty(value),
    "is_not_empty": lambda value, _wanted, _type: not _is_empty(value),
    "equals": lambda value, wanted, _type: _same(value, wanted),
    "not_equals": lambda value, wanted, _type: not _same(value, wanted),
    "one_of": lambda value, wanted, _type: value in wanted,
    "none_of": lambda value, wanted, _type: value not in wanted,
    "contains": lambda value, wanted, _type: isinstance(value, str | list) and wanted in value,
    "contains_any": lambda value, wanted, _type: (
        isinstance(value, list) and any(item in value for item in wanted)
    ),
    "contains_none": lambda value, wanted, _type: (
        not isinstance(value, list) or not any(item in value for item in wanted)
    ),
    "starts_with": lambda value, wanted, _type: isinstance(value, str) and value.startswith(wanted),
    "more_than": _python_compare(lambda value, wanted: value > wanted),
    "at_least": _python_compare(lambda value, wanted: value >= wanted),
    "less_than": _python_compare(lambda value, wanted: value < wanted),
    "at_most": _python_compare(lambda value, wanted: value <= wanted),
    "before": _python_compare(lambda value, wanted: value < wanted),
    "after": _python_compare(lambda value, wanted: value > _end_of_day(wanted)),
    "on": lambda value, wanted, kind: _python_between(value, [wanted, wanted], kind),
    "between": _python_between,
}
