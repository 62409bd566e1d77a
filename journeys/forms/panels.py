"""What the panels have in common: a form reads a step from what was posted, and shows one."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from journeys import components
from journeys.component import Context, Problem
from journeys.definition import Step
from workspaces.models import User

NAME_LENGTH = 200


class PanelForm(forms.Form):
    """A step's panel. What is missing is said by the step's component, never by the form's fields.

    ``step`` is what was posted, as ``read`` made it, or what is kept; ``context`` was loaded
    for the document with that step in it.
    """

    template: ClassVar[str]

    name = forms.CharField(label=_("Step name"), max_length=NAME_LENGTH, required=False)

    def __init__(
        self,
        data: QueryDict | MultiValueDict[str, Any] | None = None,
        *,
        step: Step,
        context: Context,
        user: User,
    ) -> None:
        super().__init__(data)
        self.step, self.context, self.user = step, context, user
        self.fields["name"].required = True
        self.fields["name"].error_messages["required"] = _("Enter a step name.")
        component = components.of(step)
        # A start has a name to begin with; a step is named by what it is for.
        is_start = isinstance(component, components.StartComponent)
        self.fields["name"].initial = step.name or (str(component.label) if is_start else "")
        self.fields["name"].widget.attrs["autocomplete"] = "off"
        self.build()
        for field in self.fields.values():
            field.widget.is_required = False  # No "required" in the markup: the sentences are ours.

    @classmethod
    @abstractmethod
    def read(cls, data: QueryDict, step: Step) -> Step:
        """Return the step as posted, whatever state it is in; nothing is checked."""

    def build(self) -> None:
        """Add the fields that depend on the context."""

    def field_of(self, place: str) -> str | None:
        """Return the field that a problem's place belongs to; None for the panel as a whole."""
        return place if place in self.fields else None

    def text_of(self, place: str, value: Any) -> str:
        """Return the value of a place as the panel's reader knows it: a choice's name, no id."""
        name = self.field_of(place)
        choices = getattr(self.fields.get(name or ""), "choices", None)
        if choices is not None:
            labels = {str(code): str(label) for code, label in choices}
            return labels.get("" if value is None else str(value), str(value))
        return str(value) if value not in (None, "") else "–"

    def lock(self) -> None:
        """Let nothing be changed any more; texts can still be read to the end and copied."""
        for field in self.fields.values():
            is_chosen = getattr(field.widget, "input_type", "") in ("select", "radio", "checkbox")
            field.widget.attrs["disabled" if is_chosen else "readonly"] = True

    def take(self, problem: Problem) -> None:
        """Show a problem beside its field; the first one of a field is enough."""
        field = self.field_of(problem.field)
        if field is None or not self.has_error(field):
            self.add_error(field, forms.ValidationError(problem.sentence, problem.code))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for problem in components.of(self.step).problems(self.step, self.context):
            self.take(problem)
        return cleaned

    def put(self, name: str, value: str) -> None:
        """Let a field show a value, whatever was posted for it."""
        self.fields[name].initial = value
        if self.is_bound:
            self.data = put(self.data, {name: value})

    @property
    def config(self) -> Mapping[str, Any]:
        return self.step.config


def put(data: Any, values: Mapping[str, str]) -> QueryDict:
    """Return posted data with some of its values in the place of what was posted."""
    changed = QueryDict(mutable=True)
    changed.update(data)
    for name, value in values.items():
        changed[name] = value
    return changed
