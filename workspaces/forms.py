from typing import TYPE_CHECKING, Any

from allauth.account.forms import LoginForm
from django import forms
from django.utils.translation import gettext_lazy as _

from workspaces.choices import Language
from workspaces.models import User

if TYPE_CHECKING:
    _UserForm = forms.ModelForm[User]
else:
    _UserForm = forms.ModelForm


class LogInForm(LoginForm):  # type: ignore[misc] # allauth ships no types
    """allauth's log-in in our words, without placeholders that repeat the labels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("E-mail")
        for name in ("login", "password"):
            self.fields[name].widget.attrs.pop("placeholder", None)


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
