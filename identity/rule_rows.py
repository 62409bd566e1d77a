"""The rules of an audience as the rows of a form, and back.

A row is a condition, or a group or an event with rows of its own one level deeper; their order
and levels say what belongs to what. Everything is text as it was typed, so that nothing is lost
when it cannot be read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from identity import audience_rules, typed_values
from identity.choices import TagType
from identity.conditions import OPERATORS, ConditionError, check
from identity.models import EventType
from identity.normalising import InvalidValueError
from identity.rule_sentences import HAPPENED, HAS, Words
from workspaces.models import Workspace
from workspaces.typed import whole

MAX_ROWS: Final = 2 * audience_rules.MAX_CONDITIONS
LONGEST: Final = 20_000
GROUP: Final = "group"
_FIELDS: Final = {
    **dict.fromkeys(("subject", "operator", "value", "upto", "match"), ""),
    "times": "1",
    "days": "30",
}
SEVERAL: Final = frozenset({"one_of", "none_of", "contains_any", "contains_none"})
NO_VALUE: Final = frozenset({"is_empty", "is_not_empty", *HAS})


@dataclass(frozen=True, slots=True)
class Row:
    """One row; ``subject`` is "group", "tag:CODE", "id:CODE", "event:CODE", "attribute:CODE"."""

    level: int
    subject: str = ""
    operator: str = ""
    value: str = ""
    upto: str = ""  # The second value of "between".
    times: str = "1"
    days: str = "30"
    match: str = "all"

    @property
    def kind(self) -> str:
        return self.subject.partition(":")[0]

    @property
    def code(self) -> str:
        return self.subject.partition(":")[2]

    @property
    def holds_rows(self) -> bool:
        return self.kind in (GROUP, "event")


@dataclass(frozen=True, slots=True)
class Rows:
    match: str = "all"
    rows: tuple[Row, ...] = (Row(1),)


@dataclass(slots=True)
class Drawn:
    """One row as a page draws it, with the rows that belong to it."""

    place: int
    row: Row
    type: str = ""  # Of the value, as ``TagType`` names it.
    operators: Sequence[tuple[str, str | Promise]] = ()
    children: list["Drawn"] = field(default_factory=list)
    may_nest: bool = False
    event: EventType | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def input(self) -> str:
        """Return what takes the value: nothing, yesno, lines, number, date or text."""
        row = self.row
        if not row.subject or row.operator in NO_VALUE or row.kind in ("id", "event", GROUP):
            return ""
        if row.operator in SEVERAL:
            return "lines"
        if self.type == TagType.BOOLEAN:
            return "yesno"
        if self.type == TagType.DATE:
            # A time of day does not fit into a date's field.
            return "date" if max(len(row.value), len(row.upto)) <= 10 else "text"
        return "number" if self.type == TagType.NUMBER else "text"

    @property
    def is_known(self) -> bool:
        """Tell whether the workspace still has what the condition is about."""
        return bool(self.operators)

    @property
    def is_between(self) -> bool:
        return self.row.operator == "between"


# --- Reading what was posted ----------------------------------------------------------------------


def posted(data: Mapping[str, str]) -> Rows:
    """Return the rows of a form, whatever was sent: too many, too deep and unknown are cut."""
    rows: list[Row] = []
    level = 1
    for place in range(min(whole(data.get("rows")) or 0, MAX_ROWS)):
        wanted = whole(data.get(f"level-{place}")) or 1
        deepest = level + 1 if rows and rows[-1].holds_rows else level
        level = max(1, min(wanted, deepest, audience_rules.MAX_DEPTH + 1))
        texts = {
            name: data.get(f"{name}-{place}", default).replace("\x00", "")[:LONGEST]
            for name, default in _FIELDS.items()
        }
        texts["match"] = _match(texts["match"])
        rows.append(Row(level, **texts))
    return Rows(_match(data.get("match", "")), tuple(rows))


def _match(raw: str) -> str:
    return raw if raw in ("all", "any") else "all"


def changed(rows: Rows, action: str) -> tuple[Rows, int | None]:
    """Return the rows after a button: ``add:``, ``group:`` or ``remove:`` and a row's place.

    Without a place a row is added at the end. Also returned is the place that is to be looked at.
    """
    what, _colon, raw = action.partition(":")
    found = list(rows.rows)
    place = whole(raw)
    if place is not None and place >= len(found):
        return rows, None
    if what == "remove" and place is not None:
        del found[place : _end(found, place)]
        return replace(rows, rows=tuple(found)), min(place, len(found) - 1)
    if what not in ("add", "group") or len(found) >= MAX_ROWS - 1:
        return rows, None
    at = len(found) if place is None else _end(found, place)
    level = 1 if place is None else found[place].level + 1
    made = [Row(level)] if what == "add" else [Row(level, GROUP, match="any"), Row(level + 1)]
    found[at:at] = made
    return replace(rows, rows=tuple(found)), at + len(made) - 1


def _end(rows: Sequence[Row], place: int) -> int:
    """Return where the rows that belong to a row end."""
    end = place + 1
    while end < len(rows) and rows[end].level > rows[place].level:
        end += 1
    return end


# --- From rules -----------------------------------------------------------------------------------


def of_rules(rules: Mapping[str, Any]) -> Rows:
    """Return valid rules as rows."""
    if "conditions" not in rules:
        return Rows("all", tuple(_row_of(rules, 1)))
    return Rows(rules["match"], tuple(_rows_of(rules["conditions"], 1)))


def _rows_of(nodes: Iterable[Mapping[str, Any]], level: int) -> Iterator[Row]:
    for node in nodes:
        yield from _row_of(node, level)


def _row_of(node: Mapping[str, Any], level: int) -> Iterator[Row]:
    if "conditions" in node:
        yield Row(level, GROUP, match=node["match"])
        yield from _rows_of(node["conditions"], level + 1)
    elif "id_type" in node:
        yield Row(level, f"id:{node['id_type']}", node["operator"])
    elif "event" in node:
        yield Row(
            level,
            f"event:{node['event']}",
            node.get("operator", "at_least"),
            times=str(node.get("times", 1)),
            days=str(node["days"]),
        )
        for clause in node.get("where", ()):
            yield _comparing(level + 1, f"attribute:{clause['attribute']}", clause)
    else:
        yield _comparing(level, f"tag:{node['tag']}", node)


def _comparing(level: int, subject: str, node: Mapping[str, Any]) -> Row:
    value = node.get("value")
    operator = node["operator"]
    if isinstance(value, list):
        if operator == "between":
            return Row(level, subject, operator, _text(value[0]), _text(value[1]))
        return Row(level, subject, operator, "\n".join(map(_text, value)))
    return Row(level, subject, operator, _text(value))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# --- Drawing --------------------------------------------------------------------------------------


def drawn(rows: Rows, words: Words) -> list[Drawn]:
    """Return the rows as a tree, each with the operators of its subject."""
    top: list[Drawn] = []
    within: list[Drawn] = []
    for place, row in enumerate(rows.rows):
        del within[row.level - 1 :]
        parent = within[-1] if within else None
        made = _drawn(place, row, parent, words)
        (parent.children if parent else top).append(made)
        within.append(made)
    return top


def _drawn(place: int, row: Row, parent: Drawn | None, words: Words) -> Drawn:
    value_type, operators = _offers(row, parent, words)
    codes = [code for code, _label in operators]
    if row.subject and codes and row.operator not in codes:
        row = replace(row, operator=codes[0])
    # A group is one level deeper than the row that holds it.
    may_nest = row.level < audience_rules.MAX_DEPTH - 1
    event = words.events.get(row.code) if row.kind == "event" else None
    return Drawn(place, row, value_type, operators, may_nest=may_nest, event=event)


def _offers(
    row: Row, parent: Drawn | None, words: Words
) -> tuple[str, Sequence[tuple[str, str | Promise]]]:
    if row.kind == "id":
        return "", list(HAS.items()) if row.code in words.id_types else []
    if row.kind == "event":
        return "", list(HAPPENED.items()) if row.code in words.events else []
    value_type = ""
    if row.kind == "tag" and row.code in words.tags:
        value_type = words.tags[row.code].type
    elif row.kind == "attribute" and parent and parent.row.code in words.events:
        attributes = words.events[parent.row.code].attributes.all()
        value_type = next((each.type for each in attributes if each.code == row.code), "")
    offered = OPERATORS.get(value_type, {})
    return value_type, [(code, operator.label) for code, operator in offered.items()]


# --- Back to rules --------------------------------------------------------------------------------


def rules_of(rows: Rows, tree: Sequence[Drawn], workspace: Workspace) -> dict[str, Any] | None:
    """Return the rules that the rows say; None when a row has an error, which then is in it."""
    conditions = [_node(each, workspace) for each in tree]
    if not tree or any(each is None for each in conditions):
        return None
    return {"match": rows.match, "conditions": conditions}


def _node(each: Drawn, workspace: Workspace) -> dict[str, Any] | None:
    row = each.row
    children = [_node(child, workspace) for child in each.children]
    made: dict[str, Any] | None = None
    if row.kind == GROUP:
        if not children:
            each.errors.append(_("The group is empty. Add a condition, or remove the group."))
        made = {"match": row.match, "conditions": children}
    elif not row.subject:
        each.errors.append(_("Choose what the condition is about, or remove it."))
    elif not each.is_known:
        gone = _("“%(code)s” no longer exists. Choose another one, or remove the condition.")
        each.errors.append(gone % {"code": row.code or row.subject})
    elif row.kind == "id":
        made = {"id_type": row.code, "operator": row.operator}
    elif row.kind == "event":
        made = _event(each, children)
    else:
        made = _compared(each, workspace)
    return None if each.errors or any(child is None for child in children) else made


def _event(each: Drawn, where: list[dict[str, Any] | None]) -> dict[str, Any]:
    row = each.row
    times, days = whole(row.times.strip()), whole(row.days.strip())
    if not times or times > 1_000_000:
        each.errors.append(_("Enter how many times: a whole number of 1 or more."))
    if not days or days > audience_rules.MAX_DAYS:
        each.errors.append(
            _("Enter the days: a whole number from 1 to %(days)d.")
            % {"days": audience_rules.MAX_DAYS}
        )
    made = {"event": row.code, "operator": row.operator, "times": times, "days": days}
    return {**made, "where": where} if where else made


def _compared(each: Drawn, workspace: Workspace) -> dict[str, Any] | None:
    row = each.row
    try:
        value = _value(each, workspace)
        check(value_type=each.type, operator=row.operator, value=value)
    except InvalidValueError as error:
        each.errors.append(_("The value %(must)s.") % {"must": error})
        return None
    except ConditionError as error:
        each.errors.append(str(error))
        return None
    made = {row.kind: row.code, "operator": row.operator}
    return made if row.operator in NO_VALUE else {**made, "value": value}


def _value(each: Drawn, workspace: Workspace) -> Any:
    """Return what was typed in the type of the tag; raises ``InvalidValueError``."""
    row = each.row
    if row.operator in NO_VALUE:
        return None
    # A list holds texts, and is asked for one or several of them.
    one_type = TagType.TEXT if each.type == TagType.LIST else TagType(each.type)
    if row.operator in SEVERAL:
        lines = [line.strip() for line in row.value.splitlines()]
        return [_one(line, one_type, workspace) for line in lines if line]
    if row.operator == "between":
        return [_one(text, one_type, workspace) for text in (row.value, row.upto)]
    return _one(row.value, one_type, workspace)


def _one(text: str, value_type: TagType, workspace: Workspace) -> Any:
    if not text.strip():
        raise ConditionError(_("Enter a value."))
    return typed_values.from_text(text, value_type=value_type, zone=workspace.zone)
