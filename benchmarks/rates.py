"""Rates that are compared with each other in one run: many people, batches, a slow receiver."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from benchmarks import scenario
from benchmarks.pipeline import SENDERS, WARM_UP_PEOPLE, send
from benchmarks.processes import Manage, Receiver, backends, children, pss_mb
from benchmarks.scenario import Scenario
from qa_webhook import scratch
from webhooks.models import Webhook

FEW: Final = 10_000
# A few people are sent to in a second or two, so their rate is the median of some runs.
TIMES: Final = 5
BATCH: Final = 50
DELAY_MS: Final = 50
CONCURRENCY: Final = 256
SCALE_GOAL, BATCH_GOAL, LATENCY_GOAL = 0.9, 3.0, 0.8
GROWTH_GOAL, MEMORY_GOAL_MB = 0.1, 120.0
_LOOK_SECONDS: Final = 0.5


def scale(*, people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare the rate at so many people with that at 10,000; see whether memory grows."""
    with (
        _prepared(people, say) as (setting, environment),
        _receiving(setting, environment),
        _sending(setting, environment) as senders,
    ):
        few = median(_rate(setting, FEW) for _time in range(TIMES))
        say(f"10,000 people: {few:,.0f} a second. Now {people:,} …")
        servers = backends(connection.settings_dict["NAME"])
        with _Memory(children(senders.pid)) as memory, _Memory(servers, kind="Pss_Anon") as server:
            many = _rate(setting, people)
    ratio = round(many / few, 2)
    growth = max(memory.growth, server.growth)
    return {
        "people": people,
        "people_per_second": round(many, 1),
        "people_per_second_at_10000": round(few, 1),
        "ratio_scale": ratio,
        "memory_mb": memory.highest,
        "postgresql_memory_mb": server.highest,
        "memory_growth": growth,
        "meets_goal": ratio >= SCALE_GOAL
        and growth <= GROWTH_GOAL
        and max(memory.highest) <= MEMORY_GOAL_MB,
    }


def batch(*, people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare one person a message with fifty."""
    with _prepared(people, say) as (setting, environment), _receiving(setting, environment):
        rates = {}
        for size in (1, BATCH):
            _change(setting, batch_size=size)
            with _sending(setting, environment):
                rates[size] = _rate(setting, people)
            say(f"{size} a message: {rates[size]:,.0f} people a second.")
    ratio = round(rates[BATCH] / rates[1], 2)
    return {
        "people": people,
        "batch_size": BATCH,
        "people_per_second": round(rates[BATCH], 1),
        "people_per_second_at_1": round(rates[1], 1),
        "ratio_batch": ratio,
        "meets_goal": ratio >= BATCH_GOAL,
    }


def latency(*, people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Send to a receiver that takes 50 ms; at best concurrency ÷ latency go out a second."""
    arguments = ("--delay-ms", str(DELAY_MS))
    with (
        _prepared(people, say) as (setting, environment),
        _receiving(setting, environment, *arguments),
    ):
        _change(setting, concurrency=CONCURRENCY)
        with _sending(setting, environment):
            rate = _rate(setting, people)
    allowed = CONCURRENCY / (DELAY_MS / 1000)
    return {
        "people": people,
        "delay_ms": DELAY_MS,
        "concurrency": CONCURRENCY,
        "people_per_second": round(rate, 1),
        "people_per_second_allowed": allowed,
        "ratio_allowed": round(rate / allowed, 2),
        "meets_goal": rate >= LATENCY_GOAL * allowed,
    }


@contextmanager
def _prepared(people: int, say: Callable[[str], None]) -> Iterator[tuple[Scenario, dict[str, str]]]:
    with scratch.database("bench") as environment:
        environment |= {"EGRESS_ALLOW": "127.0.0.1/32", "LOG_LEVEL": "WARNING"}
        say(f"Making {people:,} people in a database of their own …")
        yield scenario.prepare(people=people, now=timezone.now()), environment


@contextmanager
def _receiving(
    setting: Scenario, environment: dict[str, str], *arguments: str
) -> Iterator[Receiver]:
    with Receiver(setting.secret, *arguments, environment=environment) as receiver:
        _change(setting, url=receiver.url)
        yield receiver
        stats = receiver.stats()
        if stats["duplicates"] or stats["signatures_verified"] < stats["requests"]:
            raise RuntimeError(f"The receiver saw what it should not: {stats}")


@contextmanager
def _sending(setting: Scenario, environment: dict[str, str]) -> Iterator[Manage]:
    """Run two senders whose connections are open already."""
    with Manage("sender", "--processes", str(SENDERS), environment=environment) as senders:
        send(setting, WARM_UP_PEOPLE)
        yield senders


def _rate(setting: Scenario, people: int) -> float:
    seconds = float(send(setting, people)[0])
    return people / seconds


def _change(setting: Scenario, **fields: Any) -> None:
    Webhook.objects.filter(pk=setting.webhook.pk).update(**fields)
    setting.webhook.refresh_from_db()


class _Memory:
    """Looks at the memory of processes while something runs."""

    def __init__(self, pids: list[int], *, kind: str = "Pss") -> None:
        self._pids, self._kind = pids, kind
        self._seen: list[list[float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self._seen.append([pss_mb(pid, kind=self._kind) for pid in self._pids])

    @property
    def highest(self) -> list[float]:
        return [round(max(each), 1) for each in zip(*self._seen, strict=True)]

    @property
    def growth(self) -> float:
        """Return by how much the last tenth is above the second: the first still fills caches."""
        tenth = max(1, len(self._seen) // 10)
        early = self._seen[tenth : 2 * tenth] or self._seen
        late = self._seen[-tenth:]
        shares = [
            median(last) / median(first) - 1
            for first, last in zip(zip(*early, strict=True), zip(*late, strict=True), strict=True)
        ]
        return float(round(max(shares, default=0.0), 3))


def percentile(values: list[float], share: float) -> float:
    """Return the value that so many of the others do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def pace(times: int, every: float) -> Iterator[int]:
    """Yield numbers at even distances in time, whatever is done between two of them."""
    began = time.monotonic()
    for number in range(times):
        time.sleep(max(0.0, began + number * every - time.monotonic()))
        yield number
