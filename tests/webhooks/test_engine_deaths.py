"""Senders that die, freeze or lose their turn: nothing lost, nothing counted twice."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from structlog.testing import capture_logs

from tests.webhooks.scene import OPTIONS, make_scene
from tests.webhooks.test_engine import check_invariants
from webhooks import rows, settling
from webhooks.answers import Outcome
from webhooks.choices import Guarantee
from webhooks.engine import Sender
from webhooks.leases import Keeper
from webhooks.models import Attempt, Chunk, Delivery, Message
from webhooks.receiver import Behaviour, Receiver, Reply
from webhooks.transport import Answer, Request
from webhooks.work import Envelope

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


class SlowTransport:
    """Opens requests and answers when it is told to; what is never answered was open at a death."""

    def __init__(self, slots: int = 1_000) -> None:
        self.sent: list[tuple[Request, object]] = []
        self._slots = slots
        self._answers: list[Answer] = []

    @property
    def free(self) -> int:
        return self._slots - self.open

    @property
    def open(self) -> int:
        return len(self.sent)

    def submit(self, request: Request, token: object) -> None:
        self.sent.append((request, token))

    def answer(self, number: int | None = None, status: int = 200) -> None:
        """Answer the first ``number`` open requests."""
        count = len(self.sent) if number is None else number
        for _request, token in self.sent[:count]:
            self._answers.append(Answer(token, Outcome.ANSWERED, status, 1))
        del self.sent[:count]

    def poll(self, timeout: float) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """Have nothing to close."""


def make_sender(transport: SlowTransport) -> Sender:
    """A sender without a heartbeat, so that its leases end when the test says so."""
    return Sender(
        options=replace(OPTIONS, flush_seconds=0.0, lease_seconds=60.0), transport=transport
    )


def begin(sender: Sender) -> Sender:
    """Claim in one turn and open in the next."""
    sender.turn()
    sender.turn()
    return sender


def end_leases() -> None:
    """Let time pass: every lease has run out."""
    past = timezone.now() - timedelta(seconds=1)
    Chunk.objects.filter(lease__isnull=False).update(lease_until=past)
    Message.objects.filter(lease__isnull=False).update(lease_until=past)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_lane SET lease = NULL, lease_until = NULL")


def test_a_zombie_that_wakes_after_its_lease_was_lost_counts_nothing(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=10)
    scene.submit()
    frozen = SlowTransport()
    zombie = make_sender(frozen)
    begin(zombie)
    assert frozen.open == 10
    end_leases()
    scene.drain()
    before = scene.counts()
    assert before.delivered == 10

    frozen.answer(status=422)
    zombie.turn()
    zombie.turn()

    assert scene.counts() == before
    assert {each.state for each in scene.deliveries()} == {"delivered"}
    assert Counter(Attempt.objects.values_list("kind", flat=True)) == {
        "unknown": 10,
        "late": 10,
        "auto": 10,
    }
    check_invariants(scene)


def test_a_lease_that_ran_out_and_was_claimed_by_nobody_still_settles(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    scene.submit()
    transport = SlowTransport()
    sender = begin(make_sender(transport))
    end_leases()

    transport.answer()
    sender.turn()
    sender.turn()

    assert scene.counts().delivered == 3
    assert Attempt.objects.count() == 0


def test_a_flush_repeated_after_a_lost_commit_counts_once(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=8)
    scene.submit()
    transport = SlowTransport()
    sender = begin(make_sender(transport))
    transport.answer(5)
    transport.answer(2, status=503)
    transport.answer(1, status=422)
    sender._collect(0)
    flushed = list(sender._pending)
    settling.settle(flushed)
    once = scene.counts()

    assert settling.settle(flushed).people == 0

    assert scene.counts() == once
    assert (once.delivered, once.dead, once.queued) == (5, 1, 2)
    assert Attempt.objects.count() == 0
    assert Message.objects.count() == 2
    check_invariants(scene)


def test_a_row_that_its_chunk_knows_nothing_of_holds_up_nobody_else(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    scene.submit()
    transport = SlowTransport()
    sender = begin(make_sender(transport))
    transport.answer()
    sender._collect(0)
    flushed = list(sender._pending)
    first = flushed[0]
    assert first.envelope is not None
    with connection.cursor() as cursor:
        rows.insert_deliveries(
            cursor,
            plan=first.envelope.plan,
            chunk_id=first.envelope.chunk_id,
            day=first.envelope.day,
            tried=[first],
        )

    with capture_logs() as told:
        assert settling.settle(flushed).people == 2

    assert scene.counts().delivered == 2
    assert Delivery.objects.count() == 3
    # What PostgreSQL says of a row may hold it.
    (warned,) = told
    assert warned["event"] == "row_unknown_to_chunk"
    assert "exc_info" not in warned


def test_a_repeated_flush_of_later_tries_counts_once(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=4)
    receiver.script("/in", *[Reply(503)] * 4)
    scene.submit()
    scene.drain(seconds=0.6, schedule=(timedelta(seconds=0.7),) * 4)
    Message.objects.update(due_at=timezone.now())
    transport = SlowTransport()
    sender = begin(make_sender(transport))
    assert transport.open == 4
    transport.answer(2)
    transport.answer(1, status=500)
    transport.answer(1, status=422)
    sender._collect(0)
    flushed = list(sender._pending)
    settling.settle(flushed)
    once = scene.counts()
    attempts = Attempt.objects.count()

    assert settling.settle(flushed).people == 0

    assert scene.counts() == once
    assert (once.delivered, once.dead, once.queued) == (2, 1, 1)
    assert Attempt.objects.count() == attempts == 4
    check_invariants(scene)


def test_what_a_dead_sender_had_open_goes_out_again_under_the_same_id(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=10)
    scene.submit()
    transport = SlowTransport()
    dead = begin(make_sender(transport))
    transport.answer(4)
    dead.turn()
    opened = {token.id for _request, token in transport.sent}  # type: ignore[attr-defined]
    end_leases()
    scene.drain()

    assert {each.message_id for each in receiver.entries("/in")} == opened
    assert scene.counts().delivered == 10
    unknown = Attempt.objects.filter(kind="unknown")
    assert set(unknown.values_list("number", flat=True)) == {1}
    assert unknown.count() == 6
    again = Delivery.objects.filter(pk__in=unknown.values("delivery_id"))
    assert {each.attempts for each in again} == {2}
    check_invariants(scene)


def test_the_person_who_kills_senders_dies_and_the_neighbours_go_on(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=4)
    scene.submit()
    for _ in range(2):
        begin(make_sender(SlowTransport()))
        end_leases()
    third = SlowTransport()
    sender = make_sender(third)
    for _ in range(3):
        sender.turn()
    assert third.open == 1, "the third claim works person by person"
    poison = third.sent[0][1]
    end_leases()
    scene.drain()

    counts = scene.counts()
    assert (counts.dead, counts.delivered) == (1, 3)
    (dead,) = [each for each in scene.deliveries() if each.state == "dead"]
    assert dead.reason == "poison"
    assert dead.id == poison.recipients[0].delivery_id  # type: ignore[attr-defined]
    assert len(receiver.entries("/in")) == 3
    check_invariants(scene)


def test_at_most_once_writes_the_intent_before_the_socket_opens(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3, guarantee="at_most_once")
    scene.submit()

    class Watching(SlowTransport):
        def submit(self, request: Request, token: object) -> None:
            (recipient,) = token.recipients  # type: ignore[attr-defined]
            row = Delivery.objects.get(pk=recipient.delivery_id)
            assert (row.state, row.reason) == ("queued", "open_once")
            assert request.fresh
            super().submit(request, token)

    transport = Watching()
    sender = begin(make_sender(transport))
    assert transport.open == 3
    transport.answer()
    sender.turn()
    sender.turn()

    assert [(each.state, each.reason) for each in scene.deliveries()] == [("delivered", "")] * 3
    check_invariants(scene)


def test_at_most_once_never_sends_again_what_may_have_gone_out(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=5, guarantee="at_most_once", concurrency=2)
    scene.submit()
    transport = SlowTransport()
    begin(make_sender(transport))
    assert transport.open == 2
    end_leases()
    scene.drain()

    counts = scene.counts()
    assert (counts.uncertain, counts.delivered) == (2, 3)
    assert len(receiver.entries("/in")) == 3
    check_invariants(scene)


def test_at_most_once_a_lost_answer_is_uncertain(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1, guarantee="at_most_once")
    receiver.script("/in", Reply(reset=True))
    scene.submit()
    scene.drain()

    (delivery,) = scene.deliveries()
    assert delivery.state == "uncertain"
    assert len(receiver.entries("/in")) == 1


def test_a_waiting_message_whose_sender_died_gets_an_unknown_attempt(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.script("/in", Reply(503))
    scene.submit()
    scene.drain(seconds=0.4, schedule=(timedelta(seconds=0.5),) * 4)
    Message.objects.update(due_at=timezone.now())
    transport = SlowTransport()
    begin(make_sender(transport))
    assert transport.open == 1
    end_leases()
    scene.drain()

    found = Attempt.objects.order_by("number").values_list("number", "kind")
    assert list(found) == [(2, "unknown"), (3, "auto")]
    assert scene.deliveries()[0].attempts == 3
    check_invariants(scene)


def test_the_heartbeat_keeps_a_chunk_that_takes_longer_than_its_lease(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=40, concurrency=1)
    receiver.behave("/in", Behaviour(delay=0.1))
    scene.submit()

    scene.drain(lease_seconds=2.0)

    assert len(receiver.entries("/in")) == 40
    assert Attempt.objects.count() == 0
    assert Chunk.objects.get().claims == 1


def test_nothing_is_opened_under_a_lease_that_ends_before_the_request_may(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=2, timeout_seconds=5)
    scene.submit()
    transport = SlowTransport()
    begin(Sender(options=replace(OPTIONS, lease_seconds=4.0), transport=transport))

    assert transport.open == 0
    assert Chunk.objects.get().lease is not None


def test_a_sender_frozen_within_a_transaction_lets_go_of_its_rows(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    scene.submit()
    sender = Sender(options=replace(OPTIONS, lease_seconds=1.0), transport=SlowTransport())
    sender.turn()
    with pytest.raises((OperationalError, InterfaceError)):
        _freeze_with_a_row_locked()
    connection.close()
    end_leases()

    scene.drain()

    assert scene.counts().delivered == 2


@transaction.atomic
def _freeze_with_a_row_locked() -> None:
    Chunk.objects.select_for_update().get()
    time.sleep(1.5)
    Chunk.objects.get()


def test_settled_messages_are_no_lost_lease(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    scene.submit()
    transport = SlowTransport()
    sender = begin(make_sender(transport))
    transport.answer(status=503)
    sender.turn()
    taken = Message.objects.get()
    taken.lease, taken.lease_until = uuid4(), timezone.now() + timedelta(minutes=1)
    taken.save()
    keeper = Keeper(0.3)
    keeper.start()
    settled = keeper.hold("webhooks_message", ["gone"], uuid4(), began=time.monotonic())
    others = keeper.hold("webhooks_message", [taken.pk], uuid4(), began=time.monotonic())
    until = time.monotonic() + 10
    while not others.lost and time.monotonic() < until:
        time.sleep(0.02)
    keeper.stop()

    assert others.lost
    assert not settled.lost
    assert keeper.losses == 1


def test_a_claim_is_taken_once_by_two_senders(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=30)
    scene.submit(size=10)
    first, second = SlowTransport(), SlowTransport()
    one, other = make_sender(first), make_sender(second)
    ids: list[str] = []
    until = time.monotonic() + 5
    further = 4  # Turns in which what was sent already could be sent again.
    while further and time.monotonic() < until:
        further -= len(ids) >= 30
        for sender, transport in ((one, first), (other, second)):
            sender.turn()
            # Answered at once, since each sender has its share of the open requests.
            ids += [token.id for _request, token in transport.sent]  # type: ignore[attr-defined]
            transport.answer()

    assert len(ids) == len(set(ids)) == 30


def test_a_message_that_kills_senders_is_worked_alone_and_then_dies(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    receiver.script("/in", *[Reply(503)] * 3)
    scene.submit()
    scene.drain(seconds=0.6, schedule=(timedelta(seconds=0.7),) * 9)
    for _ in range(2):
        Message.objects.update(due_at=timezone.now())
        begin(make_sender(SlowTransport()))
        end_leases()
    third = SlowTransport()
    sender = make_sender(third)
    for _ in range(3):
        sender.turn()
    assert third.open == 1
    poison = third.sent[0][1]
    end_leases()
    scene.drain(schedule=(timedelta(seconds=0.1),) * 9)

    counts = scene.counts()
    assert (counts.dead, counts.delivered) == (1, 2)
    (dead,) = [each for each in scene.deliveries() if each.state == "dead"]
    assert (dead.reason, dead.message_id) == ("poison", poison.id)  # type: ignore[attr-defined]
    check_invariants(scene)


def test_what_is_worked_alone_waits_for_no_other_webhook(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    other = make_scene(receiver.url("/other"), people=50)
    scene.submit()
    for _ in range(2):
        begin(make_sender(SlowTransport()))
        end_leases()
    other.submit()
    scene.drain()
    other.drain()

    assert scene.counts().delivered == 2
    assert other.counts().delivered == 50


def test_at_most_once_a_waiting_message_that_was_open_is_uncertain(receiver: Receiver) -> None:
    scene = make_scene("http://127.0.0.1:9/in", people=1, guarantee="at_most_once")
    scene.submit()
    scene.drain(seconds=0.5, schedule=(timedelta(seconds=0.6),) * 4)
    assert Message.objects.count() == 1
    Message.objects.update(due_at=timezone.now())
    transport = SlowTransport()
    begin(make_sender(transport))
    assert transport.open == 1
    end_leases()
    scene.drain()

    (delivery,) = scene.deliveries()
    assert (delivery.state, delivery.reason) == ("uncertain", "unknown")
    check_invariants(scene)


def test_an_intent_whose_writing_was_not_confirmed_is_not_sent(receiver: Receiver) -> None:
    """The statement was carried out and its answer lost: nobody is sent to twice."""
    scene = make_scene(receiver.url("/in"), people=2, guarantee="at_most_once", concurrency=1)
    scene.submit()
    begin(make_sender(SlowTransport()))
    Chunk.objects.update(lease=None, lease_until=None, claims=0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_lane SET lease = NULL, lease_until = NULL")
    scene.drain()

    counts = scene.counts()
    assert (counts.uncertain, counts.delivered) == (1, 1)
    check_invariants(scene)


class FreezingTransport(SlowTransport):
    """Its process stands still for longer than the lease just after it opened one request."""

    def submit(self, request: Request, token: object) -> None:
        super().submit(request, token)
        assert isinstance(token, Envelope)
        token.held.lease.until = time.monotonic()


def test_a_sender_frozen_while_it_opens_requests_opens_nothing_more(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=5)
    scene.submit()
    transport = FreezingTransport()
    sender = begin(make_sender(transport))
    assert transport.open == 1

    end_leases()
    scene.drain()
    sender.turn()
    assert transport.open == 1
    assert scene.counts().delivered == 5


def test_an_intent_whose_writing_took_longer_than_the_lease_is_not_opened(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=5, guarantee=Guarantee.AT_MOST_ONCE)
    scene.submit()
    transport = SlowTransport()
    sender = make_sender(transport)
    sender.turn()
    (held,) = sender._intake.lines[scene.webhook.pk].holds

    def stall(execute: Any, statement: str, *rest: Any) -> Any:
        found = execute(statement, *rest)
        if "INSERT INTO webhooks_delivery" in statement:
            held.lease.until = time.monotonic()
        return found

    with connection.execute_wrapper(stall):
        sender.turn()
    assert transport.open == 0
    assert not Delivery.objects.exists()

    # The lease was nobody else's meanwhile, and is renewed.
    held.lease.until = time.monotonic() + 60
    sender.turn()
    assert transport.open == 5
    transport.answer()
    sender.turn()
    assert scene.counts().delivered == 5


def test_a_zombie_takes_no_intent_back_that_another_sender_has_found(receiver: Receiver) -> None:
    """It was open at the death, so it is uncertain, whatever the zombie learns afterwards."""
    scene = make_scene(receiver.url("/in"), people=3, guarantee=Guarantee.AT_MOST_ONCE)
    scene.submit()
    frozen = SlowTransport()
    zombie = begin(make_sender(frozen))
    assert frozen.open == 3
    end_leases()
    heir = make_sender(SlowTransport())
    heir.turn()

    frozen.answer(status=410)
    zombie.turn()
    heir.turn()

    assert scene.counts().uncertain == 3
    assert {each.state for each in scene.deliveries()} == {"uncertain"}
    check_invariants(scene)
