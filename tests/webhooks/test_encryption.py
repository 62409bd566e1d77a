"""How an ID goes out."""

import hashlib
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks import encryption
from webhooks.choices import Encryption
from webhooks.encryption import encryptor

KEY = bytes(range(32))


def test_hashes_are_lower_hex_of_the_value() -> None:
    assert encryptor(Encryption.NONE)("13800000000") == "13800000000"
    assert encryptor(Encryption.MD5)("13800000000") == hashlib.md5(b"13800000000").hexdigest()
    assert encryptor("sha256")("张三") == hashlib.sha256("张三".encode()).hexdigest()


@given(st.text())
def test_aes_is_undone_by_the_key_alone(value: str) -> None:
    assert encryption.decrypt(encryptor(Encryption.AES, KEY)(value), KEY) == value


def test_aes_gives_the_same_text_for_the_same_id_and_another_for_another() -> None:
    encrypt = encryptor(Encryption.AES, KEY)

    assert encrypt("1") == encryptor(Encryption.AES, KEY)("1")
    assert encrypt("1") != encrypt("2")
    assert encrypt("1") != encryptor(Encryption.AES, KEY[::-1])("1")
    assert b64decode(encrypt("1"))[:12] != b64decode(encrypt("2"))[:12]
    assert len(b64decode(encrypt("1"))) == 12 + 1 + 16


def test_a_changed_text_or_another_key_does_not_decrypt() -> None:
    text = encryptor(Encryption.AES, KEY)("13800000000")

    for wrong in (b64encode(b64decode(text)[:-1] + b"\x00").decode(), b64encode(b"short").decode()):
        with pytest.raises(ValueError, match=r"ID|key"):
            encryption.decrypt(wrong, KEY)
    with pytest.raises(ValueError, match="key"):
        encryption.decrypt(text, KEY[::-1])


@pytest.mark.parametrize("key", [None, b"", b"x" * 15, b"x" * 33])
def test_aes_needs_a_key(key: bytes | None) -> None:
    with pytest.raises(ValueError, match="key"):
        encryptor(Encryption.AES, key)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="rot13"):
        encryptor("rot13")


@pytest.mark.parametrize("key", [KEY, KEY[:16], KEY[:24]])
def test_a_key_is_typed_in_hex_or_base64(key: bytes) -> None:
    assert encryption.aes_key(key.hex()) == key
    assert encryption.aes_key(f" {b64encode(key).decode()}\n") == key


@pytest.mark.parametrize("typed", ["", "secret", "00" * 20, "é" * 32])
def test_anything_else_is_no_key(typed: str) -> None:
    with pytest.raises(ValueError, match="AES key"):
        encryption.aes_key(typed)
