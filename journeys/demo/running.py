"""The main job once, from files to receipts, in a database and with processes of its own."""

import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import requests
from django.utils import timezone

from identity.models import Event, IncomingEvent
from journeys.demo import drawing, latency, people, targets, tenant
from journeys.demo.latency import Latency
from journeys.demo.people import Say
from journeys.models import Run
from journeys.runs import progress_of
from qa_webhook import local, scratch
from webhooks.models import Receipt
from workspaces import api_keys
from workspaces.choices import Scope

READY_SECONDS: Final = 60.0
WAIT_SECONDS: Final = 600.0
EVENTS_A_CALL: Final = 200
_POLL_SECONDS: Final = 0.2

# Told how many people have ended and how many there are.
Watch = Callable[[int, int], None]


class DemoError(Exception):
    """The demo did not come to its end; the sentence says where it stood."""


@dataclass(slots=True)
class Figures:
    """What went out, by the receiver's ledger; what it cannot know, by ours.

    Ours are the events, the totals and the skips.
    """

    events: int = 0
    people: int = 0
    delivered: int = 0
    skipped: int = 0
    skipped_by_reason: dict[str, int] = field(default_factory=dict)
    dead: int = 0
    requests: int = 0
    signatures_verified: int = 0
    duplicates: int = 0
    receipts: int = 0
    seconds: float = 0.0
    people_per_second: float = 0.0
    latency: Latency | None = None

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        if self.latency is None:
            del found["latency"]
        return found


def run(*, senders: int, say: Say, watch: Watch, latencies: int = 0) -> Figures:
    """Load, publish, report events, wait for every receipt, and compare both ledgers.

    Args:
        latencies: so many purchases more are reported one by one at the end, to time them.

    Raises:
        DemoError: a process ended, the time is over, or the two ledgers disagree, receipts and all.
    """
    with scratch.database("demo") as environment, tempfile.TemporaryDirectory() as folder:
        now = timezone.now()
        configuration = Path(folder) / "receiver.json"
        site_port, receiver_port = _free_ports(2)
        site, receiver = f"http://127.0.0.1:{site_port}", f"http://127.0.0.1:{receiver_port}"
        environment |= {
            "SITE_URL": site,
            "ALLOWED_HOSTS": "127.0.0.1",
            "EGRESS_ALLOW": f"127.0.0.1/32:{receiver_port}",
            "LOG_LEVEL": "WARNING",
        }
        made = tenant.make(password=None)
        people.load(made, now=now, say=say)
        webhooks = targets.register(made, receiver_url=receiver, now=now)
        targets.write_configuration(webhooks, site_url=site, now=now, path=configuration)
        commands = _commands(site_port, receiver_port, configuration, senders)
        with _processes(commands, environment) as check:
            _wait_until_ready(f"{site}/health/ready", check)
            _wait_until_ready(f"{receiver}/stats", check)
            say("Publishing both journeys, reporting the purchases of the last days.")
            started = time.monotonic()
            runs = [
                drawing.coupons(made, webhooks, now=timezone.now()),
                drawing.calls(made, webhooks, now=timezone.now()),
            ]
            key = api_keys.create(
                workspace=made.workspace, name="Shop", scopes=[Scope.EVENTS_WRITE], actor=None
            ).secret
            _report_events(key, site, now)
            _wait_until_sent(runs, check, watch)
            seconds = time.monotonic() - started
            stats = _wait_for_receipts(receiver, check)
            figures = _figures(runs, stats, seconds)
            if latencies:
                say(f"Reporting {latencies} purchases one by one.")
                figures.latency = latency.measure(
                    made, key, site=site, receiver=receiver, count=latencies
                )
            return figures


def _commands(
    site_port: int, receiver_port: int, configuration: Path, senders: int
) -> list[list[str]]:
    manage = [sys.executable, str(local.BASE_DIR / "manage.py")]
    web = ["-m", "gunicorn", "qa_webhook.wsgi", "--worker-class", "gthread", "--workers", "1"]
    web += ["--threads", "4", "--bind", f"127.0.0.1:{site_port}", "--log-level", "warning"]
    receiver = ["receiver", "--port", str(receiver_port), "--config", str(configuration)]
    return [
        [sys.executable, *web],
        [*manage, *receiver],
        [*manage, "planner"],
        [*manage, "sender", "--processes", str(senders)],
    ]


@contextmanager
def _processes(
    commands: Sequence[Sequence[str]], environment: dict[str, str]
) -> Iterator[Callable[[], None]]:
    """Run processes and end them; yield a check that none of them has ended by itself."""
    with tempfile.TemporaryFile("w+") as log:
        children = [
            (
                " ".join(command),
                subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT),
            )
            for command in commands
        ]

        def check() -> None:
            for command, child in children:
                if child.poll() is not None:
                    log.seek(0)
                    tail = "".join(log.readlines()[-20:])
                    raise DemoError(f"{command} ended:\n{tail}")

        try:
            yield check
        finally:
            for _command, child in children:
                child.terminate()
            for _command, child in children:
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def _wait_until_ready(url: str, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        check()
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(_POLL_SECONDS)
    raise DemoError(f"{url} did not answer within {READY_SECONDS:.0f} s.")


def _report_events(key: str, site: str, now: datetime) -> None:
    """Report the last days' purchases as the shop would: over HTTP, with an API key."""
    items = people.live_events(now)
    for start in range(0, len(items), EVENTS_A_CALL):
        answer = requests.post(
            f"{site}/api/v1/events/",
            json={"events": items[start : start + EVENTS_A_CALL]},
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
        if not answer.ok:
            raise DemoError(f"The events were answered {answer.status_code}: {answer.text[:500]}")


def _wait_until_sent(runs: list[Run], check: Callable[[], None], watch: Watch) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        check()
        progress = [_progress(each) for each in runs]
        watch(sum(each.ended for each in progress), sum(each.planned for each in progress))
        audience = progress[0]
        if (
            audience.people
            and audience.planned == audience.people
            and not any(each.waiting for each in progress)
            and not IncomingEvent.objects.filter(taken_at=None).exists()
        ):
            return
        time.sleep(_POLL_SECONDS)
    raise DemoError(f"Not everybody was sent to within {WAIT_SECONDS:.0f} s.")


def _progress(run: Run) -> Any:
    run.refresh_from_db()
    return progress_of(run, now=timezone.now())


def _wait_for_receipts(receiver: str, check: Callable[[], None]) -> dict[str, Any]:
    """Return the receiver's ledgers when it has nothing left to report."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        check()
        stats: dict[str, Any] = requests.get(f"{receiver}/stats", timeout=5).json()
        if not stats["receipts"]["pending"]:
            return stats
        time.sleep(_POLL_SECONDS)
    raise DemoError(f"The receipts did not come back within {READY_SECONDS:.0f} s.")


def _figures(runs: list[Run], stats: dict[str, Any], seconds: float) -> Figures:
    progress = [_progress(each) for each in runs]
    ledgers = stats["ledgers"].values()
    by_reason: dict[str, int] = {}
    for each in progress:
        for reason, number in each.skipped_by_reason.items():
            by_reason[reason] = by_reason.get(reason, 0) + number
    planned = sum(each.planned for each in progress)
    figures = Figures(
        events=Event.objects.count(),
        people=planned,
        delivered=sum(ledger["delivered"] for ledger in ledgers),
        skipped=sum(each.skipped for each in progress),
        skipped_by_reason=by_reason,
        dead=sum(each.failed for each in progress),
        requests=sum(ledger["requests"] for ledger in ledgers),
        signatures_verified=sum(ledger["signatures_verified"] for ledger in ledgers),
        duplicates=sum(ledger["duplicates"] for ledger in ledgers),
        receipts=stats["receipts"]["sent"],
        seconds=round(seconds, 2),
        people_per_second=round(planned / seconds, 1),
    )
    accepted, receipts = sum(each.accepted for each in progress), Receipt.objects.count()
    agree = accepted == receipts == figures.delivered == figures.receipts
    if not agree or stats["receipts"]["failed"]:
        raise DemoError(
            f"The ledgers disagree: the receiver accepted {figures.delivered} people and sent "
            f"{figures.receipts} receipts, the console counts {accepted} and {receipts}.\n"
            f"{json.dumps(stats, indent=2)}"
        )
    return figures


def _free_ports(count: int) -> list[int]:
    """Return ports free now, below those that the system gives to outgoing connections.

    In any order, since another demo may be looking at this moment.
    """
    found: list[int] = []
    for port in random.sample(range(18_400, 19_400), 1_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise DemoError("There is no free port from 18400 to 19399.")
