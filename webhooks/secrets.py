"""Secrets at rest: AES-256-GCM with a key id, bound to their row, written and never shown.

A stored secret is: version byte, length of the key id, key id, nonce, ciphertext with tag.
The row's *context* is authenticated, so that a ciphertext copied to another row does not decrypt.
"""

import hmac
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from webhooks.signing import SECRET_PREFIX

_VERSION: Final = 1
_NONCE: Final = 12
_TAG: Final = 16
_SECRET_BYTES: Final = 32


class SecretError(Exception):
    """A secret cannot be read; nothing may be sent with what was stored instead."""


class UnknownKeyError(SecretError):
    """It was encrypted under a key id that FIELD_KEYS does not have."""


class Keyring:
    """The master keys by id; the first encrypts, all decrypt."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Read entries like ``k2:base64 of 32 bytes``.

        Raises:
            SecretError: there is none, or one is malformed; the message holds no key.
        """
        self._keys: dict[str, bytes] = {}
        for number, entry in enumerate(entries, start=1):
            key_id, _colon, encoded = entry.partition(":")
            try:
                key = b64decode(encoded, validate=True)
            except Base64Error:
                key = b""
            if not 1 <= len(key_id.encode()) <= 255 or len(key) != 32:
                raise SecretError(f"Entry {number} of FIELD_KEYS is not “id:base64 of 32 bytes”.")
            self._keys[key_id] = key
        if not self._keys:
            raise SecretError("FIELD_KEYS is empty: secrets cannot be kept.")
        self.current = next(iter(self._keys))

    def encrypt(self, secret: str, *, context: str) -> bytes:
        """Encrypt under the first key; ``context`` names the row, like ``webhook:17:signing``."""
        nonce = os.urandom(_NONCE)
        head = self._head(self.current)
        cipher = AESGCM(self._keys[self.current])
        return head + nonce + cipher.encrypt(nonce, secret.encode(), _bound(head, context))

    def decrypt(self, stored: bytes | memoryview, *, context: str) -> str:
        """Return the secret.

        Raises:
            UnknownKeyError: its key is not in the ring.
            SecretError: it was changed, belongs to another row, or is no stored secret.
        """
        raw = bytes(stored)
        key_id = self.key_id(raw)
        head = self._head(key_id)
        if key_id not in self._keys:
            raise UnknownKeyError(f"The key “{key_id}” is not in FIELD_KEYS.")
        nonce, sealed = raw[len(head) : len(head) + _NONCE], raw[len(head) + _NONCE :]
        try:
            plain = AESGCM(self._keys[key_id]).decrypt(nonce, sealed, _bound(head, context))
        except InvalidTag:
            message = f"The secret does not decrypt under “{key_id}”: wrong key, or another row's."
            raise SecretError(message) from None
        return plain.decode()

    def needs_rotation(self, stored: bytes | memoryview) -> bool:
        """Tell whether a stored secret is not under the first key yet."""
        return self.key_id(stored) != self.current

    def rotate(self, stored: bytes | memoryview, *, context: str) -> bytes:
        """Encrypt again under the first key; what is there already comes back unchanged."""
        if not self.needs_rotation(stored):
            return bytes(stored)
        return self.encrypt(self.decrypt(stored, context=context), context=context)

    @staticmethod
    def key_id(stored: bytes | memoryview) -> str:
        """Return the id of the key that a secret was encrypted under.

        Raises:
            SecretError: this is no stored secret.
        """
        raw = bytes(stored)
        if len(raw) < 2 or raw[0] != _VERSION or len(raw) < 2 + raw[1] + _NONCE + _TAG:
            raise SecretError("This is no stored secret.")
        return raw[2 : 2 + raw[1]].decode("utf-8", "replace")

    @staticmethod
    def _head(key_id: str) -> bytes:
        encoded = key_id.encode()
        return bytes([_VERSION, len(encoded)]) + encoded

    def fingerprint(self, secret: str) -> str:
        """Return what history may keep of a secret: it tells two apart and gives nothing away."""
        key = hmac.digest(self._keys[self.current], b"fingerprint", "sha256")
        return hmac.digest(key, secret.encode(), "sha256").hex()[:16]


def _bound(head: bytes, context: str) -> bytes:
    return head + b"\x00" + context.encode()


@lru_cache(maxsize=4)
def _keyring(entries: tuple[str, ...]) -> Keyring:
    return Keyring(entries)


def keyring() -> Keyring:
    """Return the ring of the settings, read once."""
    return _keyring(tuple(settings.FIELD_KEYS))


def generate_signing_secret() -> str:
    """Return a new ``whsec_`` secret of 32 random bytes."""
    return SECRET_PREFIX + b64encode(os.urandom(_SECRET_BYTES)).decode()


def generate_aes_key() -> str:
    """Return a new AES-256 key in base64."""
    return b64encode(os.urandom(_SECRET_BYTES)).decode()


def last4(secret: str) -> str:
    """Return the end of a secret that screens may show; nothing of one too short to lose four."""
    return secret[-4:] if len(secret) >= 16 else ""
