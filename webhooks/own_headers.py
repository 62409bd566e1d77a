"""A webhook's own headers at rest: their names in clear, their values encrypted.

``Webhook.headers`` holds them sealed. Screens show names alone; a value leaves this module in
clear when a request is made, or when a copy of the webhook is.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping

from webhooks import secrets
from webhooks.models import Webhook


def seal(webhook: Webhook, values: Mapping[str, str]) -> dict[str, str]:
    """Return the headers as the webhook's row keeps them; no other row can use them."""
    ring = secrets.keyring()
    return {
        name: b64encode(ring.encrypt(value, context=context_of(webhook, name))).decode()
        for name, value in values.items()
    }


def reveal(webhook: Webhook) -> dict[str, str]:
    """Return the headers in clear.

    Raises:
        secrets.SecretError: one cannot be read under the installation's keys.
    """
    ring = secrets.keyring()
    try:
        return {
            name: ring.decrypt(b64decode(sealed), context=context_of(webhook, name))
            for name, sealed in webhook.headers.items()
        }
    except Base64Error:
        raise secrets.SecretError("A header is stored in clear.") from None


def context_of(webhook: Webhook, name: str) -> str:
    """Return what binds a header's value to its row and name."""
    return f"webhooks.Webhook:{webhook.public_id}:header:{name}"
