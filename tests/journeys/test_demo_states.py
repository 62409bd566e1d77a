"""What ``load_demo`` leaves behind once the engine has run: every state that a screen can show."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from identity.models import Audience, Event
from journeys import publishing, runner, runs
from journeys.demo import drawing, states, targets
from journeys.models import Journey, Run
from journeys.runs import Progress, progress_of
from webhooks import engine
from webhooks.granting import Status, standings
from webhooks.models import Webhook
from webhooks.receiver import Receiver
from webhooks.receiver.server import Options
from workspaces.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(targets, "CONFIGURATION", tmp_path / "receiver.json")
    with Receiver() as started:
        settings.RECEIVER_URL = started.url("")
        settings.EGRESS_ALLOW = [f"127.0.0.1/32:{started.port}"]
        yield started


def load(receiver: Receiver) -> None:
    call_command("load_demo", stdout=StringIO())
    ledgers = json.loads(targets.CONFIGURATION.read_text())["ledgers"]
    receiver.configure({path: Options.from_json(told, Options()) for path, told in ledgers.items()})


def journey(name: str) -> Journey:
    return Journey.objects.get(name=name)


def webhook(name: str) -> Webhook:
    return Webhook.objects.get(name=name)


def progress(name: str) -> Progress:
    return progress_of(Run.objects.get(journey__name=name), now=timezone.now())


def counts() -> list[int]:
    return [each.objects.count() for each in (Journey, Run, Webhook, Audience)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_shows_every_state(receiver: Receiver) -> None:
    load(receiver)
    marketer = User.objects.get(email="marketer@demo.example")
    # The main job has tests of its own.
    runs.pause(journey=journey(drawing.AUDIENCE_JOURNEY), user=marketer, now=timezone.now())

    runner.sweep(now=timezone.now())
    engine.drain(seconds=60)
    runner.sweep(now=timezone.now())

    # A finished run, with three reasons to pass over, default values and failures.
    assert journey(states.FINISHED).state == "finished"
    finished = progress(states.FINISHED)
    assert 300 <= finished.people <= 500
    assert set(finished.skipped_by_reason) == {"no_id", "no_reach_id", "variable_empty"}
    assert all(number > 5 for number in finished.skipped_by_reason.values())
    (step,) = finished.steps
    assert sum(step.defaulted.values()) > 20
    assert 1 <= finished.failed <= 40
    assert finished.accepted + finished.failed + finished.skipped == finished.people

    # A journey that listens to the last days' purchases, a third of which cost enough.
    assert journey(drawing.EVENT_JOURNEY).state == "running"
    listening = progress(drawing.EVENT_JOURNEY)
    assert 50 <= listening.people == listening.accepted + listening.skipped
    assert Event.objects.filter(occurred_at__gt=timezone.now() - timedelta(days=1)).exists()

    # One that waits for its day, and a draft that lacks two things.
    assert journey(states.SCHEDULED).state == "scheduled"
    assert Run.objects.get(journey__name=states.SCHEDULED).starts_at > timezone.now()
    draft = journey(states.DRAFT)
    assert draft.state == "draft"
    gaps = publishing.check(journey=draft, user=marketer, now=timezone.now())
    assert [gap.field for gap in gaps] == ["audiences", "parameter:parameter 1 character"]

    # A webhook that stands still, one whose permission ended, and one that has the role alone.
    assert webhook(targets.TEXTS).control.state == "paused"
    status = {
        name: {
            standing.user: standing.status
            for standing in standings(webhook(name), now=timezone.now())
        }[marketer]
        for name in (targets.TEXTS, targets.PARTNERS, targets.POINTS)
    }
    assert status == {
        targets.TEXTS: Status.CAN_USE,
        targets.PARTNERS: Status.ENDED,
        targets.POINTS: Status.LACKS_USAGE,
    }

    before = counts()
    load(receiver)
    assert counts() == before
