"""Test sends: what goes out, what is stored masked, and what the verdict says."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from pytest_httpserver import HTTPServer
from werkzeug import Request as Received
from werkzeug import Response

from identity.models import IdType
from tests.webhooks.factories import (
    NOW,
    make_administrator,
    make_member,
    make_webhook,
    make_workspace,
    random_token,
)
from webhooks import keys, signing, test_sends, transport
from webhooks.answers import Outcome
from webhooks.choices import Encryption, ParameterType, SecretKind
from webhooks.models import TestSend, Webhook
from webhooks.test_sends import InvalidOrderError, NotSentError, Order
from webhooks.transport import Answer, Request
from workspaces import tenants
from workspaces.models import User, Workspace

pytestmark = pytest.mark.django_db

MOBILE = "138 0000 0000"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture
def administrator(workspace: Workspace) -> User:
    return make_administrator(workspace)


@pytest.fixture
def webhook(workspace: Workspace, httpserver: HTTPServer) -> Webhook:
    return make_webhook(
        workspace,
        name="CRM coupons",
        url=httpserver.url_for("/marketing"),
        headers={"Authorization": "Bearer s3cret"},
        content_template="Discount activity at {parameter 1 character}",
        parameters=[
            {"name": "parameter 1 character", "type": ParameterType.CHARACTER},
            {"name": "content", "type": ParameterType.TEXT},
        ],
    )


NAME = {
    "name": "name",
    "source": "tag",
    "code": "nickname",
    "empty": "default",
    "default": "Member",
}


def order_for(webhook: Webhook, **fields: Any) -> Order:
    defaults: dict[str, Any] = {
        "id_type": webhook.id_types.get(),
        "typed_id": MOBILE,
        "values": {"parameter 1 character": "abc", "content": "Dear ${name} Hello"},
        "variables": {"content": [NAME]},
        "given": {"content": {"name": "Zhang San"}},
    }
    revision = webhook.revisions.get(number=webhook.revision)
    return Order(webhook=webhook, revision=revision, **{**defaults, **fields})


def send(order: Order, actor: User, token: str = "", **fields: Any) -> test_sends.Verdict:
    return test_sends.send(order, actor=actor, token=token or random_token(), now=NOW, **fields)


def answering(
    status: int | None = 200, body: bytes = b"", outcome: Outcome = Outcome.ANSWERED
) -> Any:
    """A carrier that reaches nobody and says what came back."""
    sent: list[Request] = []

    def deliver(request: Request) -> Answer:
        sent.append(request)
        return Answer(token=None, outcome=outcome, status=status, milliseconds=84, body=body)

    deliver.sent = sent  # type: ignore[attr-defined] # read by the tests
    return deliver


def test_the_request_is_signed_marked_and_filled(
    webhook: Webhook, administrator: User, httpserver: HTTPServer
) -> None:
    received: list[Received] = []

    def take(request: Received) -> Response:
        received.append(request)
        return Response('{"ok": true}', content_type="application/json")

    httpserver.expect_request("/marketing", method="POST").respond_with_handler(take)

    verdict = send(order_for(webhook), administrator)

    (request,) = received
    body = json.loads(request.data)
    assert body["test"] is True
    assert request.headers["x-qa-test"] == "true"
    (recipient,) = body["recipients"]
    assert (recipient["id"], recipient["reach_id"]) == ("13800000000", "13800000000")
    assert recipient["params"] == {
        "parameter 1 character": "abc",
        "content": "Dear Zhang San Hello",
    }
    signing.verify(
        keys.signing_secrets(webhook, now=NOW),
        {name.lower(): value for name, value in request.headers.items()},
        request.data,
        now=NOW.timestamp(),
    )
    assert verdict.content == "Discount activity at abc"
    assert verdict.accepted


def test_success_says_what_to_check_next(webhook: Webhook, administrator: User) -> None:
    verdict = send(order_for(webhook), administrator, deliver=answering(200))

    assert verdict.sentences == (
        "CRM coupons accepted the test (200, 84\u00a0ms).",
        "Check that it shows the request and that 138****0000 got the message.",
    )


def test_without_a_nickname_the_default_goes_out(webhook: Webhook, administrator: User) -> None:
    deliver = answering()

    send(order_for(webhook, given={}), administrator, deliver=deliver)

    (request,) = deliver.sent
    assert "Dear Member Hello" in request.body.decode()


def test_nothing_stored_shows_the_id_or_a_secret(webhook: Webhook, administrator: User) -> None:
    echo = b'{"got": "13800000000", "with": "Bearer s3cret", "token": "s3cret"}'
    deliver = answering(200, echo)

    verdict = send(order_for(webhook), administrator, deliver=deliver)

    stored = TestSend.objects.get(pk=verdict.test.pk)
    shown = stored.request_text + stored.answer_text
    assert "13800000000" not in shown
    assert "Authorization: Bearer s3cret" in deliver.sent[0].headers
    assert "Authorization: ••••" in stored.request_text
    assert "138****0000" in stored.request_text
    assert "s3cret" not in shown
    assert '"with": "••••", "token": "••••"' in stored.answer_text
    assert "webhook-signature: ••••" in stored.request_text


def test_a_short_id_is_masked_without_spoiling_the_rest(
    workspace: Workspace, administrator: User
) -> None:
    member = IdType.objects.create(workspace=workspace, code="MEMBER", name="Member", priority=9)
    webhook = make_webhook(workspace, id_types=[member])
    order = order_for(webhook, id_type=member, typed_id="1", values={}, variables={}, given={})

    verdict = send(order, administrator, deliver=answering())

    assert '"id": "****"' in verdict.test.request_text
    assert "HTTP/1.1" in verdict.test.request_text


@pytest.mark.parametrize(
    ("outcome", "status", "sentence"),
    [
        (Outcome.ANSWERED, 401, "it did not recognise the key (401)"),
        (Outcome.ANSWERED, 500, "failed while it handled the request (500)"),
        (Outcome.ANSWERED, 302, "another URL (302)"),
        (Outcome.DNS, None, "host name of the URL was not found"),
        (Outcome.READ_TIMEOUT, None, "no complete answer came within the time limit"),
        (Outcome.EGRESS, None, "an address that may not be called"),
    ],
)
def test_failure_says_what_happened_whose_side_and_what_to_do(
    webhook: Webhook,
    administrator: User,
    outcome: Outcome,
    status: int | None,
    sentence: str,
) -> None:
    verdict = send(order_for(webhook), administrator, deliver=answering(status, b"", outcome))

    assert not verdict.accepted
    assert len(verdict.sentences) == 3
    assert sentence in verdict.sentences[0]


def test_a_failure_named_in_the_results_is_no_success(
    webhook: Webhook, administrator: User
) -> None:
    def refuse(request: Request) -> Answer:
        delivery_id = json.loads(request.body)["recipients"][0]["delivery_id"]
        results = {"results": [{"delivery_id": delivery_id, "success": False, "code": "unknown"}]}
        return Answer(None, Outcome.ANSWERED, 200, 5, json.dumps(results).encode())

    verdict = send(order_for(webhook), administrator, deliver=refuse)

    assert not verdict.accepted
    assert "reports a failure for this ID" in verdict.sentences[0]


def test_a_second_click_sends_nothing_and_gives_the_first_answer(
    webhook: Webhook, administrator: User
) -> None:
    deliver = answering()
    token = random_token()
    first = send(order_for(webhook), administrator, token, deliver=deliver)

    second = send(order_for(webhook), administrator, token, deliver=deliver)

    assert len(deliver.sent) == 1
    assert (second.repeated, second.test) == (True, first.test)


def test_a_cancelled_test_is_not_sent(webhook: Webhook, administrator: User) -> None:
    deliver = answering()
    token = random_token()
    assert test_sends.cancel(actor=administrator, token=token)

    with pytest.raises(NotSentError, match="cancelled"):
        send(order_for(webhook), administrator, token, deliver=deliver)

    assert deliver.sent == []


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"typed_id": "abc"}, "typed_id"),
        ({"typed_id": ""}, "typed_id"),
        ({"values": {"content": "x"}}, "parameter:parameter 1 character"),
        ({"variables": {}}, "parameter:content"),
        ({"encryption": Encryption.AES}, "encryption"),
        (
            {"variables": {"content": [{**NAME, "empty": "skip"}]}, "given": {}},
            "variable:content:name",
        ),
    ],
)
def test_what_is_typed_wrong_is_named_and_nothing_is_sent(
    webhook: Webhook, administrator: User, fields: dict[str, Any], place: str
) -> None:
    deliver = answering()

    with pytest.raises(InvalidOrderError) as caught:
        send(order_for(webhook, **fields), administrator, deliver=deliver)

    assert list(caught.value.errors) == [place]
    assert deliver.sent == []


def test_an_id_type_that_the_revision_does_not_take_is_refused(
    webhook: Webhook, administrator: User
) -> None:
    email = IdType.objects.get(workspace=webhook.workspace, code="EMAIL")
    order = order_for(webhook, id_type=email, typed_id="a@example.com")

    with pytest.raises(InvalidOrderError) as caught:
        send(order, administrator, deliver=answering())

    assert "id_type" in caught.value.errors


def test_an_encrypted_id_goes_out_and_is_masked(webhook: Webhook, administrator: User) -> None:
    keys.make(webhook=webhook, kind=SecretKind.AES, actor=administrator, now=NOW)
    deliver = answering()

    verdict = send(order_for(webhook, encryption=Encryption.AES), administrator, deliver=deliver)

    (recipient,) = json.loads(deliver.sent[0].body)["recipients"]
    assert recipient["id"] != "13800000000"
    assert recipient["id"] not in verdict.test.request_text


def test_both_gates_are_asked_when_a_test_is_sent(webhook: Webhook) -> None:
    marketer = make_member(webhook.workspace)

    with pytest.raises(PermissionDenied, match="usage permission"):
        send(order_for(webhook), marketer, deliver=answering())


def test_nothing_is_tested_while_sending_is_stopped(webhook: Webhook, administrator: User) -> None:
    tenants.stop_sending(
        workspace=webhook.workspace, reason="CRM moves", actor=administrator, now=NOW
    )
    webhook.refresh_from_db()

    with pytest.raises(NotSentError, match="CRM moves"):
        send(order_for(webhook), administrator, deliver=answering())


def test_many_tests_in_a_short_time_are_refused(webhook: Webhook, administrator: User) -> None:
    for _number in range(test_sends.TESTS_PER_USER):
        send(order_for(webhook), administrator, deliver=answering())

    with pytest.raises(NotSentError, match="Wait a minute"):
        send(order_for(webhook), administrator, deliver=answering())


def test_an_accepted_test_in_management_counts_until_the_next_revision(
    webhook: Webhook, administrator: User
) -> None:
    verdict = send(order_for(webhook), administrator, deliver=answering())

    assert test_sends.accepted_in_management(webhook) == verdict.test
    webhook.revision = 2
    assert test_sends.accepted_in_management(webhook) is None


def test_the_door_out_is_the_engines(webhook: Webhook, administrator: User, settings: Any) -> None:
    settings.EGRESS_ALLOW = []

    verdict = send(order_for(webhook), administrator, deliver=transport.send_one)

    assert verdict.test.outcome == Outcome.EGRESS
