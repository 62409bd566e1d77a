"""Words of Django and allauth in the set-up that their own Chinese lacks, or says otherwise.

Standing here, they get a translation of ours, which goes before theirs.
"""

from typing import Final

from django.apps import apps
from django.utils.translation import gettext_lazy, ngettext_lazy
from django.utils.translation import gettext_noop as _

WORDS: Final = (
    _("%(model_name)s with this %(field_label)s already exists."),
    _("%(model_name)s with this %(field_labels)s already exists."),
    _("Add %s"),
    _("Add another %(model)s"),
    _("Add another %(verbose_name)s"),
    _("Authenticator code"),
    _("Change %s"),
    _("Change password: %s"),
    _("Change selected %(model)s"),
    _("Delete selected %(verbose_name_plural)s"),
    _("Enter a valid URL."),
    _("Enter a valid date."),
    _("Enter a valid date/time."),
    _("Enter a valid email address."),
    _("Enter a valid time."),
    _("Enter a valid value."),
    _("Enter a whole number."),
    _("Enter the same password as before, for verification."),
    _("Ensure this value is greater than or equal to %(limit_value)s."),
    _("Ensure this value is less than or equal to %(limit_value)s."),
    _("Incorrect code."),
    _("Incorrect password."),
    _("Items must be selected in order to perform actions on them. No items have been changed."),
    _("No action selected."),
    _("Select a valid choice. %(value)s is not one of the available choices."),
    _("Select a valid choice. That choice is not one of the available choices."),
    _("Password change"),
    _("Password change successful"),
    _("Password confirmation"),
    _("Set password: %s"),
    _("Successfully deleted %(count)d %(items)s."),
    _("TOTP Authenticator"),
    _("The %(name)s “%(obj)s” was deleted successfully."),
    _("The email address is not assigned to any user account."),
    _("The new value must be different from the current one."),
    _("The password is too similar to the %(verbose_name)s."),
    _("The submitted file is empty."),
    _("The two password fields didn’t match."),
    _("The {name} “{obj}” was added successfully."),
    _("The {name} “{obj}” was added successfully. You may add another {name} below."),
    _("The {name} “{obj}” was changed successfully."),
    _("The {name} “{obj}” was changed successfully. You may add another {name} below."),
    _("The {name} “{obj}” was changed successfully. You may edit it again below."),
    _("This account is currently inactive."),
    _("This account is inactive."),
    _("This field is required."),
    _("This password is entirely numeric."),
    _("This password is too common."),
    _("View %s"),
    _("View selected %(model)s"),
    _("WebAuthn"),
    _("You may edit it again below."),
    _("You must type the same password each time."),
    _("Your old password was entered incorrectly. Please enter it again."),
    _("Your password was changed."),
    _("Your password can’t be a commonly used password."),
    _("Your password can’t be entirely numeric."),
    _("Your password can’t be too similar to your other personal information."),
    _("email address"),
    _("email addresses"),
    ngettext_lazy(
        "%(count)s %(name)s was changed successfully.",
        "%(count)s %(name)s were changed successfully.",
        "count",
    ),
    ngettext_lazy(
        "Ensure this value has at least %(limit_value)d character (it has %(show_value)d).",
        "Ensure this value has at least %(limit_value)d characters (it has %(show_value)d).",
        "limit_value",
    ),
    ngettext_lazy(
        "Ensure this value has at most %(limit_value)d character (it has %(show_value)d).",
        "Ensure this value has at most %(limit_value)d characters (it has %(show_value)d).",
        "limit_value",
    ),
    ngettext_lazy(
        "This password is too short. It must contain at least %(min_length)d character.",
        "This password is too short. It must contain at least %(min_length)d characters.",
        "min_length",
    ),
    ngettext_lazy(
        "Your password must contain at least %(min_length)d character.",
        "Your password must contain at least %(min_length)d characters.",
        "min_length",
    ),
)


def name_models() -> None:
    """Name what allauth leaves to the names of its code. Once all models are there.

    What a class was declared with stays as it is, so no migration of allauth's is asked for.
    """
    steps = apps.get_model("mfa", "Authenticator")._meta
    steps.verbose_name = gettext_lazy("second step")
    steps.verbose_name_plural = gettext_lazy("second steps")
    for name, label in (
        ("user", gettext_lazy("account")),
        ("created_at", gettext_lazy("added at")),
        ("last_used_at", gettext_lazy("last used at")),
    ):
        steps.get_field(name).verbose_name = label
    addresses = apps.get_model("account", "EmailAddress")._meta
    addresses.verbose_name = gettext_lazy("log-in address")
    addresses.verbose_name_plural = gettext_lazy("log-in addresses")
    for name, label in (
        ("user", gettext_lazy("account")),
        ("email", gettext_lazy("e-mail")),
        ("primary", gettext_lazy("main address")),
        ("verified", gettext_lazy("confirmed")),
    ):
        addresses.get_field(name).verbose_name = label
    accounts = apps.get_model("workspaces", "User")._meta
    accounts.get_field("is_superuser").verbose_name = gettext_lazy("operator")
