"""Delivery and message ids: the same people, run and step give the same ids, on every machine.

A keyed hash instead of a random number: planning twice conflicts instead of doubling, a
crash re-sends under the same id, and nobody outside can compute an id from a QAID.
"""

import hashlib
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

DELIVERY_PREFIX: Final = "dlv_"
MESSAGE_PREFIX: Final = "msg_"

_EPOCH: Final = date(2020, 1, 1)  # Three digits of base 32 reach to 2109.
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
# Letters and digits only, so that a double click takes the whole id; a hash may lose the bits.
_ALPHABET: Final = bytes.maketrans(b"+/", b"xY")
_HASH_BYTES: Final = 18


def _key(secret: bytes) -> bytes:
    """Fit a secret of any length to BLAKE2b's 64 bytes."""
    return hashlib.blake2b(secret, person=b"webhook ids").digest()


def _letters(digest: bytes) -> str:
    return b2a_base64(digest, newline=False).translate(_ALPHABET).decode()


def encode_day(day: date) -> str:
    """Write a day in three characters that sort like days.

    Raises:
        ValueError: the day is before 2020 or after 2109.
    """
    number = (day - _EPOCH).days
    if not 0 <= number < 32**3:
        raise ValueError(f"{day} cannot stand in a delivery id")
    return _DIGITS[number >> 10] + _DIGITS[number >> 5 & 31] + _DIGITS[number & 31]


def day_of(delivery_id: str) -> date | None:
    """Return the day a delivery was planned on, or None when this is no delivery id."""
    if not is_delivery_id(delivery_id):
        return None
    first, second, third = (_DIGITS.index(character) for character in delivery_id[4:7])
    return _EPOCH + timedelta(days=first << 10 | second << 5 | third)


def is_delivery_id(text: str) -> bool:
    """Tell whether a text from outside has the form of a delivery id."""
    return (
        len(text) == 31
        and text.startswith(DELIVERY_PREFIX)
        and all(character in _DIGITS for character in text[4:7])
        and text[7:].isalnum()
        and text.isascii()
    )


class DeliveryIds:
    """Makes the delivery ids of one run and step; build it once a chunk or once a plan."""

    def __init__(self, secret: bytes, *, run: str | int, step_key: str, day: date) -> None:
        self._prefix = DELIVERY_PREFIX + encode_day(day)
        scope = f"{run}\x00{step_key}\x00".encode()
        self._base = hashlib.blake2b(scope, key=_key(secret), digest_size=_HASH_BYTES)

    def one(self, qaid: int, occurrence: str = "") -> str:
        """Return one person's id; ``occurrence`` is the event id of an event start."""
        state = self._base.copy()
        state.update(b"%d\x00%b" % (qaid, occurrence.encode()))
        return self._prefix + _letters(state.digest())

    def many(self, qaids: Sequence[int], occurrences: Iterable[str] | None = None) -> list[str]:
        """Return the ids of people in their order."""
        if occurrences is not None:
            return [self.one(*pair) for pair in zip(qaids, occurrences, strict=True)]
        prefix, base, found = self._prefix, self._base, []
        for qaid in qaids:
            state = base.copy()
            state.update(b"%d\x00" % qaid)
            found.append(
                prefix + b2a_base64(state.digest(), newline=False).translate(_ALPHABET).decode()
            )
        return found


class MessageIds:
    """Makes message ids: the same deliveries in the same order have the same message id."""

    def __init__(self, secret: bytes) -> None:
        self._base = hashlib.blake2b(b"message\x00", key=_key(secret), digest_size=_HASH_BYTES)

    def one(self, delivery_ids: Sequence[str]) -> str:
        state = self._base.copy()
        state.update("\n".join(delivery_ids).encode())
        return MESSAGE_PREFIX + _letters(state.digest())

    def many(self, messages: Iterable[Sequence[str]]) -> list[str]:
        return [self.one(delivery_ids) for delivery_ids in messages]
