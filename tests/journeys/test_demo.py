"""The demo's data is what it says, and its main job ends with both ledgers agreeing."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from journeys.demo import cdnow, invented, running
from journeys.demo.running import DemoError
from qa_webhook import local
from tests.webhooks.factories import make_webhook, make_workspace

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
PEOPLE, PURCHASES = 23_570, 69_659


def test_the_data_is_the_whole_cdnow_file_moved_to_today() -> None:
    purchases = list(cdnow.purchases(NOW))

    assert len(purchases) == PURCHASES
    assert len({purchase.event_id for purchase in purchases}) == PURCHASES
    assert len({purchase.customer_id for purchase in purchases}) == PEOPLE
    assert max(purchase.at for purchase in purchases).date() == NOW.date()
    assert all(purchase.at <= NOW for purchase in purchases)
    assert sum(purchase.dollars for purchase in purchases) == Decimal("2500315.63")


def test_what_is_reported_live_is_young_enough_for_the_api() -> None:
    live = [each for each in cdnow.purchases(NOW) if cdnow.is_live(each, NOW)]

    assert len(live) == 334
    assert all(NOW - purchase.at < timedelta(days=7) for purchase in live)


def test_the_customers_tags_follow_from_their_purchases() -> None:
    first = cdnow.customers(NOW)[1]

    assert (first.customer_id, first.orders, first.cds, first.spent) == (
        "00002",
        2,
        6,
        Decimal("89.00"),
    )


def test_one_in_ten_is_a_member_of_the_club() -> None:
    members = list(cdnow.members())

    assert len(members) == 2_357
    assert len({number for _customer, number in members}) == 2_357


@pytest.mark.parametrize(
    ("make", "percent"),
    [
        (invented.nickname, invented.NICKNAME_FILL),
        (invented.mobile, invented.MOBILE_FILL),
        (invented.email, invented.EMAIL_FILL),
    ],
)
def test_what_is_invented_is_filled_as_announced_and_the_same_again(
    make: Any, percent: int
) -> None:
    ids = [customer.customer_id for customer in cdnow.customers(NOW)]

    values = [make(each) for each in ids]

    assert sum(value is not None for value in values) / len(ids) == pytest.approx(
        percent / 100, abs=0.01
    )
    assert values == [make(each) for each in ids]


LEDGER = {"delivered": 0, "requests": 0, "signatures_verified": 0, "duplicates": 0}
RECEIPTS = {"sent": 0, "failed": 0, "pending": 0}


@pytest.mark.django_db
@pytest.mark.parametrize("off", ["", "delivered", "sent", "failed", "kept"])
def test_a_count_that_is_one_off_ends_the_main_job_with_an_error(off: str) -> None:
    ledger = {name: count + (name == off) for name, count in LEDGER.items()}
    receipts = {name: count + (name == off) for name, count in RECEIPTS.items()}
    stats = {"ledgers": {"/coupons": ledger}, "receipts": receipts}
    if off == "kept":
        webhook = make_webhook(make_workspace())
        webhook.receipts.create(
            delivery_id="dlv_1", code="delivered", occurred_at=NOW, received_at=NOW
        )

    if not off:
        assert running._figures([], stats, 1.0).receipts == 0
        return
    with pytest.raises(DemoError, match="The ledgers disagree"):
        running._figures([], stats, 1.0)


def test_receipts_that_do_not_come_end_the_main_job_with_an_error(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/stats").respond_with_json({"receipts": {**RECEIPTS, "pending": 1}})
    monkeypatch.setattr(running, "READY_SECONDS", 0.1)

    with pytest.raises(DemoError, match="The receipts did not come back"):
        running._wait_for_receipts(httpserver.url_for("").rstrip("/"), lambda: None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_main_job_reaches_every_customer_once(process_environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, str(local.BASE_DIR / "manage.py"), "demo", "--json", "--latency", "10"],
        env=process_environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert set(figures) == {
        "events",
        "people",
        "delivered",
        "skipped",
        "skipped_by_reason",
        "dead",
        "requests",
        "signatures_verified",
        "duplicates",
        "receipts",
        "seconds",
        "people_per_second",
        "latency",
    }
    assert figures["events"] == PURCHASES
    # 64 of the last days' purchases are of 50 dollars or more.
    assert figures["people"] == PEOPLE + 64
    assert figures["delivered"] == figures["people"] - figures["skipped"]
    assert figures["skipped_by_reason"] == {"no_id": figures["skipped"]}
    assert figures["signatures_verified"] == figures["requests"] == figures["delivered"]
    assert figures["receipts"] == figures["delivered"]
    assert figures["dead"] == figures["duplicates"] == 0
    # Seconds from an event that was accepted to the request.
    assert figures["latency"]["events"] == 10
    assert 0 < figures["latency"]["p50"] <= figures["latency"]["p95"] < 2
