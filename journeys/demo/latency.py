"""How long one event takes from being accepted by the API to the request at the receiver."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import requests

from journeys.demo import cdnow, invented
from journeys.demo.tenant import CUSTOMER_ID, Tenant

GAP_SECONDS: Final = 0.1
WAIT_SECONDS: Final = 60.0
# Every timed purchase is of a sum that no other has, by which its request is known again.
_FIRST_DOLLARS: Final = 10_000
_SUM: Final = re.compile(r"for (\d+) dollars")


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds, over so many events."""

    events: int
    p50: float
    p95: float


def measure(made: Tenant, key: str, *, site: str, receiver: str, count: int) -> Latency:
    """Report purchases one by one, and look at the receiver when each of them came in.

    Both clocks are this machine's. An event is accepted when the API has answered.
    """
    buyers = [
        customer.customer_id
        for customer in cdnow.customers(datetime.now(UTC))
        if invented.mobile(customer.customer_id)
    ][:count]
    accepted: dict[int, float] = {}
    for number, buyer in enumerate(buyers):
        dollars = _FIRST_DOLLARS + number
        event = {
            "event_id": f"timed-{number}",
            "event_type": "purchase",
            "ids": {CUSTOMER_ID: buyer},
            "attributes": {"dollars": dollars, "cds": 1},
        }
        answer = requests.post(
            f"{site}/api/v1/events/",
            json={"events": [event]},
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
        answer.raise_for_status()
        accepted[dollars] = time.time()
        time.sleep(GAP_SECONDS)
    received = _received(receiver, set(accepted))
    seconds = sorted(received[dollars] - at for dollars, at in accepted.items())
    return Latency(
        events=len(seconds),
        p50=round(seconds[len(seconds) // 2], 3),
        p95=round(seconds[min(len(seconds) - 1, len(seconds) * 95 // 100)], 3),
    )


def _received(receiver: str, wanted: set[int]) -> dict[int, float]:
    """Return when the request about each sum came in.

    Raises:
        TimeoutError: some did not come within a minute.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found: dict[int, float] = {}
        limit = {"limit": str(len(wanted) * 2)}
        entries: list[dict[str, Any]] = requests.get(
            f"{receiver}/requests", limit, timeout=5
        ).json()
        for entry in entries:
            if match := _SUM.search(entry["body"]):
                found[int(match.group(1))] = datetime.fromisoformat(entry["at"]).timestamp()
        if wanted <= set(found):
            return found
        time.sleep(0.5)
    raise TimeoutError(f"Of {len(wanted)} timed events some did not reach the receiver.")
