"""Django's words in the set-up that its own Chinese lacks, or says otherwise than the console.

Nothing reads them here: standing here, they get a translation of ours, which goes before Django's.
"""

from typing import Final

from django.utils.translation import gettext_noop as _

WORDS: Final = (
    _("Add %s"),
    _("Add another %(verbose_name)s"),
    _("After you’ve created a user, you’ll be able to edit more user options."),
    _("Change history: %s"),
    _(
        "Whether the user will be able to authenticate using a password or not. If disabled, they "
        "may still be able to authenticate using other backends, such as Single Sign-On or LDAP."
    ),
)
