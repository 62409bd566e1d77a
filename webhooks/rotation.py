"""Everything that stands encrypted under FIELD_KEYS: under which keys, and brought to the first.

Each row is changed by itself and only if nobody changed it meanwhile, so rotating may be
stopped anywhere, runs beside everything else, and does nothing the second time.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction

from webhooks import keys, own_headers, secrets
from webhooks.models import Webhook, WebhookSecret
from webhooks.secrets import SecretError
from workspaces import audit

_ROWS_AT_ONCE: Final = 500


@dataclass(slots=True)
class Survey:
    """How many secrets stand under each key, and which cannot be read."""

    by_key: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)  # One sentence each, without the secret.

    @property
    def old(self) -> int:
        """Return how many are not under the first key."""
        current = secrets.keyring().current
        return sum(number for key_id, number in self.by_key.items() if key_id != current)


def survey() -> Survey:
    """Look at every stored secret: a key that is missing or wrong shows here and not at night.

    Raises:
        SecretError: FIELD_KEYS itself cannot be used.
    """
    found, ring = Survey(), secrets.keyring()
    for name, stored, context in _everything():
        try:
            found.by_key[ring.key_id(stored)] += 1
            ring.decrypt(stored, context=context)
        except SecretError as error:
            found.unreadable.append(f"{name}: {error}")
    return found


def rotate(*, on_row: Callable[[int], None] = lambda done: None) -> int:
    """Encrypt anew under the first key whatever is under another; return how many secrets.

    One entry of the audit trail tells how many, also when it was stopped half way.

    Args:
        on_row: told how many rows have been looked at.

    Raises:
        SecretError: one cannot be read; those before it are done.
    """
    done = looked = 0
    try:
        for model, one in ((WebhookSecret, _rotate_secret), (Webhook, _rotate_headers)):
            for pk in model.objects.order_by("pk").values_list("pk", flat=True).iterator():
                done += one(pk)
                looked += 1
                on_row(looked)
    finally:
        if done:
            audit.record(
                actor=None,
                workspace=None,
                action="webhooksecret.rotated",
                obj=None,
                changes={"number": [0, done], "key": ["", secrets.keyring().current]},
            )
    return done


def rows() -> int:
    """Return how many rows ``rotate`` looks at."""
    return WebhookSecret.objects.count() + Webhook.objects.count()


def _everything() -> Iterator[tuple[str, bytes, str]]:
    for secret in WebhookSecret.objects.order_by("pk").iterator(_ROWS_AT_ONCE):
        name = f"the {secret.kind} key {secret.pk} of webhook {secret.webhook_id}"
        yield name, bytes(secret.ciphertext), keys.context_of(secret)
    webhooks = Webhook.objects.exclude(headers={}).only("public_id", "headers")
    for webhook in webhooks.order_by("pk").iterator(_ROWS_AT_ONCE):
        for header, sealed in webhook.headers.items():
            name = f"the header {header} of webhook {webhook.pk}"
            yield name, _bytes(sealed), own_headers.context_of(webhook, header)


def _bytes(sealed: str) -> bytes:
    try:
        return b64decode(sealed, validate=True)
    except Base64Error:
        return b""  # Which no key reads.


@transaction.atomic
def _rotate_secret(pk: int) -> int:
    secret = WebhookSecret.objects.select_for_update().filter(pk=pk).first()
    ring = secrets.keyring()
    if secret is None or not ring.needs_rotation(secret.ciphertext):
        return 0
    secret.ciphertext = ring.rotate(secret.ciphertext, context=keys.context_of(secret))
    secret.save(update_fields=["ciphertext"])
    return 1


@transaction.atomic
def _rotate_headers(pk: int) -> int:
    webhook = Webhook.objects.select_for_update().filter(pk=pk).first()
    ring = secrets.keyring()
    if webhook is None:
        return 0
    old = {name for name, sealed in webhook.headers.items() if ring.needs_rotation(_bytes(sealed))}
    if not old:
        return 0
    headers = {
        name: b64encode(
            ring.rotate(_bytes(sealed), context=own_headers.context_of(webhook, name))
        ).decode()
        for name, sealed in webhook.headers.items()
    }
    # Not through save(): nothing that anybody sees has changed.
    Webhook.objects.filter(pk=pk).update(headers=headers)
    return len(old)
