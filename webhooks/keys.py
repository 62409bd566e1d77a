"""A webhook's keys: made, shown once, changed with a time of grace, read by whoever signs.

Rows are written here alone; a key leaves this module in clear when it is made and when a
request is signed or an ID encrypted.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from webhooks import encryption, secrets
from webhooks.choices import SecretKind
from webhooks.models import Webhook, WebhookSecret
from workspaces import audit

if TYPE_CHECKING:
    from workspaces.models import User

# For so long after a change the old key signs beside the new one.
GRACE: Final = timedelta(hours=24)


def context_of(secret: WebhookSecret) -> str:
    """Return what binds a stored key to its row."""
    return f"webhooks.WebhookSecret:{secret.pk}:{secret.kind}"


def reveal(secret: WebhookSecret) -> str:
    """Return a stored key in clear.

    Raises:
        secrets.SecretError: it cannot be read under the installation's keys.
    """
    return secrets.keyring().decrypt(secret.ciphertext, context=context_of(secret))


def valid(webhook: Webhook, kind: SecretKind, *, now: datetime) -> list[WebhookSecret]:
    """Return the keys of a kind that hold now, the newest first."""
    holds = Q(valid_until__isnull=True) | Q(valid_until__gt=now)
    return list(webhook.secrets.filter(holds, kind=kind).order_by("-created_at", "-pk"))


def signing_secrets(webhook: Webhook, *, now: datetime) -> list[str]:
    """Return the valid signing keys in clear, the newest first, for ``signing.Signer``."""
    return [reveal(secret) for secret in valid(webhook, SecretKind.SIGNING, now=now)]


def aes_key(webhook: Webhook, *, now: datetime) -> bytes | None:
    """Return the key that IDs are encrypted under, or None."""
    found = valid(webhook, SecretKind.AES, now=now)
    return encryption.aes_key(reveal(found[0])) if found else None


@transaction.atomic
def make(
    *, webhook: Webhook, kind: SecretKind, actor: "User | None", now: datetime, given: str = ""
) -> tuple[WebhookSecret, str]:
    """Make a new key and return it with its clear text, which is not to be had again.

    Older signing keys stay valid for 24 hours, so that the other side can change over; an
    older AES or receipt key ends at once.

    Args:
        given: an AES key that the other system has already; empty to make one.

    Raises:
        ValidationError: ``given`` is no AES key.
    """
    Webhook.objects.select_for_update().get(pk=webhook.pk)
    clear = _clear_text(kind, given)
    until = now + GRACE if kind == SecretKind.SIGNING else now
    older = webhook.secrets.filter(kind=kind)
    renewed = older.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=until))
    was_there = bool(renewed.update(valid_until=until))
    secret = WebhookSecret.objects.create(
        webhook=webhook,
        kind=kind,
        ciphertext=b"",
        last4=secrets.last4(clear),
        created_by=actor,
    )
    secret.ciphertext = secrets.keyring().encrypt(clear, context=context_of(secret))
    secret.save(update_fields=["ciphertext"])
    audit.record(
        actor=actor,
        workspace=webhook.workspace,
        action="webhook.key_changed" if was_there else "webhook.key_made",
        obj=webhook,
        changes={"kind": kind.value, "fingerprint": secrets.keyring().fingerprint(clear)},
    )
    return secret, clear


def confirm_stored(*, secret: WebhookSecret, actor: "User | None", now: datetime) -> None:
    """Note that somebody said “I have stored it”; the first one counts."""
    if WebhookSecret.objects.filter(pk=secret.pk, stored_at__isnull=True).update(stored_at=now):
        audit.record(
            actor=actor,
            workspace=secret.webhook.workspace,
            action="webhook.key_stored",
            obj=secret.webhook,
            changes={"kind": secret.kind},
        )


def _clear_text(kind: SecretKind, given: str) -> str:
    if kind != SecretKind.AES:
        return secrets.generate_signing_secret()
    if not given:
        return secrets.generate_aes_key()
    try:
        encryption.aes_key(given)
    except ValueError:
        raise ValidationError(
            _("This is no AES key. Enter 16, 24 or 32 bytes in hex or base64."), "aes_key"
        ) from None
    return given.strip()
