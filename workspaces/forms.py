from typing import TYPE_CHECKING

from django import forms
from django.utils.translation import gettext_lazy as _

from workspaces.choices import Language
from workspaces.models import User

if TYPE_CHECKING:
    _UserForm = forms.ModelForm[User]
else:
    _UserForm = forms.ModelForm


class SettingsForm(_UserForm):
    """What members change about themselves; rights and e-mail address are not among it."""

    language = forms.ChoiceField(
        choices=[("", _("The language of the workspace")), *Language.choices],
        required=False,
        label=_("Language"),
    )

    class Meta:
        model = User
        fields = ("name", "language")
        labels = {"name": _("Name")}
