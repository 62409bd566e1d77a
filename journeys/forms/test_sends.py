"""The test-send dialog: an ID, and a value for each variable of the step as its panel shows it."""

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identity.models import IdType
from journeys.component import Context
from journeys.components.webhook import (
    WebhookConfig,
    allowed_id_types,
    newest_revision,
    value_problems,
)
from journeys.definition import Step
from webhooks import values
from webhooks.rendering import names_in
from webhooks.test_sends import Order
from workspaces.typed import whole


class TestSendForm(forms.Form):
    """``panel`` carries the step as JSON, so that what is tested is what was seen, saved or not."""

    __test__ = False  # Not a test case, whatever its name.

    panel = forms.CharField(widget=forms.HiddenInput)
    token = forms.CharField(widget=forms.HiddenInput)
    id_type = forms.ChoiceField(label=gettext_lazy("ID type"))
    typed_id = forms.CharField(
        label=gettext_lazy("Test ID"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
        error_messages={"required": gettext_lazy("Enter the ID to send to.")},
    )
    reach_id = forms.CharField(
        label=gettext_lazy("ID to reach the user"),
        error_messages={"required": gettext_lazy("Enter the ID to send to.")},
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        step: Step,
        context: Context,
        token: str = "",
    ) -> None:
        initial = {"panel": json.dumps(step.to_json()), "token": token}
        super().__init__(data, initial=initial, auto_id="test_%s")
        self.step, self.context = step, context
        self.chosen = WebhookConfig.from_json(step.config)
        revision = newest_revision(self.chosen, context)
        if revision is None:
            raise ValueError("a step without a webhook cannot be tested")
        self.revision = revision
        allowed = allowed_id_types(self.revision, context)
        self.id_types: Mapping[int, IdType] = {each.pk: each for each in allowed}
        self.fields["id_type"] = forms.ChoiceField(
            label=_("ID type"),
            choices=[(each.pk, each.name) for each in allowed],
            initial=self.chosen.id_type,
        )
        if self.reached_by is None:
            del self.fields["reach_id"]
        else:
            self.fields["reach_id"].label = _("%(id_type)s to reach the user") % {
                "id_type": self.reached_by.name
            }
            self.fields["reach_id"].required = self.reach_type is not None
        for field, parameter, name in self._slots():
            label = "${" + name + "}"
            if sum(each == name for _f, _p, each in self._slots()) > 1:
                label = f"{label} · {parameter}"
            self.fields[field] = forms.CharField(label=label, required=False, strip=False)

    @property
    def reached_by(self) -> IdType | None:
        """Return the ID type that the step names for reaching the user, if it names one."""
        return self.context.id_types.get(self.chosen.reach_id_type or 0)

    @property
    def reach_type(self) -> IdType | None:
        """Return the ID type that is asked for besides: none where the same ID reaches."""
        tested = whole(str(self["id_type"].value() or next(iter(self.id_types), "")))
        return self.reached_by if self.reached_by and self.reached_by.pk != tested else None

    @property
    def fingerprint(self) -> str:
        return self.chosen.fingerprint(self.revision)

    @property
    def variable_fields(self) -> list[Any]:
        return [self[field] for field, _parameter, _name in self._slots()]

    @property
    def takes_event(self) -> bool:
        """Tell whether a variable is filled from the event that lets people in."""
        return any(
            each.source == "event" for all_ in self.chosen.variables.values() for each in all_
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for problem in value_problems(self.chosen, self.revision, self.context.sources):
            self.add_error(None, forms.ValidationError(problem.sentence, problem.code))
        return cleaned

    def order(self) -> Order:
        found = self.cleaned_data
        given: dict[str, dict[str, Any]] = {}
        for field, parameter, name in self._slots():
            given.setdefault(parameter, {})[name] = found.get(field, "")
        return Order(
            webhook=self.context.webhooks[self.chosen.webhook or 0],
            revision=self.revision,
            id_type=self.id_types[int(found["id_type"])],
            typed_id=found["typed_id"],
            values=self.chosen.values,
            variables=self.chosen.variables_json(),
            given=given,
            reach_id_type=self.reach_type,
            reach_id=found.get("reach_id", "") if self.reach_type else "",
            encryption=self.chosen.encryption,
            labels={"step": self.step.name},
            step_key=self.step.key,
            fingerprint=self.fingerprint,
        )

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Show what the core refused, beside the field where there is one."""
        fields = {f"variable:{parameter}:{name}": field for field, parameter, name in self._slots()}
        for place, sentence in errors.items():
            field = fields.get(place, place)
            self.add_error(field if field in self.fields else None, sentence)

    def values_of(
        self, tags: Mapping[str, Any] | None, attributes: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return what a person and an event have for the variables' fields.

        Args:
            tags: None leaves the variables of tags out, so that what was typed for them stays.
        """
        found = {}
        for field, parameter, name in self._slots():
            for variable in self.chosen.variables.get(parameter, ()):
                source = attributes if variable.source == "event" else tags
                if variable.name == name and source is not None:
                    value = source.get(variable.code)
                    found[field] = values.text_of(value) if value is not None else ""
        return found

    def _slots(self) -> Iterator[tuple[str, str, str]]:
        """Yield field, parameter and variable of every variable that a text holds."""
        for parameter in self.revision.parameters:
            name = parameter["name"]
            known = {variable.name for variable in self.chosen.variables.get(name, ())}
            for each in names_in(str(self.chosen.values.get(name) or "")):
                if each in known:
                    digest = blake2b(f"{name}\0{each}".encode(), digest_size=6).hexdigest()
                    yield f"variable_{digest}", name, each
