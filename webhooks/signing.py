"""Standard Webhooks 1.0.0 signatures (``v1``), made and checked.

The signed text is ``id.timestamp.body``; HMAC-SHA-256 under the base64 part of a
``whsec_`` secret. https://www.standardwebhooks.com
"""

import hashlib
import hmac
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105
TOLERANCE_SECONDS: Final = 300

_BLOCK: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class VerificationError(Exception):
    """A signature does not hold; ``code`` is missing, timestamp or signature."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def key_of(secret: str) -> bytes:
    """Return the raw key of a ``whsec_`` secret (the prefix may be missing).

    Raises:
        ValueError: it is no base64, or empty.
    """
    try:
        key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        # Its text could show the secret.
        raise ValueError("the signing secret is not base64") from None
    if not key:
        raise ValueError("the signing secret is empty")
    return key


class Signer:
    """Signs with every valid secret; the padded keys are hashed once, then copied."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Prepare the secrets, newest first; the header holds one signature for each.

        Raises:
            ValueError: there is none, or one is malformed.
        """
        if not secrets:
            raise ValueError("signing needs a secret")
        self._pads = []
        for secret in secrets:
            key = key_of(secret)
            if len(key) > _BLOCK:
                key = hashlib.sha256(key).digest()
            key = key.ljust(_BLOCK, b"\x00")
            pads = hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))
            self._pads.append(pads)

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return the value of the ``webhook-signature`` header."""
        signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
        signatures = []
        for inner_pad, outer_pad in self._pads:
            inner = inner_pad.copy()
            inner.update(signed)
            outer = outer_pad.copy()
            outer.update(inner.digest())
            signatures.append("v1," + b2a_base64(outer.digest(), newline=False).decode())
        return signatures[0] if len(signatures) == 1 else " ".join(signatures)


def verify(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> str:
    """Check a signed request and return its id.

    Args:
        secrets: the valid ones; any of them may have signed.
        headers: by lower-case name.
        now: seconds since the epoch, against the time stamp.

    Raises:
        VerificationError: a header is missing, the time stamp is more than ``tolerance``
            seconds off, or no signature fits.
    """
    message_id = headers.get("webhook-id", "")
    stamp = headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not message_id or not given or not (stamp.isascii() and stamp.isdigit()):
        raise VerificationError("missing")
    if len(stamp) > 12 or abs(now - int(stamp)) > tolerance:
        raise VerificationError("timestamp")
    signed = b"%b.%b.%b" % (message_id.encode(), stamp.encode(), body)
    candidates = [part[3:] for part in given.split(" ") if part.startswith("v1,")]
    for secret in secrets:
        digest = hmac.digest(key_of(secret), signed, "sha256")
        expected = b2a_base64(digest, newline=False)
        for candidate in candidates:
            if hmac.compare_digest(expected, candidate.encode()):
                return message_id
    raise VerificationError("signature")
