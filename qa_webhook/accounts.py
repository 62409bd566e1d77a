"""Log-in without sign-up: accounts are made by administrators and on the command line."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class ClosedAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth ships no types
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _(
            "This e-mail address and this password do not belong together. Check both, or set a "
            "new password below."
        ),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
