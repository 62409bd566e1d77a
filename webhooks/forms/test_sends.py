"""The form of a test send from webhook management: an ID, and a value for each parameter."""

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from identity.models import IdType
from webhooks.bodies import sample_binding
from webhooks.choices import Encryption, ParameterType
from webhooks.forms.fields import IdTypesField
from webhooks.models import Webhook, WebhookRevision
from webhooks.test_sends import Order


class IdTypeField(forms.ModelChoiceField[IdType]):
    label_from_instance = IdTypesField.label_from_instance


class TestSendForm(forms.Form):
    """What a test needs; ``token`` is new with each showing, so a second click sends nothing."""

    __test__ = False  # Not a test case, whatever its name.

    token = forms.CharField(widget=forms.HiddenInput, max_length=64)
    id_type = IdTypeField(IdType.objects.none(), label=_("ID type"), empty_label=None)
    typed_id = forms.CharField(
        label=_("Test ID"),
        max_length=255,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Of somebody who can look whether the message arrives."),
    )
    encryption = forms.ChoiceField(
        label=_("Encryption of the ID"), choices=Encryption.choices, initial=Encryption.NONE
    )

    def __init__(
        self, *args: Any, webhook: Webhook, revision: WebhookRevision, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.webhook, self.revision = webhook, revision
        allowed = [each["id"] for each in revision.id_types]
        offered = IdType.objects.enabled().filter(pk__in=allowed).order_by("priority")
        self.fields["id_type"].queryset = offered  # type: ignore[attr-defined] # a choice field
        self.fields["token"].initial = uuid.uuid4().hex
        self._places: dict[str, str] = {}
        for number, parameter in enumerate(revision.parameters):
            if not parameter["is_constant"]:
                place = f"value_{number}"
                self._places[parameter["name"]] = place
                self.fields[place] = field_of(parameter)

    def order(self) -> Order:
        return Order(
            webhook=self.webhook,
            revision=self.revision,
            id_type=self.cleaned_data["id_type"],
            typed_id=self.cleaned_data["typed_id"],
            encryption=self.cleaned_data["encryption"],
            values={name: self.cleaned_data[place] for name, place in self._places.items()},
        )

    def renew(self) -> None:
        """Show a new token with the same values: pressed again, it is another test."""
        self.data = {**self.data.dict(), "token": uuid.uuid4().hex}  # type: ignore[attr-defined] # a QueryDict

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Show what the core refused at the field that it is about."""
        for place, sentence in errors.items():
            name = place.removeprefix("parameter:")
            field = self._places.get(name, place)
            self.add_error(field if field in self.fields else None, sentence)


def field_of(parameter: Mapping[str, Any]) -> forms.Field:
    """Return the form field for a frozen parameter, filled with its example or a sample.

    What the field takes is checked by the core, for every door alike.
    """
    shared: dict[str, Any] = {
        "label": parameter["label"],
        "required": False,
        "help_text": parameter["help_text"],
        "initial": sample_binding(parameter).value,
    }
    match ParameterType(parameter["type"]):
        case ParameterType.CHOICE:
            return forms.ChoiceField(
                choices=[tuple(each) for each in parameter["choices"]], **shared
            )
        case ParameterType.DATE:
            return forms.CharField(widget=forms.TextInput(attrs={"type": "date"}), **shared)
        case ParameterType.NUMERIC:
            return forms.CharField(widget=forms.TextInput(attrs={"inputmode": "decimal"}), **shared)
        case ParameterType.TEXT:
            return forms.CharField(strip=False, widget=forms.Textarea(attrs={"rows": 2}), **shared)
        case _:
            return forms.CharField(strip=False, **shared)
