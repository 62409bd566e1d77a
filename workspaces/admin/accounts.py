"""What operators see of everybody's log-in: accounts, addresses and second steps."""

from datetime import datetime
from typing import Any

# These two register their classes, for which ours stand in.
from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, BaseUserCreationForm
from django.contrib.auth.models import Group
from django.forms import ModelForm
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from workspaces.admin.base import OperatorModelAdmin
from workspaces.models import User

# Groups are how guardian knows roles and member groups: these are named and changed on their own
# pages, and a change behind their backs would part the two.
admin.site.unregister((Group, EmailAddress, Authenticator))


class AccountAddForm(BaseUserCreationForm):  # type: ignore[type-arg] # generic in the stubs only
    """A new account with its first password; there is no other way to log in."""

    class Meta:
        model = User
        fields = ("email", "name", "language")


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg] # generic in the stubs only
    """A new password, and never none: there is no other way to log in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
        for name in ("password1", "password2"):
            self.fields[name].required = True


@admin.register(User)
class UserAccountAdmin(OperatorModelAdmin, UserAdmin):  # type: ignore[type-arg] # generic in the stubs only
    """Users are the installation's, not a tenant's: for operators alone."""

    form = ModelForm
    add_form = AccountAddForm
    add_form_template = None
    change_password_form = PasswordForm
    told_fields = ("email", "name", "language", "is_active")
    ordering = ("email",)
    list_display = ("email", "name", "is_active", "is_staff", "is_operator", "last_log_in")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("email", "name")
    search_help_text = _("Search by name or e-mail")
    filter_horizontal = ()
    readonly_fields = ("password_state", "is_staff", "is_operator", "last_log_in", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name", "language", "password_state")}),
        (
            _("State"),
            {"fields": ("is_active", "is_staff", "is_operator", "last_log_in", "date_joined")},
        ),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "language", "password1", "password2")}),)

    @admin.display(description=_("operator"), boolean=True, ordering="is_superuser")
    def is_operator(self, obj: User) -> bool:
        return obj.is_superuser

    @admin.display(description=_("last log-in"), ordering="last_login")
    def last_log_in(self, obj: User) -> datetime | None:
        return obj.last_login

    @admin.display(description=_("password"))
    def password_state(self, obj: User) -> str:
        return format_html(
            '<p>{}</p><p class="meta"><a href="{}">{}</a></p>',
            _("Set") if obj.has_usable_password() else _("None yet"),
            reverse("admin:auth_user_password_change", args=[obj.pk]),
            _("Set a new password"),
        )


class OwnersAlone(OperatorModelAdmin):
    """What people make for themselves: an operator looks, and deletes."""

    may_write = False
    list_select_related = ("user",)
    search_fields = ("user__name", "user__email")
    search_help_text = _("Search by name or e-mail")


@admin.register(EmailAddress)
class AddressAdmin(OwnersAlone):
    """An address that an account had before logs in as well, until it is deleted here."""

    list_display = ("email", "user", "primary", "verified")
    list_filter = ("verified",)
    search_fields = ("email", "user__name")
    ordering = ("email",)
    fields = ("email", "user", "primary", "verified")


@admin.register(Authenticator)
class SecondStepAdmin(OwnersAlone):
    """An operator deletes the second step of a lost phone. Its secret is shown to nobody."""

    list_display = ("user", "kind", "created_at", "last_used_at")
    ordering = ("user__email", "type")
    fields = ("user", "kind", "created_at", "last_used_at")
    readonly_fields = fields

    def name_of(self, obj: Authenticator) -> str:
        return self.kind(obj)

    @admin.display(description=_("kind"), ordering="type")
    def kind(self, obj: Authenticator) -> str:
        if obj.type == Authenticator.Type.TOTP:
            return str(_("Authenticator app"))
        return str(_("Recovery codes"))
