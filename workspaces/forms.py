from typing import TYPE_CHECKING, Any

from allauth.account import forms as account
from allauth.mfa.base import forms as mfa
from allauth.mfa.totp import forms as totp
from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from workspaces import mailing
from workspaces.choices import Language
from workspaces.models import User

if TYPE_CHECKING:
    _UserForm = forms.ModelForm[User]
else:
    _UserForm = forms.ModelForm


_LABELS = {
    "login": _("E-mail"),
    "email": _("E-mail"),
    "oldpassword": _("Current password"),
    "password1": _("New password"),
    "password2": _("New password again"),
    "code": pgettext_lazy("second step", "Code"),
}


class _OurWords:
    """allauth's forms in our words, without placeholders that repeat the labels."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs.pop("placeholder", None)
            field.label = _LABELS.get(name, field.label)


class LogInForm(_OurWords, account.LoginForm):  # type: ignore[misc] # allauth ships no types
    pass


class ChangePasswordForm(_OurWords, account.ChangePasswordForm):  # type: ignore[misc]
    pass


class SetPasswordForm(_OurWords, account.SetPasswordForm):  # type: ignore[misc]
    pass


class ResetPasswordForm(_OurWords, account.ResetPasswordForm):  # type: ignore[misc]
    pass


class NewPasswordForm(_OurWords, account.ResetPasswordKeyForm):  # type: ignore[misc]
    pass


class ReauthenticateForm(_OurWords, account.ReauthenticateForm):  # type: ignore[misc]
    pass


class CodeForm(_OurWords, mfa.AuthenticateForm):  # type: ignore[misc]
    pass


class CodeAgainForm(_OurWords, mfa.ReauthenticateForm):  # type: ignore[misc]
    pass


class FirstCodeForm(_OurWords, totp.ActivateTOTPForm):  # type: ignore[misc]
    pass


class SettingsForm(_UserForm):
    """What members change about themselves; rights and e-mail address are not among it."""

    language = forms.ChoiceField(
        choices=[("", _("The language of the workspace")), *Language.choices],
        required=False,
        label=_("Language"),
    )

    class Meta:
        model = User
        fields = ("name", "language", "wants_mail")
        labels = {
            "name": pgettext_lazy("person", "Name"),
            "wants_mail": _("E-mail me notices that I have not read"),
        }
        help_texts = {
            "wants_mail": _("After five minutes, together. Each stays behind the bell too.")
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not mailing.is_set_up():
            del self.fields["wants_mail"]
