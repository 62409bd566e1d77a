"""The small dialogs about a journey as a whole."""

from django import forms
from django.utils.translation import gettext_lazy as _

from journeys import components

NAME_LENGTH = 200


class NameForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=NAME_LENGTH,
        error_messages={
            "required": _("Enter a name."),
            "max_length": _("A name has 200 characters at most."),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    use_required_attribute = False


class CreateForm(NameForm):
    start = forms.ChoiceField(
        label=_("How people enter"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose how people enter."),
            "invalid_choice": _("Choose how people enter."),
        },
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own signature
        starts = components.starts()
        self.fields["start"].choices = [(each.code, each.label) for each in starts]  # type: ignore[attr-defined]  # of a ChoiceField
        self.fields["start"].initial = starts[0].code
