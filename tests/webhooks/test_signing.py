"""Signatures by the definition of Standard Webhooks."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.secrets import generate_signing_secret
from webhooks.signing import Signer, VerificationError, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_plJ3nmyCDGBKInavdOK15jsl"
NOW = 1_614_265_330


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "signature"),
    [
        # The two examples of the standard's own libraries and of its text.
        (
            SECRET,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            NOW,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            OTHER,
            "msg_loFOjxBNrRLzqYUf",
            1_731_705_121,
            b'{"event_type":"ping","data":{"success":true}}',
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
    ],
)
def test_the_standards_own_examples(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    assert Signer([secret]).sign(message_id, timestamp, body) == signature
    assert Signer([secret.removeprefix("whsec_")]).sign(message_id, timestamp, body) == signature


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300))
def test_copied_pads_give_plain_hmac(key: bytes, body: bytes) -> None:
    signature = Signer([base64.b64encode(key).decode()]).sign("id", 5, body)

    expected = hmac.new(key, b"id.5." + body, hashlib.sha256).digest()
    assert signature == "v1," + base64.b64encode(expected).decode()


def headers(secrets: list[str], body: bytes, timestamp: int = NOW) -> dict[str, str]:
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": Signer(secrets).sign("msg_1", timestamp, body),
    }


def test_while_a_secret_is_rotated_either_verifies() -> None:
    both = headers([OTHER, SECRET], b"{}")

    assert both["webhook-signature"].count("v1,") == 2
    assert verify([SECRET], both, b"{}", now=NOW) == "msg_1"
    assert verify([OTHER], both, b"{}", now=NOW) == "msg_1"
    assert verify([OTHER, SECRET], headers([SECRET], b"{}"), b"{}", now=NOW) == "msg_1"


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_five_minutes_either_way_are_accepted(off: int) -> None:
    assert verify([SECRET], headers([SECRET], b"{}"), b"{}", now=NOW + off)


@pytest.mark.parametrize(
    ("changes", "body", "now", "code"),
    [
        ({}, b"{} ", NOW, "signature"),
        ({"webhook-id": "msg_2"}, b"{}", NOW, "signature"),
        ({"webhook-timestamp": str(NOW + 1)}, b"{}", NOW, "signature"),
        ({"webhook-signature": "v1,AAAA"}, b"{}", NOW, "signature"),
        ({"webhook-signature": "v1a,AAAA v2,x"}, b"{}", NOW, "signature"),
        ({"webhook-signature": "é"}, b"{}", NOW, "signature"),
        ({"webhook-signature": ""}, b"{}", NOW, "missing"),
        ({"webhook-id": ""}, b"{}", NOW, "missing"),
        ({"webhook-timestamp": "now"}, b"{}", NOW, "missing"),
        ({"webhook-timestamp": "-1"}, b"{}", NOW, "missing"),
        ({"webhook-timestamp": "1" * 5000}, b"{}", NOW, "timestamp"),
        ({}, b"{}", NOW + 301, "timestamp"),
        ({}, b"{}", NOW - 301, "timestamp"),
    ],
)
def test_anything_else_is_refused(
    changes: dict[str, str], body: bytes, now: int, code: str
) -> None:
    with pytest.raises(VerificationError) as caught:
        verify([SECRET], headers([SECRET], b"{}") | changes, body, now=now)

    assert caught.value.code == code


def test_another_secret_does_not_verify() -> None:
    with pytest.raises(VerificationError):
        verify([generate_signing_secret()], headers([SECRET], b"{}"), b"{}", now=NOW)


@pytest.mark.parametrize("secrets", [[], ["whsec_"], ["whsec_not base64!"], [SECRET, "é"]])
def test_a_malformed_secret_is_refused_at_once(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        Signer(secrets)
