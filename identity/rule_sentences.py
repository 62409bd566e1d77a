"""The rules of an audience as one sentence that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Self

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from identity import conditions
from identity.choices import TagType
from identity.models import EventType, IdType, Tag
from workspaces.models import Workspace
from workspaces.sentences import listed

_LISTED: Final = 5
_LONG: Final = 60
HAS: Final = {"has": gettext_lazy("is known"), "has_not": gettext_lazy("is not known")}
HAPPENED: Final = {
    "at_least": gettext_lazy("happened at least"),
    "less_than": gettext_lazy("happened less than"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """What the rules of a workspace can speak of, by code."""

    tags: Mapping[str, Tag]
    id_types: Mapping[str, IdType]
    events: Mapping[str, EventType]

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        events = workspace.event_types.order_by("name").prefetch_related("attributes")
        return cls(
            {tag.code: tag for tag in workspace.tags.order_by("name", "code")},
            {each.code: each for each in workspace.id_types.enabled().order_by("priority")},
            {each.code: each for each in events},
        )


def sentence(rules: Mapping[str, Any], words: Words) -> str:
    """Return valid rules as a sentence; what has been removed since stands there by its code."""
    return _("People where %(conditions)s.") % {"conditions": _part(rules, words, outer=True)}


def _part(node: Mapping[str, Any], words: Words, *, outer: bool = False) -> str:
    if "conditions" in node:
        glue = _(" and ") if node["match"] == "all" else _(" or ")
        parts = [_part(child, words) for child in node["conditions"]]
        joined = glue.join(parts)
        bare = outer or len(parts) == 1
        return joined if bare else pgettext("group of conditions", "(%s)") % joined
    if "tag" in node:
        tag = words.tags.get(node["tag"])
        return _compared(tag.name if tag else node["tag"], tag.type if tag else "", node)
    if "id_type" in node:
        known = words.id_types.get(node["id_type"])
        name = known.name if known else node["id_type"]
        return _put(name, HAS[node["operator"]], "")
    return _event(node, words)


def _event(node: Mapping[str, Any], words: Words) -> str:
    event = words.events.get(node["event"])
    name = event.name if event else node["event"]
    attributes = {each.code: each for each in event.attributes.all()} if event else {}
    clauses = []
    for clause in node.get("where", ()):
        found = attributes.get(clause["attribute"])
        label = found.name if found else clause["attribute"]
        clauses.append(_compared(label, found.type if found else "", clause))
    if clauses:
        name = _("%(event)s (with %(conditions)s)") % {
            "event": name,
            "conditions": _(" and ").join(clauses),
        }
    else:
        name = pgettext("event of a rule", "%(event)s") % {"event": name}
    times = node.get("times", 1)
    counted = ngettext("%(times)d time", "%(times)d times", times) % {"times": times}
    span = ngettext("in the last day", "in the last %(days)d days", node["days"]) % {
        "days": node["days"]
    }
    happened = HAPPENED[node.get("operator", "at_least")]
    return _("%(event)s %(happened)s %(times)s %(span)s") % {
        "event": name,
        "happened": happened,
        "times": counted,
        "span": span,
    }


def _compared(name: str, value_type: str, node: Mapping[str, Any]) -> str:
    operator = conditions.OPERATORS.get(value_type, {}).get(node["operator"])
    label = operator.label if operator else node["operator"]
    value = node.get("value")
    if node["operator"] == "between" and isinstance(value, list) and len(value) == 2:
        both = _("%(low)s and %(high)s") % {
            "low": _value(value[0], value_type),
            "high": _value(value[1], value_type),
        }
        return _put(name, label, both)
    return _put(name, label, _value(value, value_type))


def _put(name: str, operator: Any, value: str) -> str:
    """Return subject, operator and value in the language's order and spacing."""
    if not value:
        return _("%(name)s %(operator)s") % {"name": name, "operator": operator}
    shown = {"name": name, "operator": operator, "value": value}
    if value.startswith("“"):
        return pgettext("quoted value", "%(name)s %(operator)s %(value)s") % shown
    return _("%(name)s %(operator)s %(value)s") % shown


def shown(value: Any, value_type: str) -> str:
    """Return a single value as it stands on a screen; text and what has no type, as it is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int | float):
        return number_format(value, force_grouping=True)
    return _date(str(value)) if value_type == TagType.DATE else str(value)


def _value(value: Any, value_type: str) -> str:
    if isinstance(value, list):
        return _listed(value, value_type)
    text = shown(value, value_type)
    if not isinstance(value, str) or value_type == TagType.DATE:
        return text
    text = text if len(text) <= _LONG else f"{text[:_LONG]}…"
    return _("“%(text)s”") % {"text": text}


def _date(text: str) -> str:
    try:
        return date_format(date.fromisoformat(text), "DATE_FORMAT")
    except ValueError:
        return text


def _listed(values: Sequence[Any], value_type: str) -> str:
    shown = listed(_value(each, value_type) for each in values[:_LISTED])
    more = len(values) - _LISTED
    if more <= 0:
        return shown
    return ngettext("%(values)s and %(more)d more", "%(values)s and %(more)d more", more) % {
        "values": shown,
        "more": more,
    }
