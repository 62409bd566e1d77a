"""Figures for Prometheus: set-based, read when they are scraped and kept for some seconds.

What happens within a minute is a gauge of the last minute, the same for whichever web process is
asked; nothing is counted in the hot path. Only hints are counted, by the process that is asked.
"""

import threading
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily

from qa_webhook import condition, hints
from webhooks import monitoring
from webhooks.choices import BreakerState, WebhookState

KEPT_SECONDS: Final = 5.0
_LABELS: Final = ["webhook", "workspace"]


class _Collector:
    def collect(self) -> Iterator[Metric]:
        found = condition.read()
        yield from _installation(found)
        yield from _webhooks(found)


def _installation(found: condition.Installation) -> Iterator[Metric]:
    alive = GaugeMetricFamily("qa_processes", "Processes heard of lately.", labels=["role"])
    for role in condition.ROLES:
        alive.add_metric([role], len(found.alive(role)))
    yield alive
    for name, text, value in (
        (
            "qa_scheduler_tick_age_seconds",
            "Since the scheduler's last tick; -1 when there was none.",
            -1.0 if found.tick_age is None else found.tick_age,
        ),
        (
            "qa_oldest_transaction_seconds",
            "How long the oldest transaction is open.",
            found.oldest_transaction_seconds,
        ),
        (
            "qa_lease_losses",
            "Claims that live senders lost since they started.",
            found.lease_losses,
        ),
        ("qa_stopped_workspaces", "Workspaces whose sending is stopped.", len(found.stopped)),
    ):
        yield GaugeMetricFamily(name, text, value=value)


def _webhooks(found: condition.Installation) -> Iterator[Metric]:
    def family(name: str, text: str, *more: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"qa_webhook_{name}", text, labels=[*_LABELS, *more])

    waiting = family("people_waiting", "People waiting.")
    retrying = family("people_retrying", "Of them, those who wait for another try.")
    held = family("people_held", "Of them, those whom an operator holds back.")
    oldest = family("oldest_due_seconds", "How long the oldest should have gone out.")
    state = family("state", "1 for the state that the webhook is in.", "state")
    breaker = family("breaker", "1 for the state that the breaker is in.", "state")
    requests = family(
        "requests_last_minute",
        "Requests of the last minute by how they ended; where many, by the latest.",
        "class",
    )
    dead = family("dead_last_minute", "People who failed in the last minute.", "reason")
    late = family("due_to_sent_seconds", "From due to sent, of the last minute.", "quantile")
    labels = {}
    for each in found.webhooks:
        labels[each.id] = label = [str(each.id), each.workspace]
        waiting.add_metric(label, each.waiting)
        retrying.add_metric(label, each.retrying)
        held.add_metric(label, each.held)
        oldest.add_metric(label, each.oldest_due_seconds)
        for name in WebhookState.values:
            state.add_metric([*label, name], each.state == name)
        for name in BreakerState.values:
            breaker.add_metric([*label, name], each.breaker == name)
        for name, number in each.requests.items():
            requests.add_metric([*label, name], number)
    for webhook_id, reason, number in monitoring.dead_lately():
        dead.add_metric([*labels[webhook_id], reason], number)
    for webhook_id, half, most in monitoring.due_to_sent():
        late.add_metric([*labels[webhook_id], "0.5"], half)
        late.add_metric([*labels[webhook_id], "0.95"], most)
    yield from (waiting, retrying, held, oldest, state, breaker, requests, dead, late)


class _Kept:
    """The last text of this process, and when it has to be read again."""

    lock = threading.Lock()
    text = b""
    until = 0.0


def text() -> bytes:
    """Return the figures as Prometheus reads them, at most some seconds old."""
    with _Kept.lock:
        if time.monotonic() >= _Kept.until:
            registry = CollectorRegistry()
            for each in (_Collector(), hints.sent, hints.lost):
                registry.register(each)
            _Kept.text = generate_latest(registry)
            _Kept.until = time.monotonic() + KEPT_SECONDS
        return _Kept.text
