"""Two people at once: what differs between the step as it is now and as this panel holds it."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from journeys.definition import Step
from journeys.drafts import StaleDraft, differences
from journeys.forms.panels import PanelForm


@dataclass(frozen=True, slots=True)
class Difference:
    field: str
    label: str
    theirs: str
    mine: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """``rows`` is empty when nothing differs: then saving again is enough."""

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
        Difference(
            field, _label(field, form), form.text_of(field, left), form.text_of(field, right)
        )
        for field, (left, right) in found.items()
    ]


def _label(field: str, form: PanelForm) -> str:
    own = {"conditions": _("Conditions"), "variables": _("Variables")}.get(field)
    name = form.field_of(field)
    return own or (str(form.fields[name].label) if name else field.removeprefix("parameter:"))
