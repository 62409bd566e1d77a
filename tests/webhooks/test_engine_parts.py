"""The engine's parts by themselves: lanes, rates, partitions, states, progress, flags."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone

from tests.webhooks.factories import make_administrator, make_member
from tests.webhooks.scene import Scene, make_scene
from webhooks import (
    claiming,
    control,
    lanes,
    outbox,
    partitions,
    plans,
    progress,
    rates,
    rows,
    states,
)
from webhooks.choices import StateByte, WebhookState
from webhooks.leases import Lease
from webhooks.models import Chunk, Delivery, Plan, WebhookControl
from webhooks.outbox import NewChunk
from webhooks.partitions import NoPartition
from webhooks.plans import PlanCache
from webhooks.work import Ending, Held, Recipient, Tried
from workspaces.models import AuditEntry, Notice, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene("http://127.0.0.1:9/in", people=6)


def lock(chunk: Chunk) -> states.ChunkStates:
    with connection.cursor() as cursor:
        return states.lock(cursor, [chunk.pk])[chunk.pk]


# --- Lanes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 7, 8, 50, 64, 255, 2_000])
def test_all_lanes_together_carry_the_concurrency(concurrency: int) -> None:
    count = lanes.count_of(concurrency)

    assert lanes.slots_of(concurrency, range(count)) == concurrency
    assert all(lanes.slots_of(concurrency, [number]) > 0 for number in range(count))


def test_a_lane_is_held_by_one_at_a_time(scene: Scene) -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    taken = lanes.take(scene.webhook.pk, concurrency=64, wanted=6, token=one, seconds=60)
    rest = lanes.take(scene.webhook.pk, concurrency=64, wanted=6, token=other, seconds=60)

    assert len(taken) == 6
    assert sorted(taken + rest) == list(range(8))

    lanes.give_back(scene.webhook.pk, one)
    again = lanes.take(scene.webhook.pk, concurrency=64, wanted=8, token=other, seconds=60)
    assert sorted(again) == sorted(taken)


def test_lanes_that_a_smaller_concurrency_has_not_carry_nothing(scene: Scene) -> None:
    token = uuid.uuid4()
    taken = lanes.take(scene.webhook.pk, concurrency=64, wanted=8, token=token, seconds=60)

    assert lanes.slots_of(8, taken) == 8


# --- Rates ----------------------------------------------------------------------------------------


def test_a_bucket_gives_no_more_than_its_burst(scene: Scene) -> None:
    past = timezone.now() - timedelta(hours=1)
    WebhookControl.objects.filter(webhook=scene.webhook).update(tokens=0, tokens_at=past)

    assert rates.take(scene.webhook.pk, rate=100, wanted=50) == 20


def test_a_bucket_fills_with_time(scene: Scene) -> None:
    rates.take(scene.webhook.pk, rate=100, wanted=20)
    past = timezone.now() - timedelta(milliseconds=100)
    WebhookControl.objects.filter(webhook=scene.webhook).update(tokens=0, tokens_at=past)

    assert 9 <= rates.take(scene.webhook.pk, rate=100, wanted=50) <= 20


# --- Partitions -----------------------------------------------------------------------------------


def test_days_ahead_are_made_once() -> None:
    now = timezone.now() + timedelta(days=400)

    assert partitions.ensure_ahead(now=now) == partitions.DAYS_AHEAD + 1
    assert partitions.ensure_ahead(now=now) == 0
    partitions.require(partitions.day_of(now) + timedelta(days=14))


def test_planning_fails_without_a_partition(scene: Scene) -> None:
    far = timezone.now() + timedelta(days=600)

    with pytest.raises(NoPartition, match="partition for deliveries planned on"):
        outbox.submit(plan=scene.plan, chunks=[NewChunk(0, scene.qaids)], now=far)


def test_old_days_are_dropped_whole() -> None:
    long_ago = timezone.now() - timedelta(days=900)
    partitions.ensure_ahead(now=long_ago)
    day = partitions.day_of(long_ago) + timedelta(days=3)

    assert partitions.before(day=day) == partitions.drop_before(day=day)

    assert partitions.before(day=day) == []
    with pytest.raises(NoPartition):
        partitions.require(partitions.day_of(long_ago))


# --- States ---------------------------------------------------------------------------------------


def test_moving_a_person_keeps_every_counter_right(scene: Scene) -> None:
    scene.submit()
    (chunk,) = scene.chunks()
    with transaction.atomic(), connection.cursor() as cursor:
        locked = states.lock(cursor, [chunk.pk])[chunk.pk]
        locked.move(0, StateByte.DELIVERED)
        locked.move(1, StateByte.DEAD, "rejected")
        locked.move(2, StateByte.WAITING)
        locked.move(2, StateByte.WAITING)
        locked.store(cursor)

    chunk.refresh_from_db()
    assert (chunk.delivered, chunk.dead, chunk.queued, chunk.unsent) == (1, 1, 4, 3)
    assert chunk.unadvanced == 2
    assert chunk.tallies == {"dead:rejected": 1}


def test_whoever_was_handed_on_is_not_handed_on_again(scene: Scene) -> None:
    scene.submit()
    (chunk,) = scene.chunks()
    with transaction.atomic(), connection.cursor() as cursor:
        locked = states.lock(cursor, [chunk.pk])[chunk.pk]
        locked.move(0, StateByte.DEAD, "rejected")
        locked.move(1, StateByte.CANCELLED, "cancelled")
        locked.store(cursor)
        assert states.take_ended(cursor, locked) == [0]

        again = lock(chunk)
        again.move(0, StateByte.WAITING)
        again.move(0, StateByte.DELIVERED)
        again.store(cursor)
        assert states.take_ended(cursor, lock(chunk)) == []

    chunk.refresh_from_db()
    assert (chunk.delivered, chunk.unadvanced) == (1, 0)


def test_the_database_refuses_a_chunk_that_does_not_add_up(scene: Scene) -> None:
    scene.submit()

    with pytest.raises(IntegrityError), transaction.atomic():
        Chunk.objects.update(delivered=1)


# --- Progress and flags ---------------------------------------------------------------------------


def test_progress_is_one_statement_for_many_plans(
    scene: Scene, django_assert_num_queries: object
) -> None:
    scene.submit(size=2)
    Chunk.objects.filter(number=0).update(
        queued=0, unsent=0, dead=2, tallies={"dead:rejected": 1, "dead:too_long": 1}
    )
    Chunk.objects.filter(number=1).update(
        queued=1, unsent=0, dead=1, tallies={"dead:rejected": 1, "blank:content:name": 1}
    )

    with django_assert_num_queries(1):  # type: ignore[operator]
        found = progress.counts([scene.plan.pk, -1])

    counts = found[scene.plan.pk]
    assert (counts.planned, counts.dead, counts.queued, counts.unsent) == (6, 3, 3, 2)
    assert (counts.retrying, counts.ended, counts.chunks) == (1, 3, 3)
    assert counts.by_reason("dead") == {"rejected": 2, "too_long": 1}
    assert found[-1].planned == 0


def test_a_webhook_is_paused_and_resumed_once(scene: Scene) -> None:
    now = timezone.now()

    assert control.pause(webhook=scene.webhook, actor=scene.member, now=now)
    assert not control.pause(webhook=scene.webhook, actor=scene.member, now=now)
    assert not control.read_flags([scene.plan.pk])[scene.plan.pk].may_send
    assert control.resume(webhook=scene.webhook, actor=scene.member, now=now)
    assert not control.resume(webhook=scene.webhook, actor=scene.member, now=now)

    assert control.read_flags([scene.plan.pk])[scene.plan.pk].may_send
    told = AuditEntry.objects.filter(action__in=["webhook.paused", "webhook.active"])
    assert told.count() == 2


def test_who_has_to_know_is_told_that_a_webhook_no_longer_sends(scene: Scene) -> None:
    other = make_administrator(scene.workspace)
    marketer = make_member(scene.workspace)
    idle = make_member(scene.workspace)
    scene.submit()
    Plan.objects.update(responsible=marketer)
    plans.create(
        revision=scene.webhook.revisions.get(),
        run_id=1,
        step_key=str(uuid.uuid4()),
        definition=scene.plan.definition,
        labels={},
        responsible=idle,
    )

    def told() -> set[tuple[str, User]]:
        found = set(Notice.objects.values_list("kind", "user"))
        Notice.objects.all().delete()
        return {(kind, User.objects.get(pk=pk)) for kind, pk in found}

    control.pause(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    assert told() == {("webhook_paused", other), ("webhook_paused", marketer)}
    control.disable(webhook=scene.webhook, actor=other, now=timezone.now())
    assert told() == {("webhook_disabled", scene.member), ("webhook_disabled", marketer)}
    control.resume(webhook=scene.webhook, actor=other, now=timezone.now())
    control.stop_by_engine(
        scene.webhook.pk, state=WebhookState.PAUSED, reason="egress", now=timezone.now()
    )
    assert told() == {
        ("webhook_egress", scene.member),
        ("webhook_egress", other),
        ("webhook_paused", marketer),
    }


def test_a_cancelled_plan_is_not_paused_or_resumed(scene: Scene) -> None:
    now = timezone.now()
    control.cancel_plans([scene.plan.pk])

    assert control.pause_plans([scene.plan.pk], now=now) == 0
    assert control.resume_plans([scene.plan.pk], responsible=scene.member, now=now) == 0
    assert Plan.objects.get(pk=scene.plan.pk).state == "cancelled"


def test_refusals_are_counted_over_all_senders(scene: Scene) -> None:
    def note(run: int, *, is_continued: bool) -> bool:
        return control.note_misconfigured(
            scene.webhook.pk, run=run, is_continued=is_continued, pause_at=20
        )

    assert not note(15, is_continued=True)
    assert not note(3, is_continued=False), "another answer came in between"
    assert not note(16, is_continued=True)
    assert note(1, is_continued=True)


# --- Claims ---------------------------------------------------------------------------------------


def test_the_chunk_that_is_due_longest_comes_first(scene: Scene) -> None:
    now = timezone.now()
    chunks = [
        NewChunk(0, scene.qaids[:2], None, now - timedelta(minutes=1)),
        NewChunk(1, scene.qaids[2:4], None, now - timedelta(minutes=9)),
    ]
    outbox.submit(plan=scene.plan, chunks=chunks, now=now)

    with connection.cursor() as cursor:
        claimed = claiming.claim_chunk(cursor, scene.webhook.pk, token=uuid.uuid4(), seconds=60)

    assert claimed is not None
    assert list(claimed[0].qaids) == scene.qaids[2:4]


def test_a_chunk_handed_back_counts_as_never_claimed(scene: Scene) -> None:
    scene.submit()
    token = uuid.uuid4()
    with connection.cursor() as cursor:
        claimed = claiming.claim_chunk(cursor, scene.webhook.pk, token=token, seconds=60)
        assert claimed is not None
        other = uuid.uuid4()
        assert claiming.claim_chunk(cursor, scene.webhook.pk, token=other, seconds=60) is None
        assert claiming.hand_back_chunk(cursor, claimed[0].id, token)
        again = claiming.claim_chunk(cursor, scene.webhook.pk, token=other, seconds=60)

    assert again is not None
    assert (again[0].claims, again[0].was_open) == (1, False)


def test_what_a_claim_took_whose_answer_was_lost_is_handed_back_by_its_token(
    scene: Scene,
) -> None:
    scene.submit()
    token = uuid.uuid4()
    with connection.cursor() as cursor:
        claiming.claim_chunk(cursor, scene.webhook.pk, token=token, seconds=60)
        claiming.hand_back_all(cursor, scene.webhook.pk, uuid.uuid4())
        assert Chunk.objects.get().lease == token
        claiming.hand_back_all(cursor, scene.webhook.pk, token)

    chunk = Chunk.objects.get()
    assert (chunk.lease, chunk.claims) == (None, 0)


# --- Arrays ---------------------------------------------------------------------------------------

HOSTILE = ['"', "\\", '\\"', "{}", "a,b", "NULL", "", " ", "'; DROP TABLE x --", "张三 😀", "\n\t"]
HOSTILE += ["\\N", "\\.", "\r", "\\t"]


@pytest.mark.parametrize("values", [HOSTILE, ["plain"], [], ["", ""], ["a", None, '"'], [None]])
def test_an_array_is_read_back_as_it_was(values: list[str | None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [rows.texts(values)])
        assert cursor.fetchone()[0] == values


@pytest.mark.parametrize("values", [HOSTILE, ["plain"], ["a", None], []])
def test_an_array_within_an_array_is_read_back_as_it_was(values: list[str | None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.texts::text[] FROM unnest(%s::text[]) AS u (texts)",
            [rows.texts([rows.texts(values), None])],
        )
        assert [row[0] for row in cursor.fetchall()] == [values, None]


@pytest.mark.parametrize("value", [*HOSTILE, "plain"])
@pytest.mark.parametrize("write", [rows.copy_deliveries, rows.insert_deliveries])
def test_a_row_is_read_back_as_it_was(scene: Scene, write: Any, value: str) -> None:
    day, at = partitions.day_of(timezone.now()), 1_800_000_000.123456
    held = Held(Lease("webhooks_chunk", [1], until=0.0), scene.webhook.pk, chunk_id=1, day=day)
    who = Recipient(3, "dlv_1", 7, value, value, [value, None, "x"], 5, 6)
    tried = Tried(held, [Ending(who, StateByte.DEAD, "http_422")], at=at, status=422, answer=value)
    left_out = Recipient(4, "dlv_2", 8)
    skipped = Tried(held, [Ending(left_out, StateByte.SKIPPED, "no_id")])
    where: dict[str, Any] = {"plan": PlanCache().get(scene.plan.pk), "chunk_id": 1, "day": day}
    if write is rows.copy_deliveries:
        where["now"] = timezone.now()

    with connection.cursor() as cursor:
        write(cursor, **where, tried=[tried, skipped])

    one, other = Delivery.objects.order_by("pk")
    assert (one.sent_id, one.reach_id, one.texts) == (value, value, [value, None, "x"])
    assert (one.answer, one.status_code, one.duration_ms) == (value, 422, None)
    assert (one.position, one.qaid, one.defaulted, one.blanked) == (3, 7, 5, 6)
    assert (one.state, one.reason) == ("dead", "http_422")
    assert one.first_attempt_at is not None
    assert one.first_attempt_at.timestamp() == at
    assert (other.state, other.reason, other.texts) == ("skipped", "no_id", None)
    assert (other.first_attempt_at, other.status_code, other.answer) == (None, None, "")
