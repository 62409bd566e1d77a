"""Groups B and C: receivers that fail for long and come back, and queues that must not grow."""

import time
from datetime import timedelta
from urllib.parse import urlsplit

from django.db.models import Sum
from django.utils import timezone

from faults.matrix import Figures, row, tests
from faults.processes import check, resident_mb
from faults.rig import Rig, totals
from faults.rows.crashes import is_over
from faults.rows.load import hang_up
from journeys import starting
from tests.journeys.test_runner import publish
from tests.webhooks.scene import Scene
from webhooks import breaker, outbox, pressure
from webhooks.models import Chunk, Message, Plan, Webhook, WebhookControl
from workspaces.models import Notice

# Seconds in place of minutes.
QUICK = {
    "window_seconds": 5,
    "results": 20,
    "open_seconds": 1.0,
    "open_seconds_at_most": 2.0,
    "probe_seconds": 5.0,
}
SCHEDULE = [0.2] * 30


def control_of(scene: Scene) -> WebhookControl:
    return WebhookControl.objects.get(webhook=scene.webhook)


@row("B4", "a receiver that fails, and then recovers: breaker and probes")
def left_alone(rig: Rig) -> Figures:
    down, concurrency = 10.0, 16
    recovers = time.time() + down
    scene = rig.scene(f"recover-at/{recovers}", people=400, submit=100, concurrency=concurrency)
    rig.sender(breaker=QUICK, schedule=SCHEDULE)
    rig.sender(breaker=QUICK, schedule=SCHEDULE)
    rig.wait(lambda: control_of(scene).breaker_opened_times, "the breaker opens")
    rig.wait_until_done(scene)
    failed = [line for line in rig.ledger.lines() if line["at"] < recovers]
    # What opened it, what was open then, and three probes for each second.
    most = QUICK["results"] + 4 * concurrency + breaker.PROBES * (down / QUICK["open_seconds"])
    check(len(failed) <= most, f"at most {most:g} requests while it fails, not {len(failed)}")
    check(scene.counts().delivered == 400, f"then everybody is delivered: {totals()}")
    told = Notice.objects.filter(kind="webhook_trouble").values("user").distinct().count()
    notices = Notice.objects.filter(kind="webhook_trouble").count()
    check(0 < told == notices, f"and each is told once: {notices} notices to {told}")
    return {"people": 400, "requests while it failed": len(failed)}


@row("B5", "410, failures for a day (in seconds), and now and then")
def given_up(rig: Rig) -> Figures:
    gone = rig.scene("status/410", people=50, submit=50)
    failing = rig.scene("status/503", people=50, submit=50)
    sporadic = rig.scene("flaky/0.2", people=200, submit=50)
    rules = {**QUICK, "give_up_seconds": 4.0}
    rig.sender(breaker=rules, schedule=SCHEDULE)
    rig.wait(lambda: control_of(gone).state == "disabled", "410 disables")
    rig.wait(lambda: control_of(failing).state == "disabled", "failing for a day disables")
    rig.wait_until_done(sporadic)
    check(control_of(sporadic).state == "active", "failing now and then does not")
    check(sporadic.counts().delivered == 200, f"everybody of it is delivered: {totals()}")
    for scene in (gone, failing):
        check(scene.counts().queued == 50, "whoever is left waits")
    rig.allowed.uncounted |= {urlsplit(gone.webhook.url).path}
    kinds = set(Notice.objects.values_list("kind", flat=True))
    check({"webhook_gone", "webhook_failing"} <= kinds, f"the administrators are told: {kinds}")
    before = rig.ledger.count()
    time.sleep(2)
    check(rig.ledger.count() == before, "and nothing more is sent")
    hang_up(rig)
    return {"people": 300}


@row("C5", "a receiver comes back, and takes 40 a second")
def storm(rig: Rig) -> Figures:
    recovers = time.time() + 8
    scene = rig.scene(
        f"recover-at/{recovers}/50", people=1_000, submit=100, rate_per_second=40, concurrency=32
    )
    rig.sender(breaker=QUICK, schedule=SCHEDULE)
    rig.sender(breaker=QUICK, schedule=SCHEDULE)
    rig.wait_until_done(scene)
    after = [line for line in rig.ledger.lines() if line["at"] >= recovers]
    refused = sum(line["status"] == 429 for line in after) / len(after)
    check(refused < 0.05, f"less than 5 % are refused, not {refused:.1%}")
    check(scene.counts().delivered == 1_000, f"everybody is delivered: {totals()}")
    mean = len(after) / (after[-1]["at"] - after[0]["at"])
    check(mean > 25, f"the rate is used, not {mean:.1f} a second")
    return {"people": 1_000, "refused": round(refused, 3), "mean a second": round(mean, 1)}


@row("B13", "more people than can be reached until the step's last moment")
def too_late(rig: Rig) -> Figures:
    slow = rig.scene("slow/0.2", people=1_000, submit=100, concurrency=8)
    failing = rig.scene("status/503", people=50, submit=50)
    old = rig.scene("status/503", people=50, submit=50)
    ends = timezone.now() + timedelta(seconds=15)
    Plan.objects.filter(pk__in=[slow.plan.pk, failing.plan.pk]).update(send_until=ends)
    rig.sender(schedule=[4.0] * 30)
    rig.wait(lambda: Message.objects.filter(plan=old.plan).count() == 50, "they wait for a try")
    Message.objects.filter(plan=old.plan).update(expires_at=timezone.now())
    rig.wait_until_done(slow, failing, old)
    counts = slow.counts()
    check(counts.delivered + counts.expired == 1_000, f"in time or expired: {totals()}")
    check(counts.delivered and counts.expired > 100, f"and some of both: {totals()}")
    check(failing.counts().expired == old.counts().expired == 50, "who waited for a try expires")
    late = max(line["at"] for line in rig.ledger.lines()) - ends.timestamp()
    check(late < 0.5, f"nothing is sent after the last moment; {late:.1f} s after")
    return {"people": 1_100, "in time": counts.delivered, "expired": 100 + counts.expired}


_RUNNER = "tests/journeys/test_runner.py"
_FULL = tests(
    f"{_RUNNER}::test_a_run_keeps_its_pages_while_enough_people_wait_for_its_webhook",
    f"{_RUNNER}::test_people_stay_in_a_step_while_enough_wait_for_the_next_ones_webhook",
    f"{_RUNNER}::test_events_wait_while_their_journeys_webhook_is_full_and_others_go_on",
    "tests/identity/test_ingestion.py::test_who_reports_more_than_can_be_taken_is_asked_to_wait",
)


@row("C6", "more comes in than the receiver takes: the queue stops growing", guard="full")
def full(rig: Rig) -> Figures:
    people, mark = 90_000, pressure.PEOPLE_AT_LEAST
    scene = rig.crowd("ok", people=people, concurrency=256, rate_per_second=100, timeout_seconds=10)
    planner = rig.planner()
    sender = rig.sender(lease_seconds=30.0)
    run = publish(scene, scene.journey(), timezone.now())

    def planned() -> int:
        return Chunk.objects.aggregate(people=Sum("size"))["people"] or 0

    rig.wait(lambda: planned() >= mark, "as many are planned as may wait", seconds=300)
    early = [resident_mb(each.pid) for each in (planner, sender)]
    time.sleep(10)
    waiting = Chunk.objects.aggregate(people=Sum("unsent"))["people"]
    page = starting.PAGE_CHUNKS * outbox.CHUNK_PEOPLE
    check(waiting < mark + page, f"no more wait than the mark and a page of it: {waiting}")
    grown = max(
        late / before
        for late, before in zip(
            (resident_mb(each.pid) for each in (planner, sender)), early, strict=True
        )
    )
    check(grown < 1.1, f"nobody's memory grows meanwhile; one's is {grown:.2f} times as large")
    Webhook.objects.filter(pk=scene.webhook.pk).update(rate_per_second=None)
    rig.wait(lambda: is_over(run), "it goes on as they are taken", seconds=600, every=0.5)
    check(totals() == {"delivered": people}, f"everybody is delivered: {totals()}")
    # Steps after the first, events, and the API's 429: with lower marks than these.
    return {"people": people, "waiting at most": waiting, "memory, times": round(grown, 2)} | (
        _FULL(rig)
    )
