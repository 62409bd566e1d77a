"""Who is in an audience: a list, or a tree of rules as one parametrised statement.

A tree is made of groups ``{"match": "all" | "any", "conditions": [...]}`` and of conditions:

* ``{"tag": code, "operator": ..., "value": ...}``, the operators by the tag's type in
  ``identity.conditions``;
* ``{"id_type": code, "operator": "has" | "has_not"}``;
* ``{"event": code, "operator": "at_least" | "less_than", "times": N, "days": D,
  "where": [{"attribute": code, "operator": ..., "value": ...}]}``: did it that often in the last
  D days, counting only events for which all of ``where`` holds.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identity import conditions
from identity.choices import AudienceKind
from identity.conditions import Column, ConditionError, Fragment
from identity.models import Audience, EventType
from workspaces.models import Workspace

MAX_DEPTH: Final = 5
MAX_CONDITIONS: Final = 100
MAX_DAYS: Final = 3650
EVENT_PEOPLE_DAYS: Final = 30


class FillRate(NamedTuple):
    filled: int
    total: int
    example: str  # One person's value as text; "" when nobody has one.


class _Known(NamedTuple):
    """What the workspace has, by code."""

    tags: dict[str, str]  # To the type.
    id_types: dict[str, int]
    events: dict[str, tuple[int, dict[str, str]]]  # To the id and the attributes' types.


def _known(workspace: Workspace) -> _Known:
    events: dict[str, tuple[int, dict[str, str]]] = {}
    for event_type in workspace.event_types.prefetch_related("attributes"):
        attributes = {attribute.code: attribute.type for attribute in event_type.attributes.all()}
        events[event_type.code] = (event_type.pk, attributes)
    return _Known(
        dict(workspace.tags.values_list("code", "type")),
        dict(workspace.id_types.enabled().values_list("code", "pk")),
        events,
    )


# --- checking ---------------------------------------------------------------------------------


def validate(workspace: Workspace, rules: Any) -> None:
    """Check a whole tree.

    Raises:
        ValidationError: with one full sentence for each thing that is wrong, saying where.
    """
    errors = list(_errors(rules, _known(workspace), "", 1))
    if not errors and sum(1 for _leaf in _leaves(rules)) > MAX_CONDITIONS:
        errors.append(_error(_("There are more than %(count)d conditions."), count=MAX_CONDITIONS))
    if errors:
        raise ValidationError(errors)


def _error(message: Promise | str, where: str = "", **params: Any) -> ValidationError:
    text = message % params if params else str(message)
    if where:
        text = _("Condition %(where)s: %(text)s") % {"where": where, "text": text}
    return ValidationError(text, "invalid_rule")


def _leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "conditions" in node:
        for child in node["conditions"]:
            yield from _leaves(child)
    else:
        yield node


def _errors(node: Any, known: _Known, where: str, depth: int) -> Iterator[ValidationError]:
    if not isinstance(node, dict):
        yield _error(_("A condition must be a JSON object."), where)
    elif "conditions" in node or "match" in node:
        yield from _group_errors(node, known, where, depth)
    else:
        kinds = [kind for kind in _CHECKS if kind in node]
        if len(kinds) != 1:
            yield _error(_("It must name one of “tag”, “id_type”, “event” or “conditions”."), where)
        else:
            yield from _CHECKS[kinds[0]](node, known, where)


def _group_errors(
    node: dict[str, Any], known: _Known, where: str, depth: int
) -> Iterator[ValidationError]:
    if depth > MAX_DEPTH:
        yield _error(_("Groups may be nested %(depth)d deep at most."), where, depth=MAX_DEPTH)
        return
    if node.get("match") not in {"all", "any"}:
        yield _error(_("“match” must be “all” or “any”."), where)
    yield from _unknown_keys(node, {"match", "conditions"}, where)
    children = node.get("conditions")
    if not isinstance(children, list) or not children:
        yield _error(_("“conditions” must be a list that is not empty."), where)
        return
    for number, child in enumerate(children, start=1):
        yield from _errors(child, known, f"{where}.{number}".strip("."), depth + 1)


def _unknown_keys(node: dict[str, Any], allowed: set[str], where: str) -> Iterator[ValidationError]:
    if unknown := sorted(set(node) - allowed):
        yield _error(_("“%(key)s” is not known here."), where, key=unknown[0])


def _tag_errors(node: dict[str, Any], known: _Known, where: str) -> Iterator[ValidationError]:
    yield from _unknown_keys(node, {"tag", "operator", "value"}, where)
    if not isinstance(node["tag"], str) or node["tag"] not in known.tags:
        yield _error(_("There is no tag “%(code)s”."), where, code=node["tag"])
        return
    yield from _value_errors(node, known.tags[node["tag"]], where)


def _value_errors(node: dict[str, Any], value_type: str, where: str) -> Iterator[ValidationError]:
    try:
        conditions.check(
            value_type=value_type, operator=node.get("operator"), value=node.get("value")
        )
    except ConditionError as error:
        yield _error(str(error), where)


def _id_type_errors(node: dict[str, Any], known: _Known, where: str) -> Iterator[ValidationError]:
    yield from _unknown_keys(node, {"id_type", "operator"}, where)
    if not isinstance(node["id_type"], str) or node["id_type"] not in known.id_types:
        yield _error(_("There is no enabled ID type “%(code)s”."), where, code=node["id_type"])
    if node.get("operator") not in {"has", "has_not"}:
        yield _error(_("The operator must be “has” or “has_not”."), where)


def _event_errors(node: dict[str, Any], known: _Known, where: str) -> Iterator[ValidationError]:
    yield from _unknown_keys(node, {"event", "operator", "times", "days", "where"}, where)
    if not isinstance(node["event"], str) or node["event"] not in known.events:
        yield _error(_("There is no event type “%(code)s”."), where, code=node["event"])
        return
    if node.get("operator", "at_least") not in {"at_least", "less_than"}:
        yield _error(_("The operator must be “at_least” or “less_than”."), where)
    if not _whole(node.get("times", 1), 1, 1_000_000):
        yield _error(_("“times” must be a whole number of 1 or more."), where)
    if not _whole(node.get("days"), 1, MAX_DAYS):
        yield _error(_("“days” must be a whole number from 1 to %(days)d."), where, days=MAX_DAYS)
    attributes = known.events[node["event"]][1]
    clauses = node.get("where", [])
    if not isinstance(clauses, list):
        yield _error(_("“where” must be a list."), where)
        return
    for clause in clauses:
        if not isinstance(clause, dict) or clause.get("attribute") not in attributes:
            code = clause.get("attribute") if isinstance(clause, dict) else clause
            yield _error(_("The event has no attribute “%(code)s”."), where, code=code)
            continue
        yield from _unknown_keys(clause, {"attribute", "operator", "value"}, where)
        yield from _value_errors(clause, attributes[clause["attribute"]], where)


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


_CHECKS: Final = {"tag": _tag_errors, "id_type": _id_type_errors, "event": _event_errors}


# --- building ---------------------------------------------------------------------------------


def _build(node: dict[str, Any], known: _Known, now: datetime) -> Fragment:
    if "conditions" in node:
        parts = [_build(child, known, now) for child in node["conditions"]]
        glue = " AND " if node["match"] == "all" else " OR "
        return (
            f"({glue.join(sql for sql, _params in parts)})",
            [param for _sql, params in parts for param in params],
        )
    if "tag" in node:
        value_type = known.tags.get(node["tag"])
        if value_type is None or node["operator"] not in conditions.OPERATORS[value_type]:
            return _NOBODY
        column = Column("p.tags", node["tag"])
        return conditions.build(
            column, value_type=value_type, operator=node["operator"], value=node.get("value")
        )
    if "id_type" in node:
        return _build_id_type(node, known)
    return _build_event(node, known, now)


# A condition on what has been removed since it was written holds for nobody.
_NOBODY: Final[Fragment] = ("false", [])


def _build_id_type(node: dict[str, Any], known: _Known) -> Fragment:
    if node["id_type"] not in known.id_types:
        return _NOBODY
    negation = "NOT " if node["operator"] == "has_not" else ""
    return (
        (
            f"{negation}EXISTS (SELECT FROM identity_identifier i"
            " WHERE i.profile_id = p.qaid AND i.id_type_id = %s)"
        ),
        [known.id_types[node["id_type"]]],
    )


def _build_event(node: dict[str, Any], known: _Known, now: datetime) -> Fragment:
    if node["event"] not in known.events:
        return _NOBODY
    event_type_id, attributes = known.events[node["event"]]
    wheres: list[str] = []
    params: list[Any] = [event_type_id, now - timedelta(days=node["days"]), now]
    for clause in node.get("where", []):
        if clause["attribute"] not in attributes:
            return _NOBODY
        sql, values = conditions.build(
            Column("e.attributes", clause["attribute"]),
            value_type=attributes[clause["attribute"]],
            operator=clause["operator"],
            value=clause.get("value"),
        )
        wheres.append(f" AND {sql}")
        params.extend(values)
    negation = "NOT " if node.get("operator") == "less_than" else ""
    # Counted over a person's former QAIDs too: events stay with the one they came with.
    return (
        (
            f"p.qaid {negation}IN (SELECT coalesce(f.merged_into_id, f.qaid)"
            " FROM identity_event e JOIN identity_profile f ON f.qaid = e.profile_id"
            " WHERE e.event_type_id = %s AND e.occurred_at > %s AND e.occurred_at <= %s"
            f"{''.join(wheres)} GROUP BY 1 HAVING count(*) >= %s)"
        ),
        [*params, node.get("times", 1)],
    )


def rules_sql(workspace: Workspace, rules: dict[str, Any], *, now: datetime) -> Fragment:
    """Return the statement that selects the QAIDs for which valid rules hold, in QAID order."""
    sql, params = _build(rules, _known(workspace), now)
    return (
        (
            "SELECT p.qaid FROM identity_profile p WHERE p.workspace_id = %s"
            f" AND p.merged_into_id IS NULL AND p.erased_at IS NULL AND {sql} ORDER BY p.qaid"
        ),
        [workspace.pk, *params],
    )


def member_sql(audience: Audience, *, now: datetime | None = None) -> Fragment:
    """Return the statement that selects an audience's QAIDs: each once, survivors, in QAID order.

    ``now`` ends the last days that rules over events look at; the current time by default.
    """
    if audience.kind == AudienceKind.RULES:
        rules: dict[str, Any] = audience.rules or {}
        return rules_sql(audience.workspace, rules, now=now or timezone.now())
    # A merge and an erasure rewrite lists, so that only survivors stand in them.
    return (
        (
            "SELECT m.profile_id AS qaid FROM identity_audiencemember m"
            " WHERE m.audience_id = %s ORDER BY m.profile_id"
        ),
        [audience.pk],
    )


def people_sql(
    *,
    audience: Audience | None = None,
    event_type: EventType | None = None,
    now: datetime | None = None,
) -> Fragment:
    """Return the statement for the people of an audience, or of an event type's last 30 days."""
    if audience is not None:
        return member_sql(audience, now=now)
    if event_type is None:
        raise TypeError("people_sql() needs an audience or an event type.")
    now = now or timezone.now()
    return (
        (
            "SELECT DISTINCT coalesce(f.merged_into_id, f.qaid) AS qaid"
            " FROM identity_event e JOIN identity_profile f ON f.qaid = e.profile_id"
            " WHERE e.event_type_id = %s AND e.occurred_at > %s AND e.occurred_at <= %s ORDER BY 1"
        ),
        [event_type.pk, now - timedelta(days=EVENT_PEOPLE_DAYS), now],
    )


# --- asking -----------------------------------------------------------------------------------


def count(audience: Audience, *, now: datetime | None = None) -> int:
    return _count(member_sql(audience, now=now))


def count_event_people(event_type: EventType, *, now: datetime | None = None) -> int:
    """Count the people who reported the event in the last 30 days."""
    return _count(people_sql(event_type=event_type, now=now))


def count_rules(workspace: Workspace, rules: dict[str, Any], *, now: datetime | None = None) -> int:
    """Count the people for whom valid rules hold."""
    return _count(rules_sql(workspace, rules, now=now or timezone.now()))


def _count(fragment: Fragment) -> int:
    sql, params = fragment
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({sql}) AS people", params)
        (number,) = cursor.fetchone()
    return int(number)


def sample(audience: Audience, *, size: int, now: datetime | None = None) -> list[int]:
    """Return some QAIDs of the audience, the same ones each time: the oldest."""
    sql, params = member_sql(audience, now=now)
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT %s", [*params, size])
        return [qaid for (qaid,) in cursor.fetchall()]


def contains(audience: Audience, qaid: int, *, now: datetime | None = None) -> bool:
    """Tell whether a person is in the audience; a merged QAID asks for its survivor."""
    sql, params = member_sql(audience, now=now)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM ({sql}) AS people"
            " WHERE people.qaid = (SELECT coalesce(merged_into_id, qaid)"
            " FROM identity_profile WHERE qaid = %s))",
            [*params, qaid],
        )
        (found,) = cursor.fetchone()
    return bool(found)


def fill_rates(
    *,
    tag_codes: Sequence[str] = (),
    attributes: Sequence[str] = (),
    audience: Audience | None = None,
    event_type: EventType | None = None,
    now: datetime | None = None,
) -> dict[str, FillRate]:
    """Return how many have a value, by code, in one statement.

    Tags are counted over the people of the audience, or of the event type's last 30 days;
    attributes over that event type's events of the last 30 days.
    """
    if attributes:
        if event_type is None:
            raise TypeError("Attributes are an event type's.")
        now = now or timezone.now()
        source = (
            "identity_event e WHERE e.event_type_id = %s"
            " AND e.occurred_at > %s AND e.occurred_at <= %s"
        )
        params = [event_type.pk, now - timedelta(days=EVENT_PEOPLE_DAYS), now]
        return _fill_rates(attributes, "e.attributes", source, params)
    sql, params = people_sql(audience=audience, event_type=event_type, now=now)
    source = f"({sql}) AS people (qaid) JOIN identity_profile s ON s.qaid = people.qaid"
    return _fill_rates(tag_codes, "s.tags", source, params)


def _fill_rates(
    codes: Sequence[str], document: str, source: str, params: list[Any]
) -> dict[str, FillRate]:
    if not codes:
        return {}
    # The smallest value serves as the example: an aggregate that keeps one value in memory.
    columns = f", count(nullif({document} ->> %s, '')), min(nullif({document} ->> %s, ''))"
    doubled = [code for code in codes for _twice in range(2)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*){columns * len(codes)} FROM {source}",
            [*doubled, *params],
        )
        total, *rest = cursor.fetchone()
    return {
        code: FillRate(filled, total, example or "")
        for code, filled, example in zip(codes, rest[::2], rest[1::2], strict=True)
    }
