"""Form fields that round-trip, so that no view flattens or parses."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from identity.models import IdType
from webhooks.previews import MASK


class PairsField(forms.CharField):
    """Pairs typed as one ``name: value`` a line, kept as a dict in the order typed."""

    widget = forms.Textarea
    default_error_messages = {
        "malformed": _("Line %(line)d is not a “%(form)s” pair."),
        "twice": _("“%(name)s” stands twice. Remove one of the two."),
    }

    def __init__(self, *, form: str, **kwargs: Any) -> None:
        """Take ``form``, how a line is written, for the error; like ``Name: value``."""
        super().__init__(**kwargs)
        self.form = form
        self.widget.attrs.setdefault("rows", 3)
        self.widget.attrs.setdefault("placeholder", form)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return dict(value)
        pairs: dict[str, str] = {}
        for number, line in enumerate((value or "").splitlines(), start=1):
            if not line.strip():
                continue
            name, colon, content = line.partition(":")
            name = name.strip()
            if not (name and colon and content.strip()):
                raise ValidationError(
                    self.error_messages["malformed"],
                    "malformed",
                    {"line": number, "form": self.form},
                )
            if name in pairs:
                raise ValidationError(self.error_messages["twice"], "twice", {"name": name})
            pairs[name] = content.strip()
        return pairs

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{name}: {content}" for name, content in value.items())
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or {}))
        except ValidationError:
            return True


class HeadersField(PairsField):
    """A webhook's own headers: what is stored shows as names with masks, never as values."""

    def prepare_value(self, value: Any) -> Any:
        return super().prepare_value(_masked(value) if isinstance(value, Mapping) else value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(_masked(initial or {}), data)


def _masked(sealed: Mapping[str, str]) -> dict[str, str]:
    return dict.fromkeys(sealed, MASK)


class IdTypesField(forms.ModelMultipleChoiceField[IdType]):
    """ID types as check boxes, each with its code and its name."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, obj: IdType) -> str:
        return obj.code if obj.name == obj.code else f"{obj.code} · {obj.name}"
