"""The start with a behaviour event: each person who reports it, when the conditions hold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final, Self

from django.db import connection
from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identity import audience_rules, conditions
from journeys.component import (
    Context,
    Entry,
    Needs,
    Opening,
    PeopleQuery,
    Problem,
    StartComponent,
    VariableSource,
)
from journeys.components.audience import tag_sources
from journeys.definition import Step
from webhooks import values
from webhooks.rendering import Source

MAX_CONDITIONS: Final = 20
MAX_REENTRY_DAYS: Final = 3650
WEEK_DAYS: Final = 7


class Match(TextChoices):
    ALL = "all", gettext_lazy("all conditions hold")
    ANY = "any", gettext_lazy("any condition holds")


class Reentry(TextChoices):
    ALWAYS = "always", gettext_lazy("Every time")
    ONCE = "once", gettext_lazy("Only once")
    AFTER_DAYS = "after_days", gettext_lazy("Again after some days")


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one attribute; operators and values are those of ``identity.conditions``."""

    attribute: str
    op: str
    value: Any = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            attribute=str(data.get("attribute") or ""),
            op=str(data.get("op") or ""),
            value=data.get("value"),
        )

    def to_json(self) -> dict[str, Any]:
        return {"attribute": self.attribute, "op": self.op, "value": self.value}

    def holds(self, attributes: Mapping[str, Any], types: Mapping[str, str]) -> bool:
        """Tell whether it holds for an event; a condition on what is gone holds for none."""
        attribute_type = types.get(self.attribute)
        if attribute_type is None or self.op not in conditions.OPERATORS[attribute_type]:
            return False
        value = attributes.get(self.attribute)
        return conditions.holds(
            value, value_type=attribute_type, operator=self.op, wanted=self.value
        )

    def sentence(self, names: Mapping[str, str], types: Mapping[str, str]) -> str:
        """Return the condition as a marketer reads it: “Amount is at least 50”."""
        operators = conditions.OPERATORS.get(types.get(self.attribute, ""), {})
        operator = operators.get(self.op)
        parts = [
            names.get(self.attribute, self.attribute),
            str(operator.label) if operator else self.op,
            values.text_of(self.value),
        ]
        return " ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class EventConfig:
    event_type: int | None = None
    match: Match = Match.ALL
    conditions: tuple[Condition, ...] = ()
    reentry: Reentry = Reentry.ALWAYS
    reentry_days: int = 1

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        match, reentry = data.get("match"), data.get("reentry")
        return cls(
            event_type=int(data["event_type"]) if data.get("event_type") else None,
            match=Match(match) if match in Match.values else Match.ALL,
            conditions=tuple(Condition.from_json(each) for each in data.get("conditions") or ()),
            reentry=Reentry(reentry) if reentry in Reentry.values else Reentry.ALWAYS,
            reentry_days=int(data.get("reentry_days") or 1),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "event_type": self.event_type,
            "match": self.match.value,
            "conditions": [condition.to_json() for condition in self.conditions],
            "reentry": self.reentry.value,
            "reentry_days": self.reentry_days,
        }

    def matches(self, attributes: Mapping[str, Any], types: Mapping[str, str]) -> bool:
        """Tell whether an event of the chosen type lets its person in."""
        results = (condition.holds(attributes, types) for condition in self.conditions)
        return all(results) if self.match == Match.ALL or not self.conditions else any(results)

    @property
    def reentry_after(self) -> timedelta | None:
        """Return how long after an entry the same person may enter again; None means never."""
        match self.reentry:
            case Reentry.ALWAYS:
                return timedelta(0)
            case Reentry.AFTER_DAYS:
                return timedelta(days=self.reentry_days)
            case Reentry.ONCE:
                return None


class EventStart(StartComponent):
    """Whoever reports the event enters, once an event, under the re-entry rule."""

    code = "event"
    label = gettext_lazy("Behaviour event")
    icon = "bolt"
    is_recent: ClassVar[bool] = True

    def new_config(self) -> dict[str, Any]:
        return EventConfig().to_json()

    def needs(self, config: Mapping[str, Any]) -> Needs:
        event_type = EventConfig.from_json(config).event_type
        return Needs(event_types=frozenset({event_type} if event_type else ()))

    def problems(self, step: Step, context: Context) -> list[Problem]:
        config = EventConfig.from_json(step.config)
        if config.event_type is None:
            return [Problem("event_type", _("Choose an event."), "required")]
        if config.event_type not in context.event_types:
            return [
                Problem(
                    "event_type",
                    _("The chosen event no longer exists. Choose another one."),
                    "event_type_gone",
                )
            ]
        found = []
        if len(config.conditions) > MAX_CONDITIONS:
            found.append(
                Problem("conditions", _("Use at most 20 conditions."), "too_many_conditions")
            )
        types = attribute_types(context, config.event_type)
        for place, condition in enumerate(config.conditions):
            if problem := condition_problem(condition, types):
                found.append(Problem(f"conditions.{place}", *problem))
        if (
            config.reentry == Reentry.AFTER_DAYS
            and not 1 <= config.reentry_days <= MAX_REENTRY_DAYS
        ):
            found.append(
                Problem(
                    "reentry_days", _("Enter a number of days from 1 to 3,650."), "out_of_range"
                )
            )
        return found

    def summary(self, step: Step, context: Context) -> str:
        config = EventConfig.from_json(step.config)
        event_type = context.event_types.get(config.event_type or 0)
        if event_type is None:
            return ""
        count = len(config.conditions)
        if not count:
            return event_type.name
        conditions = ngettext("%(count)d condition", "%(count)d conditions", count)
        return f"{event_type.name} · {conditions % {'count': count}}"

    def sources(self, step: Step, context: Context) -> list[VariableSource]:
        config = EventConfig.from_json(step.config)
        attributes = context.attributes.get(config.event_type or 0, ())
        of_event = [
            # What somebody did may name them: as on the events page, only to who may see people.
            VariableSource(Source.EVENT, attribute.code, attribute.name, attribute.type, True)
            for attribute in attributes
        ]
        return [*of_event, *tag_sources(context)]

    def people(self, step: Step, context: Context) -> PeopleQuery | None:
        config = EventConfig.from_json(step.config)
        event_type = context.event_types.get(config.event_type or 0)
        if event_type is None:
            return None
        sql, params = audience_rules.people_sql(event_type=event_type, now=context.now)
        return PeopleQuery(sql, list(params))

    def entries(self, step: Step, context: Context) -> PeopleQuery | None:
        """Return the events of the last 30 days that the conditions let through."""
        return self._matching(step, context, days=audience_rules.EVENT_PEOPLE_DAYS)

    def samples(self, step: Step, context: Context, *, size: int) -> list[Entry]:
        """Return the latest events that the conditions let through."""
        matching = self._matching(
            step,
            context,
            days=audience_rules.EVENT_PEOPLE_DAYS,
            columns=", e.event_id, e.occurred_at",
        )
        if matching is None:
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                f"{matching.sql} ORDER BY e.occurred_at DESC, e.event_id LIMIT %s",
                [*matching.params, size],
            )
            return [
                Entry(qaid, event_id, occurred_at, json.loads(attributes))
                for qaid, attributes, event_id, occurred_at in cursor.fetchall()
            ]

    def expected_a_day(self, step: Step, context: Context) -> float | None:
        matching = self._matching(step, context, days=WEEK_DAYS)
        if matching is None:
            return None
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({matching.sql}) AS matching", matching.params)
            (count,) = cursor.fetchone()
        return float(count) / WEEK_DAYS

    def _matching(
        self, step: Step, context: Context, *, days: int, columns: str = ""
    ) -> PeopleQuery | None:
        """Return the events of the last days that the conditions let through, re-entry aside."""
        config = EventConfig.from_json(step.config)
        if config.event_type not in context.event_types:
            return None
        where, params = _conditions_sql(config, attribute_types(context, config.event_type))
        sql = (
            f"SELECT coalesce(f.merged_into_id, f.qaid), e.attributes{columns}"
            " FROM identity_event e JOIN identity_profile f ON f.qaid = e.profile_id"
            " WHERE e.event_type_id = %s AND e.occurred_at > %s AND e.occurred_at <= %s"
            f" AND {where}"
        )
        since = context.now - timedelta(days=days)
        return PeopleQuery(sql, [config.event_type, since, context.now, *params])

    def opening(self, step: Step, context: Context) -> Opening:
        config = EventConfig.from_json(step.config)
        return Opening(is_event=True, starts_at=context.now, event_type_id=config.event_type)


def _conditions_sql(config: EventConfig, types: Mapping[str, str]) -> tuple[str, list[Any]]:
    parts: list[tuple[str, list[Any]]] = []
    for condition in config.conditions:
        value_type = types.get(condition.attribute)
        if value_type is None or condition.op not in conditions.OPERATORS[value_type]:
            parts.append(("false", []))
            continue
        column = conditions.Column("e.attributes", condition.attribute)
        parts.append(
            conditions.build(
                column, value_type=value_type, operator=condition.op, value=condition.value
            )
        )
    glue = " AND " if config.match == Match.ALL else " OR "
    sql = glue.join(part for part, _params in parts) or "true"
    return f"({sql})", [param for _sql, params in parts for param in params]


def attribute_types(context: Context, event_type: int | None) -> dict[str, str]:
    """Return the types of an event type's attributes by code."""
    return {
        attribute.code: attribute.type for attribute in context.attributes.get(event_type or 0, ())
    }


def condition_problem(condition: Condition, types: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the sentence and code that say why a condition cannot be used, or None."""
    if not condition.attribute:
        return _("Choose an attribute."), "required"
    attribute_type = types.get(condition.attribute)
    if attribute_type is None:
        message = _("The event no longer has the attribute “%(code)s”. Choose another one.")
        return message % {"code": condition.attribute}, "attribute_gone"
    if condition.op not in conditions.OPERATORS[attribute_type]:
        return _("Choose how to compare."), "unknown_operator"
    try:
        conditions.check(value_type=attribute_type, operator=condition.op, value=condition.value)
    except conditions.ConditionError as error:
        return str(error), "invalid_value"
    return None
