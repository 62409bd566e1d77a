"""One sender, a real receiver, real tables: what becomes of people, one rule a test."""

import json
import time
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from identity.models import Profile
from tests.identity.factories import make_identifier
from tests.webhooks.factories import make_member
from tests.webhooks.scene import OPTIONS, Scene, drain_until_quiet, make_scene
from webhooks import control, engine, granting, plans
from webhooks.choices import Authentication, Encryption, StateByte
from webhooks.engine import Sender
from webhooks.models import (
    Attempt,
    Chunk,
    Delivery,
    Lane,
    MemberGrant,
    Message,
    Plan,
    Webhook,
    WebhookControl,
)
from webhooks.outbox import NewChunk, submit
from webhooks.receiver import Behaviour, Mode, Receiver, Reply
from webhooks.receiver.behaviour import partial
from webhooks.signals import deliveries_settled
from webhooks.transport import Answer, CurlTransport, Request
from workspaces import members
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def check_invariants(scene: Scene) -> None:
    """Planned is the sum of all states, in the counters, in the bytes and in the rows."""
    for chunk in scene.chunks():
        states = Counter(StateByte(byte & 0x7F) for byte in bytes(chunk.states))
        ended = {
            state: getattr(chunk, state.name.lower())
            for state in StateByte
            if state not in (StateByte.QUEUED, StateByte.WAITING, StateByte.ADVANCED)
        }
        assert ended == {state: states[state] for state in ended}
        assert chunk.queued == states[StateByte.QUEUED] + states[StateByte.WAITING]
        assert chunk.unsent == states[StateByte.QUEUED]
        assert chunk.size == chunk.queued + sum(ended.values()) == len(chunk.qaids)
        waiting = sum(len(each.positions) for each in Message.objects.filter(chunk=chunk))
        assert waiting == states[StateByte.WAITING]
        for delivery in Delivery.objects.filter(chunk_id=chunk.pk):
            byte = StateByte(bytes(chunk.states)[delivery.position] & 0x7F)
            expected = "queued" if byte is StateByte.WAITING else byte.name.lower()
            assert delivery.state == expected


# --- The straight way -----------------------------------------------------------------------------


def test_everybody_gets_one_signed_personal_request(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=20)
    receiver.ledger("/in")
    scene.submit(size=7)

    assert scene.drain() == 20

    counts = scene.counts()
    assert (counts.planned, counts.delivered, counts.queued) == (20, 20, 0)
    texts = [each.recipients[0]["params"]["content"] for each in receiver.entries("/in")]
    assert sorted(texts) == sorted(f"Dear Person {number} Hello" for number in range(1, 21))
    assert all("webhook-signature" in each.headers for each in receiver.entries("/in"))
    check_invariants(scene)


def test_a_delivery_keeps_what_its_request_was_made_of(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    scene.submit()
    scene.drain()

    (delivery,) = scene.deliveries()
    (entry,) = receiver.entries("/in")
    recipient = entry.recipients[0]
    assert (delivery.state, delivery.attempts, delivery.status_code) == ("delivered", 1, 200)
    assert delivery.id == recipient["delivery_id"]
    assert delivery.message_id == entry.message_id
    assert delivery.sent_id == recipient["id"] == delivery.reach_id
    assert delivery.texts == ["Dear Person 1 Hello"]
    assert delivery.first_attempt_at is not None
    assert Attempt.objects.count() == 0


def test_each_person_goes_out_with_both_ids_hashed_and_unsigned_where_nothing_is_to_be_signed(
    receiver: Receiver,
) -> None:
    scene = make_scene(
        receiver.url("/in"),
        people=2,
        reached_by="EMAIL",
        encryption=Encryption.SHA256,
    )
    scene.change(authentication=Authentication.NONE)  # Its key stays, and signs nothing.
    email = scene.workspace.id_types.get(code="EMAIL")
    first = Profile.objects.get(pk=scene.qaids[0])
    make_identifier(first, email, "san@example.com", source=scene.workspace.data_sources.get())
    scene.submit()
    scene.drain()

    (entry,) = receiver.entries("/in")
    mobile = first.identifiers.get(id_type=scene.id_type).value
    body, sent = json.loads(entry.body), entry.recipients[0]
    assert sent["id"] == sha256(mobile.encode()).hexdigest()
    assert sent["reach_id"] == sha256(b"san@example.com").hexdigest()
    assert (body["id_type"], body["reach_id_type"]) == ("MOBILE", "EMAIL")
    assert "webhook-id" in entry.headers
    assert "webhook-signature" not in entry.headers
    assert [(each.sent_id, each.reach_id, each.reason) for each in scene.deliveries()] == [
        (sent["id"], sent["reach_id"], ""),
        ("", "", "no_reach_id"),
    ]


def test_a_default_that_went_out_is_marked_and_counted(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    Profile.objects.filter(pk=scene.qaids[0]).update(tags={})
    scene.submit()
    scene.drain()

    first = scene.deliveries()[0]
    assert first.texts == ["Dear Member Hello"]
    assert first.defaulted == 1
    assert scene.counts().tallies == {"default:content:name": 1}


def test_who_has_no_id_or_an_empty_variable_is_skipped_with_the_reason(receiver: Receiver) -> None:
    variables = {
        "content": [{"name": "name", "source": "tag", "code": "nickname", "empty": "skip"}]
    }
    scene = make_scene(receiver.url("/in"), people=2, variables=variables)
    nobody = Profile.objects.create(workspace=scene.workspace, created_at=timezone.now())
    scene.qaids.append(nobody.pk)
    Profile.objects.filter(pk=scene.qaids[1]).update(tags={"nickname": ""})
    scene.submit()
    scene.drain()

    assert [(each.state, each.reason) for each in scene.deliveries()] == [
        ("delivered", ""),
        ("skipped", "variable_empty"),
        ("skipped", "no_id"),
    ]
    assert scene.counts().by_reason("skipped") == {"variable_empty": 1, "no_id": 1}
    assert len(receiver.entries("/in")) == 1
    check_invariants(scene)


def test_a_text_that_is_too_long_ends_its_person_alone(receiver: Receiver) -> None:
    content = {"name": "content", "type": "text", "required": True, "max_length": 30}
    scene = make_scene(receiver.url("/in"), people=2, parameters=[content])
    Profile.objects.filter(pk=scene.qaids[0]).update(tags={"nickname": "x" * 40})
    scene.submit()
    scene.drain()

    assert [(each.state, each.reason) for each in scene.deliveries()] == [
        ("dead", "too_long"),
        ("delivered", ""),
    ]


def test_an_event_reaches_the_same_person_twice_with_its_own_attributes(
    receiver: Receiver,
) -> None:
    variables = {
        "content": [{"name": "name", "source": "event", "code": "shop", "empty": "nothing"}]
    }
    scene = make_scene(receiver.url("/in"), people=1, variables=variables)
    events = [
        {"id": "e1", "attributes": {"shop": "Beijing"}},
        {"id": "e2", "attributes": {"shop": "Shanghai"}},
    ]
    chunk = NewChunk(0, scene.qaids * 2, events)
    submit(plan=scene.plan, chunks=[chunk], now=timezone.now())
    scene.drain()

    texts = {each.recipients[0]["params"]["content"] for each in receiver.entries("/in")}
    assert texts == {"Dear Beijing Hello", "Dear Shanghai Hello"}
    assert len({each.id for each in scene.deliveries()}) == 2


def test_environment_parameters_and_own_headers_travel_as_headers(receiver: Receiver) -> None:
    own = {"Authorization": "Bearer s3cret"}
    scene = make_scene(receiver.url("/in"), people=1, carry_environment=True, headers=own)
    scene.submit()
    scene.drain()

    (entry,) = receiver.entries("/in")
    assert entry.headers["authorization"] == "Bearer s3cret"
    assert entry.headers["x-qa-journey"] == "Welcome"
    assert entry.headers["x-qa-test"] == "false"


def test_a_chunk_is_read_and_written_in_the_same_statements_for_few_and_many(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "HOUSEKEEPING_SECONDS", 60.0)

    def statements(people: int) -> list[str]:
        scene = make_scene(receiver.url("/in"), people=people)
        scene.submit()
        with CaptureQueriesContext(connection) as asked:
            settled = scene.drain(
                flush_people=people,
                flush_seconds=60.0,
                flags_seconds=60.0,
                idle_seconds=60.0,
                lease_seconds=60.0,
            )
        assert settled == people
        return [query["sql"] for query in asked]

    statements(20)  # What this connection has not planned before is planned once.
    few, many = statements(20), statements(100)

    assert len(few) == len(many)
    assert sum(sql.startswith("EXECUTE store_chunk") for sql in many) == 1
    assert sum(sql.startswith("EXECUTE read_people") for sql in many) == 1


@pytest.mark.parametrize(("batch_size", "people", "flushes"), [(1, 200, 2), (50, 1000, 2)])
def test_a_flush_takes_a_hundred_answers_or_five_hundred_people(
    receiver: Receiver, batch_size: int, people: int, flushes: int
) -> None:
    scene = make_scene(receiver.url("/in"), people=people)
    scene.change(batch_size=batch_size, concurrency=1)
    scene.submit(size=people)
    with CaptureQueriesContext(connection) as asked:
        assert scene.drain(flush_seconds=60.0) == people

    written = [each["sql"] for each in asked if "EXECUTE store_chunk" in each["sql"]]
    assert len(written) == flushes


def test_what_came_in_last_is_settled_at_once(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    scene.submit()
    sender = Sender(options=replace(OPTIONS, flush_seconds=60.0))
    sender.start()
    until = time.monotonic() + 10
    try:
        while scene.counts().queued and time.monotonic() < until:
            sender.turn()
        assert scene.counts().delivered == 3
    finally:
        sender.close()


# --- Planning -------------------------------------------------------------------------------------


class WatchedTransport(CurlTransport):
    """Counts how often it is asked for answers without time to wait for any."""

    glances = 0

    def poll(self, timeout: float) -> list[Answer]:
        self.glances += timeout == 0
        return super().poll(timeout)


def test_open_requests_are_seen_to_while_a_chunk_is_made_ready(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=220)
    scene.submit(size=110)
    transport = WatchedTransport()

    # Nothing is settled because of the time, so that nothing else leaves no time to wait.
    scene.drain(transport=transport, flush_seconds=60.0, flush_answers=220, flush_people=220)

    # Two in the middle of each chunk, one before its messages are packed.
    assert transport.glances == 6
    assert scene.counts().delivered == 220
    check_invariants(scene)


class LateTransport(CurlTransport):
    """Gives answers only while a chunk is made ready; counts what is opened after the first."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Answer] = []
        self.answered = self.opened_later = 0

    def submit(self, request: Request, token: Any) -> None:
        self.opened_later += self.answered > 0
        super().submit(request, token)

    def poll(self, timeout: float) -> list[Answer]:
        self._kept += super().poll(timeout)
        if timeout or not self._kept:
            return []
        found, self._kept = self._kept, []
        self.answered += len(found)
        return found


def test_a_chunk_made_ready_while_its_webhook_is_stopped_is_not_opened(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=300)
    scene.change(concurrency=40)
    receiver.behave("/in", Behaviour(status=410))
    scene.submit(size=60)
    transport = LateTransport()

    scene.drain(seconds=5.0, transport=transport, flags_seconds=60.0)

    assert WebhookControl.objects.get(webhook=scene.webhook).state == "disabled"
    assert transport.answered
    assert transport.opened_later == 0


def test_the_same_chunk_is_planned_once(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=5)

    assert scene.submit() == 5
    assert scene.submit() == 0

    assert scene.drain() == 5
    assert len(receiver.entries("/in")) == 5


def test_a_chunk_that_is_not_due_waits(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    later = timezone.now() + timedelta(hours=1)
    submit(plan=scene.plan, chunks=[NewChunk(0, scene.qaids, None, later)], now=timezone.now())

    assert scene.drain(seconds=0.5) == 0
    assert receiver.entries("/in") == []


# --- Answers --------------------------------------------------------------------------------------


def test_a_retry_keeps_id_and_bytes_and_adds_an_attempt(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.script("/in", Reply(503), Reply(500))
    scene.submit()
    scene.drain()

    entries = receiver.entries("/in")
    assert [each.status for each in entries] == [503, 500, 200]
    assert len({(each.message_id, each.body) for each in entries}) == 1
    (delivery,) = scene.deliveries()
    assert (delivery.state, delivery.attempts, delivery.status_code) == ("delivered", 3, 503)
    assert [(each.number, each.status_code) for each in Attempt.objects.order_by("number")] == [
        (2, 500),
        (3, 200),
    ]
    assert Message.objects.count() == 0
    check_invariants(scene)


def test_after_the_last_try_a_person_is_dead_with_the_last_reason(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain()

    tries = len(OPTIONS.schedule) + 1
    assert [(each.state, each.reason, each.attempts) for each in scene.deliveries()] == [
        ("dead", "status_503", tries)
    ] * 2
    assert scene.counts().by_reason("dead") == {"status_503": 2}
    assert Message.objects.count() == 0
    check_invariants(scene)


def test_a_rejection_is_final_at_once(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.script("/in", Reply(422, body=b'{"why": "no such member"}'))
    scene.submit()
    scene.drain()

    (delivery,) = scene.deliveries()
    assert (delivery.state, delivery.reason, delivery.status_code) == ("dead", "rejected", 422)
    assert delivery.answer == '{"why": "no such member"}'
    assert delivery.attempts == 1


def test_an_answer_that_no_text_column_takes_is_kept_readable(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.script("/in", Reply(422, body=b"a\x00b\"\\\xff'{,}\n"))
    scene.submit()
    scene.drain()

    (delivery,) = scene.deliveries()
    assert delivery.answer == "a\ufffdb\"\\\ufffd'{,}\n"


def test_a_success_rule_is_asked(receiver: Receiver) -> None:
    scene = make_scene(
        receiver.url("/in"), people=2, success_field="/code", success_value="0", concurrency=1
    )
    receiver.script("/in", Reply(body=b'{"code": 0}'), Reply(body=b'{"code": 7}'))
    scene.submit()
    scene.drain()

    assert sorted((each.state, each.reason) for each in scene.deliveries()) == [
        ("dead", "no_success"),
        ("delivered", ""),
    ]


def test_a_dead_port_is_tried_again_and_then_reached(receiver: Receiver) -> None:
    scene = make_scene("http://127.0.0.1:9/in", people=1)
    scene.submit()
    assert scene.drain(seconds=0.3) >= 1
    assert scene.deliveries()[0].state == "queued"

    scene.change(url=receiver.url("/in"))
    scene.drain()

    assert [each.state for each in scene.deliveries()] == ["delivered"]


def test_nobody_is_tried_after_the_expiry(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain(seconds=0.5, schedule=(timedelta(seconds=0.6),) * 3)
    Message.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    scene.drain(seconds=3)

    (delivery,) = scene.deliveries()
    assert (delivery.state, delivery.reason) == ("expired", "expired")
    assert len(receiver.entries("/in")) == 1
    check_invariants(scene)


# --- Messages of several people -------------------------------------------------------------------


def test_a_batch_carries_several_people_in_one_message(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=10, batch_size=4)
    scene.submit()
    scene.drain()

    assert sorted(len(each.recipients) for each in receiver.entries("/in")) == [2, 4, 4]
    assert scene.counts().delivered == 10
    message_ids = {each.message_id for each in scene.deliveries()}
    assert message_ids == {each.message_id for each in receiver.entries("/in")}


def test_people_that_the_answer_names_as_failed_are_settled_one_by_one(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=4, batch_size=4)
    receiver.behave("/in", Behaviour(mode=Mode.PARTIAL, fail_percent=100))
    scene.submit()
    scene.drain()

    assert {(each.state, each.reason) for each in scene.deliveries()} == {
        ("dead", "recipient_rejected")
    }


def test_retryable_people_go_into_a_new_message_with_their_delivery_ids(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=4, batch_size=4)
    ids = plans.compiled(scene.plan).delivery_ids(timezone.now().date()).many(scene.qaids)
    receiver.script("/in", partial(ids, failed=frozenset(ids[1:3]), retryable=True))
    scene.submit()
    scene.drain()

    first, second = receiver.entries("/in")
    assert second.delivery_ids == ids[1:3]
    assert second.message_id != first.message_id
    assert second.recipients == first.recipients[1:3]
    assert scene.counts().delivered == 4
    check_invariants(scene)


def test_one_bad_value_does_not_kill_its_batch(receiver: Receiver) -> None:
    """400 on several people is split into halves until the one stands alone."""
    scene = make_scene(receiver.url("/in"), people=4, batch_size=4, concurrency=1)
    replies = [Reply(422), Reply(422), Reply(200), Reply(422), Reply(200)]
    receiver.script("/in", *replies)
    scene.submit()
    scene.drain(slots=1)

    assert sorted(len(each.recipients) for each in receiver.entries("/in")) == [1, 1, 2, 2, 4]
    counts = scene.counts()
    assert (counts.delivered, counts.dead) == (3, 1)
    check_invariants(scene)


def test_a_batch_that_is_too_long_together_goes_out_in_parts(receiver: Receiver) -> None:
    """Nine megabytes, where eight may be sent: nobody is too long alone."""
    scene = make_scene(receiver.url("/in"), people=100, batch_size=100, timeout_seconds=2)
    Profile.objects.filter(pk__in=scene.qaids).update(tags={"nickname": "x" * 90_000})
    scene.submit()
    scene.drain()

    assert scene.counts().delivered == 100, scene.counts()
    assert [len(each.recipients) for each in receiver.entries("/in")] == [50, 50]
    check_invariants(scene)


def test_being_split_uses_no_step_of_the_retry_schedule(receiver: Receiver) -> None:
    """A part of a part that meets a 503 has its whole schedule before it, here one step."""
    scene = make_scene(receiver.url("/in"), people=8, batch_size=8, concurrency=1)
    receiver.script("/in", Reply(422), Reply(422), Reply(422), Reply(503))
    scene.submit()
    scene.drain(slots=1, schedule=(timedelta(seconds=0.05),))

    assert scene.counts().delivered == 8, scene.counts()
    sizes = sorted(len(each.recipients) for each in receiver.entries("/in"))
    assert sizes == [2, 2, 2, 2, 2, 4, 4, 8]
    assert sorted({each.attempts for each in scene.deliveries()}) == [3, 4]
    check_invariants(scene)


# --- The webhook as a whole -----------------------------------------------------------------------


def test_twenty_refusals_in_a_row_pause_the_webhook_and_nobody_fails(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=60, concurrency=8)
    receiver.behave("/in", Behaviour(status=401))
    scene.submit()
    scene.drain(seconds=2)

    state = WebhookControl.objects.get(webhook=scene.webhook)
    assert (state.state, state.reason) == ("paused", "misconfigured")
    assert 20 <= len(receiver.entries("/in")) <= 130
    assert scene.counts().queued == 60
    assert all(each.attempts == 0 for each in scene.deliveries())
    assert scene.workspace.notices.get(user=scene.member).kind == "webhook_misconfigured"

    receiver.behave("/in", Behaviour())
    control.resume(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    Message.objects.update(due_at=timezone.now())
    scene.drain()

    assert scene.counts().delivered == 60
    check_invariants(scene)


def test_gone_disables_the_webhook(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=5, concurrency=1)
    receiver.behave("/in", Behaviour(status=410))
    scene.submit()
    scene.drain(seconds=1)

    state = WebhookControl.objects.get(webhook=scene.webhook)
    assert (state.state, state.reason) == ("disabled", "gone")
    assert len(receiver.entries("/in")) == 1
    counts = scene.counts()
    assert (counts.queued, counts.unsent) == (5, 5)
    check_invariants(scene)


def test_an_address_that_may_not_be_called_pauses_the_webhook() -> None:
    scene = make_scene("http://10.255.255.1/in", people=2)
    scene.submit()
    scene.drain(seconds=1)

    state = WebhookControl.objects.get(webhook=scene.webhook)
    assert (state.state, state.reason) == ("paused", "egress")
    assert scene.counts().unsent == 2


def test_no_more_requests_are_open_than_the_webhook_allows(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=30, concurrency=3)
    receiver.behave("/in", Behaviour(delay=0.03))
    scene.submit()
    scene.drain()

    assert scene.counts().delivered == 30
    assert receiver.connections_made <= 3


def test_a_sender_leaves_lanes_beyond_what_it_can_have_open_to_others(receiver: Receiver) -> None:
    """Here 8 of 64, in lanes of 8 that are taken by twos; a second sender finds the rest free."""
    scene = make_scene(receiver.url("/in"), people=300, concurrency=64)
    receiver.behave("/in", Behaviour(delay=0.05))
    scene.submit()
    sender = Sender(options=replace(OPTIONS, slots=8, idle_seconds=0.0))
    sender.start()
    try:
        opened = 0
        for _ in range(20):
            sender.turn()
            opened = max(opened, sender.transport.open)
        held = Lane.objects.filter(webhook=scene.webhook, lease__isnull=False).count()
        assert (held, opened) == (2, 8)
    finally:
        sender.finish()
        sender.close()


def test_the_rate_holds(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=40, rate_per_second=20)
    scene.submit()
    scene.drain()

    times = sorted(each.at for each in receiver.entries("/in"))
    assert len(times) == 40
    windows = [sum(1 for each in times if start <= each < start + 1) for start in times]
    assert max(windows) <= 26


@pytest.mark.parametrize("what", ["key", "header", "header in clear"])
def test_what_cannot_be_decrypted_pauses_the_webhook_and_sends_nothing(
    receiver: Receiver, what: str
) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    unreadable = b"\x01\x02k9" + b"x" * 40
    if what == "key":
        scene.webhook.secrets.update(ciphertext=unreadable)
    else:
        sealed = "Bearer s3cret" if what.endswith("clear") else b64encode(unreadable).decode()
        headers = {"Authorization": sealed}
        Webhook.objects.filter(pk=scene.webhook.pk).update(headers=headers)
    scene.submit()
    scene.drain(seconds=0.5)

    state = WebhookControl.objects.get(webhook=scene.webhook)
    assert (state.state, state.reason) == ("paused", "key_missing")
    assert receiver.entries("/in") == []


# --- Stopping and starting ------------------------------------------------------------------------


def test_a_paused_plan_is_not_sent_and_goes_on_when_resumed(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    scene.submit()
    control.pause_plans([scene.plan.pk], now=timezone.now())
    scene.drain(seconds=0.5)
    assert scene.counts().unsent == 3

    control.resume_plans([scene.plan.pk], responsible=scene.member, now=timezone.now())
    scene.drain()

    assert scene.counts().delivered == 3


def test_a_pause_in_full_flight_settles_what_is_open_and_keeps_the_rest(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=300, concurrency=4)
    receiver.behave("/in", Behaviour(delay=0.01))
    scene.submit()
    sender = Sender(options=OPTIONS)
    sender.start()
    while len(receiver.entries("/in")) < 20:
        sender.turn()
    control.pause_plans([scene.plan.pk], now=timezone.now())
    while sender.turn():
        pass
    sent = len(receiver.entries("/in"))
    sender.finish()
    sender.close()

    counts = scene.counts()
    assert counts.delivered == sent < 300
    assert counts.unsent == 300 - sent
    (chunk,) = scene.chunks()
    assert chunk.lease is None
    assert chunk.claims == 0

    control.resume_plans([scene.plan.pk], responsible=scene.member, now=timezone.now())
    scene.drain()
    assert scene.counts().delivered == 300
    assert len(receiver.entries("/in")) == 300
    check_invariants(scene)


def test_time_waited_beyond_the_due_time_counts_against_nobodys_expiry(receiver: Receiver) -> None:
    """Whether it was paused, behind a breaker or a limit, or no sender was there."""
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain(seconds=0.5, schedule=(timedelta(minutes=30),))
    hours = timedelta(hours=40)
    # As if 40 hours had passed since.
    Message.objects.update(
        due_at=F("due_at") - hours,
        first_attempt_at=F("first_attempt_at") - hours,
        expires_at=F("expires_at") - hours,
    )
    before = Message.objects.get()
    late = timezone.now() - before.due_at
    scene.drain(seconds=0.5, schedule=(timedelta(minutes=30),) * 2)
    later = timezone.now() - before.due_at

    after = Message.objects.get()
    assert after.attempts == 2
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert late <= after.expires_at - before.expires_at <= later
    check_invariants(scene)


def test_waiting_for_a_token_in_a_senders_hands_counts_against_no_expiry(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=4, rate_per_second=2)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    hour = timedelta(hours=1)
    scene.drain(seconds=5, schedule=(timedelta(seconds=0.05), hour))

    given = timedelta(hours=scene.webhook.expiry_hours)
    times = Message.objects.filter(attempts=2).annotate(
        given=F("expires_at") - F("first_attempt_at")
    )
    waited = [time - given for time in times.values_list("given", flat=True)]
    assert len(waited) == 4
    assert max(waited) > timedelta(seconds=0.3)


def test_cancelled_people_end_cancelled_and_waiting_ones_too(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=6)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit(size=3, qaids=scene.qaids[:3])
    scene.drain(seconds=0.5, schedule=(timedelta(hours=1),))
    submit(plan=scene.plan, chunks=[NewChunk(9, scene.qaids[3:])], now=timezone.now())
    control.cancel_plans([scene.plan.pk])
    scene.drain(seconds=3)

    counts = scene.counts()
    assert (counts.cancelled, counts.queued) == (6, 0)
    assert {each.state for each in scene.deliveries()} == {"cancelled"}
    assert Message.objects.count() == 0
    assert Plan.objects.get(pk=scene.plan.pk).closed_at is not None
    check_invariants(scene)


def test_a_stopped_workspace_sends_nothing(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    Workspace.objects.filter(pk=scene.workspace.pk).update(sending_stopped_at=timezone.now())
    scene.submit()
    scene.drain(seconds=0.4)
    assert receiver.entries("/in") == []

    Workspace.objects.filter(pk=scene.workspace.pk).update(sending_stopped_at=None)
    scene.drain()
    assert scene.counts().delivered == 2


def test_after_the_steps_last_moment_people_expire_unsent(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    Plan.objects.filter(pk=scene.plan.pk).update(send_until=timezone.now())
    scene.submit()
    scene.drain(seconds=2)

    assert scene.counts().expired == 2
    assert scene.counts().by_reason("expired") == {"send_until": 2}
    assert receiver.entries("/in") == []
    assert scene.deliveries() == []


@pytest.mark.parametrize("loss", ["none", "role", "usage", "ended"])
def test_a_marketers_two_gates_are_asked_before_anything_is_sent(
    receiver: Receiver, loss: str
) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    marketer = make_member(scene.workspace)
    held = MemberGrant.objects.create(
        user=marketer, content_object=scene.webhook, permission=granting.use_permission()
    )
    Plan.objects.filter(pk=scene.plan.pk).update(responsible=marketer)
    scene.submit()
    if loss == "role":
        marketer.memberships.get().roles.clear()
        members.sync(marketer)
    elif loss == "usage":
        held.delete()
    elif loss == "ended":
        granting.end(grant=held, actor=None, now=timezone.now())

    scene.drain(seconds=3)

    plan = Plan.objects.get(pk=scene.plan.pk)
    sent = len(receiver.entries("/in"))
    if loss == "none":
        assert (plan.pause_reason, sent) == ("", 3)
    else:
        assert (plan.pause_reason, sent) == (control.PERMISSION_LOST, 0)
        assert scene.counts().queued == 3


def test_the_gates_are_asked_before_another_try_too(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain(seconds=2, schedule=(timedelta(seconds=60),))
    scene.member.is_active = False
    scene.member.save()
    receiver.behave("/in", Behaviour())
    Message.objects.update(due_at=timezone.now())

    scene.drain(seconds=2)

    plan = Plan.objects.get(pk=scene.plan.pk)
    assert (plan.state, plan.pause_reason) == ("paused", control.PERMISSION_LOST)
    assert len(receiver.entries("/in")) == 3
    assert scene.counts().queued == 3
    assert not Message.objects.exclude(lease=None).exists()


def test_a_lost_gate_pauses_the_plan_and_tells_the_layer_above(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=600, concurrency=8)
    receiver.behave("/in", Behaviour(delay=0.04))
    heard: list[int] = []

    def hear(plan_ids: list[int], chunk_ids: list[int], **_: object) -> None:
        if not chunk_ids:
            heard.extend(plan_ids)

    deliveries_settled.connect(hear)
    scene.submit(size=200)  # A chunk takes a second, and so long is a gate taken for open.
    sender = Sender(options=OPTIONS)
    sender.start()
    while len(receiver.entries("/in")) < 20:
        sender.turn()
    scene.member.is_active = False
    scene.member.save()
    drain_until_quiet(sender, scene, seconds=4)
    deliveries_settled.disconnect(hear)

    plan = Plan.objects.get(pk=scene.plan.pk)
    assert (plan.state, plan.pause_reason) == ("paused", control.PERMISSION_LOST)
    assert heard == [scene.plan.pk]
    counts = scene.counts()
    assert counts.delivered + counts.queued == 600
    assert counts.queued >= 200
    check_invariants(scene)


# --- People who merge or go -----------------------------------------------------------------------


def test_of_two_merged_people_in_one_run_the_survivor_is_sent_to(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    older, newer, _other = scene.qaids
    _merge(newer, into=older)
    scene.submit()
    scene.drain()

    found = {each.qaid: (each.state, each.reason) for each in scene.deliveries()}
    assert found[newer] == ("skipped", "merged")
    assert found[older] == ("delivered", "")


def test_a_merged_person_whose_survivor_is_not_in_the_run_is_sent_to(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    older, newer = scene.qaids
    _merge(newer, into=older)
    scene.submit(qaids=[newer])
    scene.drain()

    (entry,) = receiver.entries("/in")
    assert entry.recipients[0]["id"] == f"138{older:08}"
    (delivery,) = scene.deliveries()
    assert (delivery.qaid, delivery.state) == (newer, "delivered")


def test_a_merged_person_waits_while_the_survivors_chunk_is_being_sent(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    older, newer = scene.qaids
    _merge(newer, into=older)
    submit(plan=scene.plan, chunks=[NewChunk(0, [older])], now=timezone.now())
    held = Chunk.objects.filter(number=0)
    later = timezone.now() + timedelta(minutes=1)
    held.update(lease=uuid.uuid4(), lease_until=later)
    submit(plan=scene.plan, chunks=[NewChunk(1, [newer])], now=timezone.now())
    scene.drain(seconds=0.5)
    waiting = Chunk.objects.get(number=1)
    assert (waiting.unsent, waiting.lease) == (1, None)
    assert waiting.due_at > timezone.now()

    held.update(lease=None, lease_until=None)
    Chunk.objects.update(due_at=timezone.now())
    scene.drain()
    assert scene.counts().delivered == 1
    assert scene.counts().by_reason("skipped") == {"merged": 1}


def test_an_erased_person_is_not_sent_to(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    Profile.objects.filter(pk=scene.qaids[0]).update(erased_at=timezone.now())
    scene.submit()
    scene.drain()

    first, second = scene.deliveries()
    assert (first.state, first.reason) == ("cancelled", "erased")
    assert second.state == "delivered"


@pytest.mark.parametrize("batch_size", [1, 3])
def test_who_is_erased_while_waiting_for_another_try_gets_none(
    receiver: Receiver, batch_size: int
) -> None:
    scene = make_scene(receiver.url("/in"), people=3, batch_size=batch_size)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain(seconds=0.5, schedule=(timedelta(hours=1),))
    first = {each.message_id for each in receiver.entries("/in")}
    _erased, *others = (each.id for each in scene.deliveries())
    Profile.objects.filter(pk=scene.qaids[0]).update(erased_at=timezone.now())
    Message.objects.update(due_at=timezone.now())
    receiver.behave("/in", Behaviour())
    tried = len(receiver.entries("/in"))
    scene.drain()

    states = [(each.state, each.reason, each.attempts) for each in scene.deliveries()]
    assert states == [("cancelled", "erased", 1), ("delivered", "", 2), ("delivered", "", 2)]
    again = receiver.entries("/in")[tried:]
    assert sorted(each for entry in again for each in entry.delivery_ids) == sorted(others)
    # Other people than before are another message.
    assert first.isdisjoint(each.message_id for each in again) == (batch_size > 1)
    assert not Message.objects.exists()
    check_invariants(scene)


def _merge(qaid: int, *, into: int) -> None:
    Profile.objects.filter(pk=qaid).update(merged_into=into, tags={}, tag_times={})


# --- What nobody's person is to blame for ---------------------------------------------------------


def test_a_plan_that_no_request_can_be_made_of_stands_still_and_nobody_fails(
    receiver: Receiver,
) -> None:
    scene = make_scene(receiver.url("/in"), people=3)
    definition = {**scene.plan.definition, "encryption": "aes"}
    Plan.objects.filter(pk=scene.plan.pk).update(definition=definition)
    scene.submit()
    scene.drain(seconds=0.6)

    plan = Plan.objects.get(pk=scene.plan.pk)
    assert (plan.state, plan.pause_reason) == ("paused", control.UNSENDABLE)
    assert scene.counts().unsent == 3
    assert receiver.entries("/in") == []


def test_a_waiting_person_expires_with_the_steps_last_moment(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=2)
    receiver.behave("/in", Behaviour(status=503))
    scene.submit()
    scene.drain(seconds=0.5, schedule=(timedelta(seconds=0.7),) * 4)
    Plan.objects.filter(pk=scene.plan.pk).update(send_until=timezone.now())
    Message.objects.update(due_at=timezone.now())
    scene.drain(seconds=3)

    assert {(each.state, each.reason) for each in scene.deliveries()} == {("expired", "send_until")}
    check_invariants(scene)


def test_nobody_is_to_be_tried_again_after_the_steps_last_moment(receiver: Receiver) -> None:
    scene = make_scene(receiver.url("/in"), people=1)
    receiver.behave("/in", Behaviour(status=503))
    soon = timezone.now() + timedelta(seconds=30)
    Plan.objects.filter(pk=scene.plan.pk).update(send_until=soon)
    scene.submit()
    scene.drain(seconds=3, schedule=(timedelta(seconds=60),))

    assert [(each.state, each.reason) for each in scene.deliveries()] == [("expired", "expired")]
