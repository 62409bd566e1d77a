"""The dialogs of an audience as a whole."""

from django import forms
from django.utils.translation import gettext_lazy as _

from identity.audiences import NAME_LENGTH
from identity.choices import AudienceKind


class NameForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), max_length=NAME_LENGTH, error_messages={"required": _("Enter a name.")}
    )


class CreateForm(NameForm):
    kind = forms.ChoiceField(
        label=_("Who is in it"), choices=AudienceKind.choices, initial=AudienceKind.RULES
    )
