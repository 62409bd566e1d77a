"""The demo's real part: the CDNOW customers and purchases, moved so that the last is today."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

DATA = Path(__file__).parent / "data"
LAST_DAY = date(1998, 6, 30)
# The live API refuses events older than 7 days; these go through it, the rest is history.
LIVE_DAYS = 6


@dataclass(frozen=True, slots=True)
class Purchase:
    event_id: str
    customer_id: str
    at: datetime
    cds: int
    dollars: Decimal


@dataclass(slots=True)
class Customer:
    """What the purchases of one customer say about him; the demo's tags."""

    customer_id: str
    orders: int = 0
    cds: int = 0
    spent: Decimal = Decimal(0)
    first: date = date.max
    last: date = date.min


def purchases(now: datetime) -> Iterator[Purchase]:
    """Yield all 69,659 purchases, oldest day last moved to ``now``'s day.

    The data has days only: the time of day is spread over the 20 hours before
    midnight UTC, and never lies in the future.
    """
    shift = now.astimezone(UTC).date() - LAST_DAY
    with gzip.open(DATA / "cdnow_purchases.csv.gz", "rt", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            day = date.fromisoformat(row["date"]) + shift
            at = datetime.combine(day, time(4), tzinfo=UTC) + timedelta(
                seconds=number * 7919 % 72000
            )
            yield Purchase(
                event_id=f"cdnow-{number}",
                customer_id=row["customer_id"],
                at=min(at, now - timedelta(seconds=number % 600)),
                cds=int(row["cds"]),
                dollars=Decimal(row["dollars"]),
            )


def is_live(purchase: Purchase, now: datetime) -> bool:
    """Tell whether the demo reports this purchase through the HTTP API instead of importing it."""
    return (now.astimezone(UTC).date() - purchase.at.astimezone(UTC).date()).days < LIVE_DAYS


def customers(now: datetime) -> list[Customer]:
    """Return the 23,570 customers in the order of their ids."""
    found: dict[str, Customer] = {}
    for purchase in purchases(now):
        customer = found.setdefault(purchase.customer_id, Customer(purchase.customer_id))
        day = purchase.at.date()
        customer.orders += 1
        customer.cds += purchase.cds
        customer.spent += purchase.dollars
        customer.first = min(customer.first, day)
        customer.last = max(customer.last, day)
    return [found[key] for key in sorted(found)]


def members() -> Iterator[tuple[str, str]]:
    """Yield (customer id, member number) of the one in ten who has a membership."""
    with gzip.open(DATA / "cdnow_members.csv.gz", "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            yield row["customer_id"], row["member_no"]
