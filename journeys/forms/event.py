"""The panel of the start *behaviour event*."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identity import conditions
from identity.choices import AttributeType
from identity.models import EventAttribute
from journeys.component import Problem
from journeys.components.event import Condition, EventConfig, Match, Reentry
from journeys.definition import Step
from journeys.forms.panels import PanelForm
from webhooks import values
from workspaces.typed import whole

# Operators that take several values, typed with commas between them.
_SEVERAL = frozenset({"one_of", "none_of", "between", "contains_any", "contains_none"})
_NO_VALUE = frozenset({"is_empty", "is_not_empty"})
MAX_DIGITS = 30


@dataclass(frozen=True, slots=True)
class Row:
    """One condition as the panel draws it."""

    place: int
    condition: Condition
    value: str
    operators: Sequence[tuple[str, str | Promise]]
    takes_value: bool
    error: str = ""


class EventForm(PanelForm):
    template = "journeys/_panel_event.html"

    event_type = forms.ChoiceField(label=_("Event"), required=False)
    match = forms.ChoiceField(
        label=_("Enter when"), choices=Match.choices, initial=Match.ALL, required=False
    )
    reentry = forms.ChoiceField(
        label=_("How often the same person enters"), choices=Reentry.choices
    )
    reentry_days = forms.CharField(
        label=_("Days between two entries"),
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )

    @classmethod
    def read(cls, data: QueryDict, step: Step) -> Step:
        config = EventConfig.from_json(
            {
                "event_type": whole(data.get("event_type")),
                "match": data.get("match"),
                "conditions": list(_conditions(data)),
                "reentry": data.get("reentry"),
                "reentry_days": whole(data.get("reentry_days")),
            }
        )
        return replace(step, name=data.get("name", "").strip(), config=config.to_json())

    def build(self) -> None:
        self.condition_errors: dict[int, str] = {}
        self.step = replace(self.step, config=self._typed().to_json())
        config = self.chosen
        event_types = self.context.workspace.event_types.order_by("name")
        self.fields["event_type"] = forms.ChoiceField(
            label=_("Event"),
            choices=[("", _("Choose an event")), *((each.pk, each.name) for each in event_types)],
            error_messages={"required": _("Choose an event.")},
        )
        for name in ("match", "reentry", "reentry_days", "event_type"):
            self.fields[name].initial = getattr(config, name)

    def _typed(self) -> EventConfig:
        """Return the config with the conditions' values in the types of their attributes."""
        config = EventConfig.from_json(self.step.config)
        types = {
            attribute.code: attribute.type
            for attribute in self.context.attributes.get(config.event_type or 0, ())
        }
        return replace(
            config,
            conditions=tuple(
                replace(each, value=_of_type(each.value, types.get(each.attribute, "")))
                for each in config.conditions
            ),
        )

    def take(self, problem: Problem) -> None:
        kind, _dot, place = problem.field.partition(".")
        if kind != "conditions" or not place:
            super().take(problem)
            return
        self.condition_errors[int(place)] = problem.sentence
        if not self.non_field_errors():
            self.add_error(
                None, forms.ValidationError(_("A condition is not complete."), problem.code)
            )

    def text_of(self, place: str, value: Any) -> str:
        if place != "conditions":
            return super().text_of(place, value)
        attributes = {attribute.code: attribute for attribute in self.attributes}
        found = []
        for each in map(Condition.from_json, value or ()):
            attribute = attributes.get(each.attribute)
            operators = conditions.OPERATORS.get(attribute.type, {}) if attribute else {}
            operator = operators.get(each.op)
            name = attribute.name if attribute else each.attribute
            parts = [name, str(operator.label) if operator else each.op, _shown(each.value)]
            found.append(" ".join(filter(None, parts)))
        return "; ".join(found) or "–"

    @property
    def chosen(self) -> EventConfig:
        return EventConfig.from_json(self.step.config)

    @property
    def attributes(self) -> tuple[EventAttribute, ...]:
        return self.context.attributes.get(self.chosen.event_type or 0, ())

    @property
    def rows(self) -> list[Row]:
        types = {attribute.code: attribute.type for attribute in self.attributes}
        return [
            Row(
                place=place,
                condition=condition,
                value=_shown(condition.value),
                operators=[
                    (code, operator.label)
                    for code, operator in conditions.OPERATORS.get(
                        types.get(condition.attribute, ""), {}
                    ).items()
                ],
                takes_value=condition.op not in _NO_VALUE,
                error=self.condition_errors.get(place, ""),
            )
            for place, condition in enumerate(self.chosen.conditions)
        ]


def _conditions(data: QueryDict) -> Iterator[dict[str, Any]]:
    rows = zip(
        data.getlist("condition_attribute"),
        data.getlist("condition_op"),
        data.getlist("condition_value"),
        strict=False,
    )
    for attribute, op, value in rows:
        if attribute:
            yield {"attribute": attribute, "op": op, "value": _value(op, value.replace("\x00", ""))}


def _value(op: str, value: str) -> Any:
    if op in _NO_VALUE:
        return None
    if op in _SEVERAL:
        return [part.strip() for part in value.replace("，", ",").split(",") if part.strip()]
    return value.strip()


def _of_type(value: Any, attribute_type: str) -> Any:
    """Return a typed value; what cannot be read stays as it was typed, and is refused as it is."""
    if isinstance(value, list):
        return [_of_type(each, attribute_type) for each in value]
    if attribute_type == AttributeType.NUMBER and isinstance(value, str):
        number = values.number_of(value)
        if number is None or number.adjusted() > MAX_DIGITS:
            return value
        return int(number) if number == number.to_integral_value() else float(number)
    if attribute_type == AttributeType.BOOLEAN and value in ("true", "false"):
        return value == "true"
    return value


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(values.text_of(each) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return values.text_of(value) if value is not None else ""
