"""The integration guide: what it says is tried, in Python and in a shell."""

import json
import os
import shutil
import subprocess
import time
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.webhooks.factories import NOW, make_webhook, make_workspace
from webhooks import guides, keys, revisions, signing
from webhooks.choices import Authentication, ParameterType
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db
MISSING = [tool for tool in ("curl", "openssl") if not shutil.which(tool)]


def code_of(webhook: Webhook, language: str) -> str:
    blocks = [block for section in guides.sections(webhook) for block in section.blocks]
    return next(
        block.text
        for block in blocks
        if isinstance(block, guides.Code) and block.language == language
    )


@pytest.fixture
def webhook() -> Webhook:
    return make_webhook(
        make_workspace(),
        name="CRM coupons",
        headers={"X-Tenant": "cn-1"},
        parameters=[
            {"name": "content", "type": ParameterType.TEXT, "example": "It's “20” $HOME `x` \\n"},
            {"name": "amount", "type": ParameterType.NUMERIC, "required": False},
        ],
    )


def test_the_python_check_accepts_what_we_sign_and_refuses_the_rest(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secret,) = keys.signing_secrets(webhook, now=NOW)
    monkeypatch.setenv(guides.SECRET_VARIABLE, secret)
    namespace: dict[str, Any] = {}
    exec(code_of(webhook, "python"), namespace)
    is_genuine = namespace["is_genuine"]
    now = int(time.time())
    other = "whsec_" + "QUJD" * 11
    body = '{"a": "é"}'.encode()

    def headers(timestamp: int, *secrets: str) -> dict[str, str]:
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signing.Signer(secrets).sign("msg_1", timestamp, body),
        }

    assert is_genuine(headers(now, secret), body)
    assert is_genuine(headers(now, other, secret), body)
    assert not is_genuine(headers(now, other), body)
    assert not is_genuine(headers(now, secret), body + b" ")
    assert not is_genuine(headers(now - 301, secret), body)


@pytest.mark.skipif(
    bool(MISSING),
    reason="The line in the guide needs what is not on this machine. "
    f"Install it with: apt-get install {' '.join(MISSING)}",
)
def test_the_shell_line_sends_what_our_own_check_accepts(
    webhook: Webhook, httpserver: HTTPServer
) -> None:
    received: list[Request] = []

    def take(request: Request) -> Response:
        received.append(request)
        return Response("ok")

    httpserver.expect_request("/marketing").respond_with_handler(take)
    webhook.url = httpserver.url_for("/marketing")
    (secret,) = keys.signing_secrets(webhook, now=NOW)

    subprocess.run(
        ["sh", "-c", code_of(webhook, "sh")],
        env={**os.environ, guides.SECRET_VARIABLE: secret, "no_proxy": "*"},
        check=True,
        capture_output=True,
        timeout=20,
    )

    (request,) = received
    lowered = {name.lower(): value for name, value in request.headers.items()}
    signing.verify([secret], lowered, request.data, now=time.time())
    body = json.loads(request.data)
    assert body["test"] is True
    assert body["recipients"][0]["params"]["content"] == "It's “20” $HOME `x` \\n"


def test_every_block_is_in_the_markdown_and_no_secret_is(webhook: Webhook) -> None:
    text = guides.markdown(webhook)

    assert text.startswith("# Receiving messages from “CRM coupons”")
    for section in guides.sections(webhook):
        assert f"## {section.title}" in text
    assert keys.signing_secrets(webhook, now=NOW)[0] not in text
    assert "x-tenant" in text
    assert "cn-1" not in text
    assert webhook.headers["X-Tenant"] not in text
    assert "```python" in text
    assert "| amount | number | no |" in text


def test_without_a_key_nothing_is_said_of_signatures(webhook: Webhook) -> None:
    webhook.authentication = Authentication.NONE

    text = guides.markdown(webhook)

    assert "webhook-signature" not in text
    assert "openssl" not in text


def test_receipts_are_explained_where_they_are_collected(webhook: Webhook) -> None:
    webhook.receipts_enabled = True
    webhook.receipt_codes = {"200": "Coupon issued"}

    text = guides.markdown(webhook, receipts_url="https://console.example.com/receipts/")

    assert "POST https://console.example.com/receipts/" in text
    assert "| 200 | Coupon issued |" in text


def test_the_sample_body_is_valid_json_with_every_parameter(webhook: Webhook) -> None:
    body = json.loads(guides.sample_body(webhook, revisions.content_of(webhook)))

    assert set(body["recipients"][0]["params"]) == {"content", "amount"}
