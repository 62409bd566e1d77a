"""Words of Django and allauth in the set-up that their own Chinese lacks, or says otherwise.

Standing here, they get a translation of ours, which goes before theirs.
"""

from typing import Final

from django.apps import apps
from django.utils.translation import gettext_lazy
from django.utils.translation import gettext_noop as _

WORDS: Final = (
    _("Add %s"),
    _("Add another %(verbose_name)s"),
    _("After you’ve created a user, you’ll be able to edit more user options."),
    _("Change history: %s"),
    _("TOTP Authenticator"),
    _("WebAuthn"),
    _(
        "Whether the user will be able to authenticate using a password or not. If disabled, they "
        "may still be able to authenticate using other backends, such as Single Sign-On or LDAP."
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
        ("type", gettext_lazy("kind")),
        ("created_at", gettext_lazy("added at")),
        ("last_used_at", gettext_lazy("last used at")),
    ):
        steps.get_field(name).verbose_name = label
