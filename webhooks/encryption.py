"""How an ID goes out: as it is, hashed, or encrypted under the webhook's AES key."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from webhooks.choices import Encryption

KEY_BYTES: Final = (16, 24, 32)
_NONCE: Final = 12
_TAG: Final = 16


def aes_key(text: str) -> bytes:
    """Return an AES key typed in hex or base64.

    Raises:
        ValueError: it is neither, or not 16, 24 or 32 bytes long.
    """
    text = text.strip()
    for read in (bytes.fromhex, lambda typed: b64decode(typed, validate=True)):
        try:
            key = read(text)
        except ValueError:
            continue
        if len(key) in KEY_BYTES:
            return key
    raise ValueError("an AES key has 16, 24 or 32 bytes, in hex or base64")


def encryptor(method: Encryption | str, key: bytes | None = None) -> Callable[[str], str]:
    """Return the function that normalised IDs go through; the same ID gives the same text.

    Raises:
        ValueError: AES without a key of 16, 24 or 32 bytes, or an unknown method.
    """
    match Encryption(method):
        case Encryption.NONE:
            return str
        case Encryption.MD5:
            return lambda value: hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()
        case Encryption.SHA256:
            return lambda value: hashlib.sha256(value.encode()).hexdigest()
        case Encryption.AES:
            if key is None or len(key) not in KEY_BYTES:
                raise ValueError("AES needs a key of 16, 24 or 32 bytes")
            return _aes(key)


def _aes(key: bytes) -> Callable[[str], str]:
    cipher = AESGCM(key)
    # A key of its own for the nonces: the cipher's key is used for nothing but the cipher.
    nonce_key = hmac.digest(key, b"qa-webhook id nonce", "sha256")

    def encrypt(value: str) -> str:
        plain = value.encode()
        nonce = hmac.digest(nonce_key, plain, "sha256")[:_NONCE]
        return b64encode(nonce + cipher.encrypt(nonce, plain, None)).decode()

    return encrypt


def decrypt(text: str, key: bytes) -> str:
    """Undo AES: what the receiving system does with base64 of nonce, ciphertext and tag.

    Raises:
        ValueError: it was not encrypted under this key.
    """
    raw = b64decode(text, validate=True)
    if len(raw) < _NONCE + _TAG:
        raise ValueError("too short to be an encrypted ID")
    try:
        return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()
    except InvalidTag:
        raise ValueError("encrypted under another key, or changed on the way") from None
