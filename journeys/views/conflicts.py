"""Two people at once: what differs between the step as it is now and as this panel holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from journeys.definition import Step
from journeys.drafts import StaleDraft, differences
from journeys.forms.panels import PanelForm


@dataclass(frozen=True, slots=True)
class Difference:
    label: str
    theirs: str
    mine: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """``rows`` is empty when somebody changed another step only: then saving again is enough."""

    sentence: str
    revision: int
    is_gone: bool
    rows: list[Difference]


def of(stale: StaleDraft, form: PanelForm) -> Conflict:
    theirs = stale.document.step(form.step.key)
    return Conflict(
        sentence=stale.message,
        revision=stale.revision,
        is_gone=theirs is None,
        rows=_rows(theirs, form) if theirs else [],
    )


def _rows(theirs: Step, form: PanelForm) -> list[Difference]:
    found = differences(theirs, form.step.name, form.config)
    return [
        Difference(_label(field, form), _text(field, left, form), _text(field, right, form))
        for field, (left, right) in found.items()
    ]


def _label(field: str, form: PanelForm) -> str:
    name = form.field_of(field)
    if name:
        return str(form.fields[name].label or field)
    return {"conditions": _("Conditions"), "variables": _("Variables")}.get(field, field)


def _text(field: str, value: Any, form: PanelForm) -> str:
    """Return a value as the panel's reader knows it: the label of a choice, not its id."""
    name = form.field_of(field)
    choices = getattr(form.fields.get(name or ""), "choices", None)
    if choices is not None:
        labels = {str(code): str(label) for code, label in choices}
        return labels.get(str(value if value is not None else ""), str(value))
    if isinstance(value, Mapping):
        names = [str(each.get("name", "")) for each_of in value.values() for each in each_of]
        return ", ".join("${" + each + "}" for each in names) or "–"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "–"
    return str(value) if value not in (None, "") else "–"
