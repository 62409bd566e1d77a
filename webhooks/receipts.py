"""Receipts: what the other side reports later about the final outcome of deliveries.

A receipt may overtake our own record of its delivery by some moments, so a receipt of a
well-formed id is kept at once; who reads receipts joins them to the webhook's deliveries, and
what no delivery answers to is seen by nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Final, NamedTuple

from django.db import connection
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from webhooks import ids, keys
from webhooks.choices import SecretKind
from webhooks.models import Webhook
from webhooks.signing import VerificationError, verify
from workspaces.typed import is_storable, printable

MAX_ITEMS: Final = 1_000
MESSAGE_CHARACTERS: Final = 500
# The clocks of two systems may differ by so much.
FUTURE: Final = timedelta(minutes=5)
# Before there was anything to report; the first years of the calendar cannot be read back.
OLDEST_YEAR: Final = 2000

# Unknown ones are kept, foreign and late ones are not; the answer is the same for all.
_STORE: Final = """
INSERT INTO webhooks_receipt
    (webhook_id, delivery_id, code, message, occurred_at, received_at)
SELECT %(webhook)s, item.delivery_id, item.code, item.message, item.occurred_at, %(now)s
FROM unnest(%(ids)s, %(days)s::date[], %(codes)s, %(messages)s, %(times)s::timestamptz[])
    AS item (delivery_id, day, code, message, occurred_at)
LEFT JOIN webhooks_delivery AS delivery
    ON delivery.day = item.day AND delivery.id = item.delivery_id
WHERE delivery.id IS NULL OR (
    delivery.webhook_id = %(webhook)s AND delivery.updated_at > %(since)s
)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The answer to one receipt. ``received`` says that it was understood, and nothing else."""

    index: int
    delivery_id: str
    status: str  # received or rejected.
    code: str = ""
    message: str = ""


class _Item(NamedTuple):
    delivery_id: str
    code: str
    message: str
    occurred_at: datetime


class _InvalidItemError(ValueError):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def authenticate(webhook: Webhook, *, headers: dict[str, str], body: bytes, now: datetime) -> bool:
    """Tell whether a call comes from who holds the webhook's receipt key.

    It is signed with the key (Standard Webhooks), or sends it as a bearer token.

    Args:
        headers: by lower-case name.
    """
    secrets = [keys.reveal(each) for each in keys.valid(webhook, SecretKind.RECEIPT, now=now)]
    scheme, _space, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return any(_same(given.strip(), secret) for secret in secrets)
    try:
        verify(secrets, headers, body, now=now.timestamp())
    except VerificationError:
        return False
    return True


def receive(*, webhook: Webhook, items: Sequence[Any], now: datetime) -> list[ItemResult]:
    """Keep the receipts of one call, in one statement; the same receipt twice is one."""
    results: list[ItemResult] = []
    good: list[_Item] = []
    for index, raw in enumerate(items):
        given = printable(str(raw.get("delivery_id", ""))[:64]) if isinstance(raw, dict) else ""
        try:
            good.append(_checked(webhook, raw, now))
            results.append(ItemResult(index, given, "received"))
        except _InvalidItemError as error:
            results.append(ItemResult(index, given, "rejected", error.code, str(error)))
    if good:
        with connection.cursor() as cursor:
            cursor.execute(
                _STORE,
                {
                    "webhook": webhook.pk,
                    "now": now,
                    "since": now - timedelta(days=webhook.receipt_days),
                    "ids": [item.delivery_id for item in good],
                    "days": [ids.day_of(item.delivery_id) for item in good],
                    "codes": [item.code for item in good],
                    "messages": [item.message for item in good],
                    "times": [item.occurred_at for item in good],
                },
            )
    return results


def _checked(webhook: Webhook, raw: Any, now: datetime) -> _Item:
    if not isinstance(raw, dict):
        raise _InvalidItemError("invalid_item", _("A receipt is an object."))
    delivery_id, code = raw.get("delivery_id"), raw.get("code")
    if not isinstance(delivery_id, str) or not ids.is_delivery_id(delivery_id):
        raise _InvalidItemError("invalid_delivery_id", _("This is no delivery ID."))
    if str(code) not in webhook.receipt_codes:
        raise _InvalidItemError(
            "unknown_code", _("This is none of the status codes of the webhook.")
        )
    message = raw.get("message") or ""
    if not isinstance(message, str) or not is_storable(message):
        raise _InvalidItemError("invalid_message", _("The message is a text."))
    return _Item(delivery_id, str(code), message[:MESSAGE_CHARACTERS], _moment(raw, now))


def _moment(raw: dict[str, Any], now: datetime) -> datetime:
    given = raw.get("occurred_at")
    if given is None:
        return now
    try:
        moment = parse_datetime(given) if isinstance(given, str) else None
    except ValueError:
        moment = None
    if moment is None or timezone.is_naive(moment) or moment.year < OLDEST_YEAR:
        raise _InvalidItemError(
            "invalid_occurred_at", _("Send a time with its zone, like 2026-12-31T09:00:00Z.")
        )
    if moment > now + FUTURE:
        raise _InvalidItemError("future", _("The time lies in the future."))
    return moment


def _same(given: str, secret: str) -> bool:
    return compare_digest(given.encode(), secret.encode())
