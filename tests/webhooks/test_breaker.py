"""The breaker: its rules without a database, and what a receiver in trouble sees of it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.webhooks.scene import OPTIONS, Scene, make_scene
from tests.webhooks.test_engine import check_invariants
from webhooks import breaker, control
from webhooks.breaker import Breaker, Rules
from webhooks.choices import BreakerState
from webhooks.engine import Sender
from webhooks.models import Attempt, Chunk, Delivery, WebhookControl
from webhooks.receiver import Behaviour, Receiver, Reply
from workspaces.models import Notice

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
RULES = Rules()


def told(
    before: Breaker, *, good: int = 0, failed: int = 0, seconds: float = 0, concurrency: int = 50
) -> Breaker:
    return breaker.after(
        before,
        good=good,
        failed=failed,
        reason="status_503" if failed else "",
        concurrency=concurrency,
        now=NOW + timedelta(seconds=seconds),
        rules=RULES,
    )


# --- Rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "failed", "opens"),
    [(0, 19, False), (0, 20, True), (11, 9, False), (10, 10, True), (200, 100, False)],
)
def test_it_opens_at_half_failures_of_at_least_twenty(good: int, failed: int, opens: bool) -> None:
    found = told(Breaker(), good=good, failed=failed)

    assert (found.state == BreakerState.OPEN) is opens
    if opens:
        assert found.until == NOW + timedelta(seconds=30)
        assert (found.limit, found.reason) == (0, "status_503")


def test_answers_of_long_ago_weigh_nothing() -> None:
    busy = told(Breaker(), good=100_000)

    assert told(busy, failed=100, seconds=1).state == BreakerState.CLOSED
    assert told(busy, failed=100, seconds=300).state == BreakerState.OPEN


def test_each_pause_is_twice_the_last_up_to_ten_minutes() -> None:
    found, now, pauses = told(Breaker(), failed=20), NOW, []
    for _time in range(8):
        assert found.until is not None
        pauses.append((found.until - now).total_seconds())
        now = found.until
        assert breaker.begin_probing(found, now=now - timedelta(seconds=1), rules=RULES) == found
        probing = breaker.begin_probing(found, now=now, rules=RULES)
        assert (probing.state, probing.limit) == (BreakerState.PROBING, breaker.PROBES)
        found = told(probing, failed=1, seconds=(now - NOW).total_seconds())

    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]


def test_three_good_probes_close_it_and_it_is_taken_up_slowly() -> None:
    probing = breaker.begin_probing(
        told(Breaker(), failed=20), now=NOW + timedelta(seconds=30), rules=RULES
    )
    found = told(told(probing, good=2, seconds=31), good=1, seconds=31)
    assert (found.state, found.limit) == (BreakerState.CLOSED, 1)

    limits = []
    while found.limit:
        limits.append(found.limit)
        # One answer after the other, as a slow receiver gives them.
        for _answer in range(found.limit):
            found = told(found, good=1, seconds=32)
    assert limits == [1, 2, 4, 8, 16, 32]
    assert found.opened_times == 0


def test_failures_while_it_is_taken_up_open_it_for_longer() -> None:
    ramping = Breaker(ramp=4, opened_times=1, opened_at=NOW, counted_at=NOW)

    found = told(ramping, good=1, failed=2)
    assert found.state == BreakerState.OPEN
    assert found.until == NOW + timedelta(seconds=60)


def test_probes_that_were_lost_with_their_sender_are_let_through_again() -> None:
    probing = replace(
        breaker.begin_probing(
            told(Breaker(), failed=20), now=NOW + timedelta(seconds=30), rules=RULES
        ),
        probes=3,
    )
    later = NOW + timedelta(seconds=91)

    assert breaker.begin_probing(probing, now=later, rules=RULES).probes == 0


# --- With a receiver ------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


QUICK = replace(
    OPTIONS,
    schedule=(timedelta(seconds=0.2),) * 30,
    breaker=Rules(window_seconds=5, open_seconds=0.6, open_seconds_at_most=0.6, probe_seconds=2),
)


def _control(scene: Scene) -> WebhookControl:
    return WebhookControl.objects.get(webhook=scene.webhook)


def _run(sender: Sender, *, until: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():  # type: ignore[operator]
        if not sender.turn():
            time.sleep(0.01)


@pytest.mark.django_db(transaction=True)
def test_a_receiver_in_trouble_is_left_alone_probed_and_then_gets_everybody(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=300, concurrency=16)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit(size=100)
    sender = Sender(options=QUICK)
    sender.start()
    try:
        _run(sender, until=lambda: _control(scene).breaker == BreakerState.OPEN)
        # What was open is answered; then nothing goes out for the whole pause.
        _run(sender, until=lambda: False, seconds=0.2)
        before = len(receiver.entries("/in"))
        assert 20 <= before <= 60
        for _pause in range(2):
            opened = _control(scene).breaker_opened_times
            _run(sender, until=lambda: _control(scene).breaker_opened_times > opened)  # noqa: B023
        _run(sender, until=lambda: False, seconds=0.2)
        assert len(receiver.entries("/in")) - before <= 2 * breaker.PROBES
        assert _control(scene).breaker_reason == "status_503"
        waiting = scene.counts()
        assert (waiting.queued, waiting.dead) == (300, 0)
        # Nobody used a try by waiting.
        assert not Attempt.objects.filter(number__gt=2 + 2 * breaker.PROBES).exists()

        receiver.behave("/in", Behaviour())
        _run(sender, until=lambda: not scene.counts().queued)
        _run(sender, until=lambda: not _control(scene).breaker_opened_times, seconds=2)
        sender.finish()
    finally:
        sender.close()

    assert scene.counts().delivered == 300
    accepted = [each for each in receiver.entries("/in") if each.status == 200]
    assert len({each.delivery_ids[0] for each in accepted}) == len(accepted) == 300
    assert Notice.objects.filter(kind="webhook_trouble").count() == 1
    check_invariants(scene)


@pytest.mark.django_db(transaction=True)
def test_it_never_has_more_open_than_it_is_taken_up_with(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=40, concurrency=64)
    receiver.behave("/in", Behaviour(delay=0.1))
    WebhookControl.objects.filter(webhook=scene.webhook).update(
        breaker_ramp=2, breaker_opened_times=1, breaker_counted_at=timezone.now()
    )
    scene.submit(size=10)
    sender = Sender(options=QUICK)
    sender.start()
    opened = []
    try:
        end = time.monotonic() + 10
        while scene.counts().queued and time.monotonic() < end:
            sender.turn()
            opened.append((_control(scene).breaker_ramp, sender.transport.open))
        sender.finish()
    finally:
        sender.close()

    assert scene.counts().delivered == 40
    ramps = list(dict.fromkeys(ramp for ramp, _open in opened))
    assert [ramp for ramp in ramps if ramp] == sorted({*ramps} - {0})
    assert len(ramps) > 2
    # Read after the turn, the ramp may be one step on.
    assert all(open_ <= ramp for ramp, open_ in opened if ramp)


@pytest.mark.django_db(transaction=True)
def test_what_a_sender_may_not_send_goes_back_to_who_may(receiver: Receiver) -> None:
    """While one request may be open, one lane carries all: whoever has others gives up its work."""
    scene = make_scene(receiver.url("/in"), people=60, concurrency=64)
    scene.submit(size=10)
    WebhookControl.objects.filter(webhook=scene.webhook).update(
        breaker_ramp=1, breaker_opened_times=1, breaker_counted_at=timezone.now()
    )
    senders = [Sender(options=QUICK) for _number in range(2)]

    def send(sender: Sender) -> None:
        sender.run(seconds=6)

    threads = [threading.Thread(target=send, args=[each]) for each in senders]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 6
    while scene.counts().queued and time.monotonic() < end:
        time.sleep(0.05)
    for each in senders:
        each.stop()
    for thread in threads:
        thread.join()

    assert scene.counts().delivered == 60
    assert len(receiver.entries("/in")) == 60


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_for_a_day_disables_the_webhook_and_keeps_its_people(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=100, concurrency=16)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    rules = replace(QUICK.breaker, give_up_seconds=1.0)
    sender = Sender(options=replace(QUICK, breaker=rules))
    sender.start()
    try:
        _run(sender, until=lambda: _control(scene).breaker_opened_times)
        assert _control(scene).state == "active"
        _run(sender, until=lambda: _control(scene).state != "active")
        sender.finish()
    finally:
        sender.close()

    assert (_control(scene).state, _control(scene).reason) == ("disabled", "failing")
    assert Notice.objects.filter(kind="webhook_failing").exists()
    assert scene.counts().queued == 100
    check_invariants(scene)


@pytest.mark.django_db(transaction=True)
def test_resuming_a_webhook_closes_its_breaker(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    WebhookControl.objects.filter(webhook=scene.webhook).update(
        breaker=BreakerState.OPEN, breaker_until=timezone.now() + timedelta(hours=1)
    )
    scene.submit()
    assert scene.drain(seconds=0.3) == 0
    control.pause(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    control.resume(webhook=scene.webhook, actor=scene.member, now=timezone.now())

    assert scene.drain() == 1
    assert Chunk.objects.get().delivered == Delivery.objects.count() == 1


@pytest.mark.django_db
def test_failures_that_cannot_open_it_do_not_hurry_the_settling(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=400)
    scene.submit()
    receiver.script("/in", *([Reply(503)] + [Reply(200)] * 3) * 100)
    waits = (timedelta(hours=1),) * 5

    with CaptureQueriesContext(connection) as asked:
        scene.drain(flush_seconds=60.0, schedule=waits, breaker=Rules())

    flushes = sum("EXECUTE store_chunk" in each["sql"] for each in asked)
    assert (scene.counts().delivered, scene.counts().queued) == (300, 100)
    assert flushes <= 5
