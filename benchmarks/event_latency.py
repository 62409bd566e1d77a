"""How long an event takes from the call that reports it to the request at the receiver."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import requests
from django.utils import timezone

from benchmarks import scenario
from benchmarks.pipeline import SENDERS, WARM_UP_PEOPLE, send
from benchmarks.processes import Manage, Receiver, wait_until
from benchmarks.rates import pace, percentile
from benchmarks.scenario import Scenario
from identity.choices import AttributeType
from journeys import drafts
from journeys.components.event import EventConfig
from qa_webhook import local, scratch
from webhooks.models import Webhook
from webhooks.rendering import EmptyRule, Source, Variable
from workspaces import api_keys
from workspaces.choices import Scope

EVENTS_A_SECOND: Final = 500
EVENTS_A_CALL: Final = 10
SECONDS: Final = 20
WARM_UP_CALLS: Final = 20
CALLERS: Final = 4
GOAL_SECONDS: Final = 1.0
_NUMBER: Final = re.compile(r"Order (\d+)\.")


def run(*, people: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Report 500 events a second to the API, and look at the receiver when each came in."""
    with scratch.database("bench") as environment, TemporaryDirectory() as directory:
        environment |= {"EGRESS_ALLOW": "127.0.0.1/32", "LOG_LEVEL": "ERROR"}
        say(f"Making {people:,} people in a database of their own …")
        setting = scenario.prepare(people=people, now=timezone.now())
        written = Path(directory) / "requests.jsonl"
        key = api_keys.create(
            workspace=setting.workspace,
            name="Shop",
            scopes=[Scope.EVENTS_WRITE],
            actor=setting.member,
        ).secret
        with (
            Receiver(setting.secret, "--write", str(written), environment=environment) as receiver,
            Manage("planner", environment=environment),
            Manage("sender", "--processes", str(SENDERS), environment=environment),
            _web(environment, Path(directory) / "web.sock") as port,
        ):
            Webhook.objects.filter(pk=setting.webhook.pk).update(url=receiver.url)
            _listen(setting)
            send(setting, WARM_UP_PEOPLE)
            caller = _Caller(setting, f"http://127.0.0.1:{port}/api/v1/events/", key)
            caller.report(WARM_UP_CALLS)
            say(f"Reporting {EVENTS_A_SECOND} events a second for {SECONDS} seconds …")
            began = len(caller.reported)
            caller.report(SECONDS * EVENTS_A_SECOND // EVENTS_A_CALL)
            wait_until(lambda: len(_received(written)) >= len(caller.reported), seconds=60)
        received = _received(written)
        timed = sorted(caller.reported)[began:]
    waited = [received[number] - caller.reported[number] for number in timed]
    taken = caller.reported[timed[-1]] - caller.reported[timed[0]]
    p95 = percentile(waited, 0.95)
    rate = len(timed) / taken
    return {
        "events": len(timed),
        "events_per_second": round(rate, 1),
        "p50_seconds": round(percentile(waited, 0.5), 3),
        "p95_seconds": round(p95, 3),
        "meets_goal": p95 < GOAL_SECONDS and rate > 0.95 * EVENTS_A_SECOND,
    }


def _listen(setting: Scenario) -> None:
    """Publish a journey that begins with an event."""
    now = timezone.now()
    order = setting.workspace.event_types.create(code="order", name="Order")
    order.attributes.create(code="number", name="Number", type=AttributeType.NUMBER)
    journey = drafts.create(
        workspace=setting.workspace, user=setting.member, name="Ordered", start="event", now=now
    )
    number = Variable(name="number", source=Source.EVENT, code="number", empty=EmptyRule.NOTHING)
    scenario.publish(
        setting,
        journey,
        start=EventConfig(event_type=order.pk).to_json(),
        content="Order ${number}.",
        variables=(number,),
        now=now,
    )


@contextmanager
def _web(environment: dict[str, str], socket: Path) -> Iterator[int]:
    """Run the web processes as an installation does; yield their port."""
    log = socket.with_suffix(".log")
    command = [sys.executable, "-m", "gunicorn", "qa_webhook.wsgi", "--worker-class", "gthread"]
    command += ["--workers", "2", "--threads", "4", "--bind", "127.0.0.1:0"]
    command += ["--no-control-socket", "--log-level", "info", "--log-file", str(log)]
    process = subprocess.Popen(
        command, env=environment | {"ALLOWED_HOSTS": "127.0.0.1"}, cwd=local.BASE_DIR
    )
    try:
        listening = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
        wait_until(
            lambda: log.exists() and listening.search(log.read_text()) is not None, seconds=30
        )
        found = listening.search(log.read_text())
        assert found is not None
        yield int(found.group(1))
    finally:
        process.terminate()
        process.wait(30)


class _Caller:
    """Reports events over kept connections, each with a number of its own, at an even pace."""

    def __init__(self, setting: Scenario, url: str, key: str) -> None:
        self._qaids = [str(each) for each in scenario.people_of(setting, 100_000)]
        self._code, self._url, self._key = setting.id_type.code, url, key
        # By the event's number, when its call was about to be made.
        self.reported: dict[int, float] = {}
        self._calls = 0

    def report(self, calls: int) -> None:
        first = self._calls
        self._calls += calls
        every = EVENTS_A_CALL / EVENTS_A_SECOND

        def call_every_other(offset: int) -> None:
            with requests.Session() as session:
                session.headers["Authorization"] = f"Bearer {self._key}"
                time.sleep(offset * every)
                for number in pace(calls // CALLERS, every * CALLERS):
                    self._call(session, first + number * CALLERS + offset)

        threads = [
            threading.Thread(target=call_every_other, args=[each]) for each in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self, session: requests.Session, call: int) -> None:
        numbers = range(call * EVENTS_A_CALL, (call + 1) * EVENTS_A_CALL)
        events = [
            {
                "event_id": f"order-{number}",
                "event_type": "order",
                "ids": {self._code: f"138{self._qaids[number % len(self._qaids)]:0>8}"},
                "attributes": {"number": number},
            }
            for number in numbers
        ]
        at = time.time()
        answer = session.post(self._url, json={"events": events}, timeout=30)
        answer.raise_for_status()
        told = answer.json()
        if told["accepted"] != len(events):
            raise RuntimeError(f"Events were not accepted: {told['results']}")
        self.reported |= dict.fromkeys(numbers, at)


def _received(written: Path) -> dict[int, float]:
    """Return when the request about each order came in; its last line may be half written."""
    found: dict[int, float] = {}
    for line in written.read_text().splitlines() if written.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if match := _NUMBER.search(entry["body"]):
            found[int(match.group(1))] = datetime.fromisoformat(entry["at"]).timestamp()
    return found
