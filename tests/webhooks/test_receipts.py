"""Receipts over HTTP: who may send them, what is kept, and that nothing is given away."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.webhooks.factories import make_webhook, make_workspace
from webhooks import keys, partitions
from webhooks.choices import SecretKind
from webhooks.ids import DeliveryIds
from webhooks.models import Delivery, Receipt, Webhook
from webhooks.signing import Signer

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def webhook() -> Webhook:
    partitions.ensure_ahead(now=NOW)
    return make_webhook(
        make_workspace(), receipts_enabled=True, receipt_days=7, receipt_codes={"200": "Read"}
    )


@pytest.fixture
def key(webhook: Webhook) -> str:
    return keys.make(webhook=webhook, kind=SecretKind.RECEIPT, actor=None, now=NOW)[1]


def delivery_id(number: int = 1, *, day_ago: int = 0) -> str:
    day = (NOW - timedelta(days=day_ago)).date()
    return DeliveryIds(b"secret", run=1, step_key="step", day=day).one(number)


def delivered(webhook: Webhook, number: int = 1, *, day_ago: int = 0) -> str:
    moment = NOW - timedelta(days=day_ago)
    return Delivery.objects.create(
        id=delivery_id(number, day_ago=day_ago),
        day=moment.date(),
        workspace=webhook.workspace,
        webhook=webhook,
        plan_id=1,
        chunk_id=1,
        position=0,
        qaid=number,
        state="delivered",
        updated_at=moment,
    ).pk


def send(
    webhook: Webhook, items: Any, *, key: str = "", headers: dict[str, str] | None = None
) -> Any:
    body = json.dumps({"receipts": items}).encode()
    if headers is None:
        stamp = int(time.time())
        headers = {
            "webhook-id": "rcp_1",
            "webhook-timestamp": str(stamp),
            "webhook-signature": Signer([key]).sign("rcp_1", stamp, body),
        }
    return Client().post(
        reverse("api_receipts", args=[webhook.public_id]),
        body,
        "application/json",
        headers=headers,
    )


def item(delivery: str, **fields: Any) -> dict[str, Any]:
    return {"delivery_id": delivery, "code": "200", "occurred_at": NOW.isoformat(), **fields}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"delivery_id": "\ud800"}, "invalid_delivery_id"),
        ({"message": "\udfff"}, "invalid_message"),
        ({"message": "a\x00b"}, "invalid_message"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "invalid_occurred_at"),
        ({"code": "9" * 5_000}, "unknown_code"),
    ],
)
def test_a_hostile_item_is_rejected_and_its_neighbour_kept(
    webhook: Webhook, key: str, fields: dict[str, Any], code: str
) -> None:
    items = [item(delivered(webhook), **fields), item(delivered(webhook, 2))]

    answer = send(webhook, items, key=key)

    assert answer.status_code == 200
    assert [each["code"] for each in answer.json()["results"]] == [code, ""]
    assert Receipt.objects.count() == 1


def test_a_body_too_deep_to_read_is_refused(webhook: Webhook, key: str) -> None:
    answer = Client().post(
        reverse("api_receipts", args=[webhook.public_id]),
        "[" * 100_000,
        "application/json",
        headers={"authorization": f"Bearer {key}"},
    )

    assert answer.status_code == 400


def test_a_signed_receipt_is_kept_once_however_often_it_comes(webhook: Webhook, key: str) -> None:
    receipt = item(delivered(webhook), message="Opened.")

    answers = [send(webhook, [receipt], key=key) for _time in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["results"][0]["status"] for answer in answers] == ["received"] * 2
    kept = Receipt.objects.get()
    assert (kept.webhook, kept.code, kept.message) == (webhook, "200", "Opened.")


def test_the_key_alone_as_a_bearer_token_is_enough(webhook: Webhook, key: str) -> None:
    answer = send(webhook, [item(delivered(webhook))], headers={"Authorization": f"Bearer {key}"})

    assert answer.status_code == 200
    assert Receipt.objects.count() == 1


def test_a_receipt_that_overtakes_our_own_record_is_kept(webhook: Webhook, key: str) -> None:
    answer = send(webhook, [item(delivery_id())], key=key)

    assert answer.json()["results"][0]["status"] == "received"
    assert Receipt.objects.count() == 1


@pytest.mark.parametrize("wrong", ["", "whsec_d3Jvbmc=", "another"])
def test_without_the_key_nothing_is_taken(webhook: Webhook, key: str, wrong: str) -> None:
    headers = {"Authorization": f"Bearer {wrong}"} if wrong else {}

    answer = send(webhook, [item(delivered(webhook))], headers=headers)

    assert answer.status_code == 401
    assert not Receipt.objects.exists()


def test_a_body_changed_on_the_way_is_not_taken(webhook: Webhook, key: str) -> None:
    stamp = int(time.time())
    headers = {
        "webhook-id": "rcp_1",
        "webhook-timestamp": str(stamp),
        "webhook-signature": Signer([key]).sign("rcp_1", stamp, b"{}"),
    }

    assert send(webhook, [item(delivered(webhook))], headers=headers).status_code == 401


def test_a_webhook_without_receipts_is_told_like_a_wrong_key(webhook: Webhook, key: str) -> None:
    Webhook.objects.update(receipts_enabled=False)

    assert send(webhook, [item(delivered(webhook))], key=key).status_code == 401


def test_foreign_and_late_ones_get_the_answer_of_all_and_are_not_kept(
    webhook: Webhook, key: str
) -> None:
    foreign = delivered(make_webhook(webhook.workspace, name="Another"), 2)
    late = delivered(webhook, 3, day_ago=8)

    answer = send(webhook, [item(foreign), item(late)], key=key)

    results = answer.json()["results"]
    assert [each["status"] for each in results] == ["received", "received"]
    assert not Receipt.objects.exists()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"code": "999"}, "unknown_code"),
        ({"delivery_id": "nonsense"}, "invalid_delivery_id"),
        ({"delivery_id": None}, "invalid_delivery_id"),
        ({"occurred_at": "yesterday"}, "invalid_occurred_at"),
        ({"occurred_at": "2026-11-24T10:00:00"}, "invalid_occurred_at"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "future"),
        ({"message": 5}, "invalid_message"),
    ],
)
def test_a_bad_item_is_rejected_with_a_sentence_and_the_others_are_kept(
    webhook: Webhook, key: str, fields: dict[str, Any], code: str
) -> None:
    good = delivered(webhook)

    answer = send(webhook, [{**item(good), **fields}, item(good), "no object"], key=key)

    bad, kept, no_object = answer.json()["results"]
    assert (bad["status"], bad["code"]) == ("rejected", code)
    assert bad["message"].endswith(".")
    assert kept["status"] == "received"
    assert no_object["code"] == "invalid_item"
    assert Receipt.objects.count() == 1


def test_more_than_a_thousand_are_refused_with_a_sentence(webhook: Webhook, key: str) -> None:
    answer = send(webhook, [{}] * 1001, key=key)

    assert answer.status_code == 400
    assert "1,000" in answer.json()["detail"]


def test_a_thousand_receipts_are_one_statement(
    webhook: Webhook, key: str, django_assert_max_num_queries: Any
) -> None:
    items = [item(delivery_id(number)) for number in range(1000)]

    with django_assert_max_num_queries(3):
        send(webhook, items, key=key)

    assert Receipt.objects.count() == 1000
