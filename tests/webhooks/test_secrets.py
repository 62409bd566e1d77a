"""Secrets at rest."""

from base64 import b64encode

import pytest
from pytest_django import Settings

from webhooks import secrets
from webhooks.secrets import Keyring, SecretError, UnknownKeyError
from webhooks.signing import key_of

OLD = f"k1:{b64encode(b'1' * 32).decode()}"
NEW = f"k2:{b64encode(b'2' * 32).decode()}"
ROW = "webhook:17:signing"


def test_a_secret_comes_back_for_its_own_row_only() -> None:
    ring = Keyring([OLD])
    stored = ring.encrypt("whsec_张三", context=ROW)

    assert ring.decrypt(stored, context=ROW) == "whsec_张三"
    assert ring.decrypt(memoryview(stored), context=ROW) == "whsec_张三"
    assert b"whsec" not in stored
    assert stored != ring.encrypt("whsec_张三", context=ROW)
    with pytest.raises(SecretError):
        ring.decrypt(stored, context="webhook:18:signing")


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    stored = Keyring([OLD]).encrypt("x", context=ROW)
    ring = Keyring([NEW, OLD])

    assert ring.decrypt(stored, context=ROW) == "x"
    assert ring.needs_rotation(stored)
    rotated = ring.rotate(stored, context=ROW)
    assert (Keyring.key_id(stored), Keyring.key_id(rotated)) == ("k1", "k2")
    assert Keyring([NEW]).decrypt(rotated, context=ROW) == "x"
    assert ring.rotate(rotated, context=ROW) == rotated


def test_a_key_that_is_gone_is_a_loud_error() -> None:
    stored = Keyring([OLD]).encrypt("x", context=ROW)

    with pytest.raises(UnknownKeyError, match="k1"):
        Keyring([NEW]).decrypt(stored, context=ROW)


def test_another_key_under_the_same_id_is_a_loud_error() -> None:
    stored = Keyring([OLD]).encrypt("canary", context=ROW)

    with pytest.raises(SecretError) as caught:
        Keyring([f"k1:{b64encode(b'9' * 32).decode()}"]).decrypt(stored, context=ROW)
    assert "canary" not in str(caught.value)


def test_every_changed_byte_is_noticed() -> None:
    ring = Keyring([OLD])
    stored = ring.encrypt("x", context=ROW)

    for place in range(len(stored)):
        changed = bytearray(stored)
        changed[place] ^= 1
        with pytest.raises(SecretError):
            ring.decrypt(bytes(changed), context=ROW)


@pytest.mark.parametrize("stored", [b"", b"plain text", b"\x01", b"\x01\xff" + b"x" * 60])
def test_what_was_never_encrypted_is_not_taken_for_a_secret(stored: bytes) -> None:
    with pytest.raises(SecretError):
        Keyring([OLD]).decrypt(stored, context=ROW)


@pytest.mark.parametrize(
    "entries", [[], ["k1"], ["k1:short"], [":" + OLD[3:]], ["k1:" + b64encode(b"x" * 16).decode()]]
)
def test_malformed_keys_are_refused_without_showing_them(entries: list[str]) -> None:
    with pytest.raises(SecretError) as caught:
        Keyring(entries)

    assert "FIELD_KEYS" in str(caught.value)
    assert not any(len(entry) > 4 and entry[3:] in str(caught.value) for entry in entries)


def test_the_ring_follows_the_settings(settings: Settings) -> None:
    settings.FIELD_KEYS = [OLD]
    stored = secrets.keyring().encrypt("x", context=ROW)
    settings.FIELD_KEYS = [NEW, OLD]

    assert secrets.keyring().decrypt(stored, context=ROW) == "x"
    assert secrets.keyring().current == "k2"


def test_what_may_be_shown_of_a_secret() -> None:
    secret = secrets.generate_signing_secret()
    ring = Keyring([OLD])

    assert secret.startswith("whsec_")
    assert len(key_of(secret)) == 32
    assert secrets.last4(secret) == secret[-4:]
    assert secrets.last4("short") == ""
    assert ring.fingerprint(secret) == ring.fingerprint(secret)
    assert ring.fingerprint(secret) != ring.fingerprint(secrets.generate_signing_secret())
    assert ring.fingerprint(secret) not in secret
