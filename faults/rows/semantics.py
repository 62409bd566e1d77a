"""Group B: what an answer means, when a try is repeated, in which order, and who may stop it."""

import base64
import hashlib
import hmac
import json
import statistics
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from threading import Barrier
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from faults.matrix import Figures, row, tests
from faults.processes import check, free_port
from faults.rig import FLUSH_PEOPLE, Rig, totals
from faults.rows.crashes import is_over
from faults.visitors import Visitor, publishing
from journeys.models import Run
from tests.factories import make_administrator
from tests.journeys.factories import Scene as Crowd
from tests.journeys.test_runner import publish
from tests.webhooks.scene import Scene
from tests.webhooks.test_answers import STATUSES
from tests.webhooks.test_transport import certificate
from webhooks import control, keys, redelivery, registering
from webhooks.answers import Action
from webhooks.choices import Guarantee, SecretKind
from webhooks.models import Delivery, Message, Plan, Redelivery, WebhookControl, WebhookSecret
from workspaces.models import AuditEntry, User


@row("A3o", "at most once: a sender dies after the answers", guard="intent")
def once_killed_after_answers(rig: Rig) -> Figures:
    scene = rig.scene("ok", people=60, submit=60, concurrency=20, guarantee=Guarantee.AT_MOST_ONCE)
    rig.sender(points="after_response=kill:20", flush_seconds=30.0).wait()
    rig.sender()
    rig.wait_until_done(scene)
    counts = scene.counts()
    check(counts.uncertain >= 20, f"whose outcome nobody knows is uncertain: {totals()}")
    check(counts.uncertain + counts.delivered == 60, f"the others are delivered: {totals()}")
    check(rig.ledger.count() <= 60, "nobody was sent to twice")
    return {"people": 60, "uncertain": counts.uncertain, "delivered": counts.delivered}


# --- Answers --------------------------------------------------------------------------------------


def told(scene: Scene) -> str:
    """Return what became of the scene's one person, in the words of ``Action``."""
    state = WebhookControl.objects.get(webhook=scene.webhook).state
    if state != "active":
        return {"paused": Action.PAUSE, "disabled": Action.DISABLE}.get(state, state)
    message = Message.objects.filter(plan=scene.plan).first()
    if message is not None:
        return Action.RETRY if message.attempts else Action.WAIT
    return next((each.state for each in scene.deliveries()), "nothing")


# What is kept of each status as the reason; of the others, nothing.
REASONS = {
    **{status: f"status_{status}" for status, *_ in STATUSES if status > 299},
    **dict.fromkeys((400, 405, 411, 413, 415, 422, 501), "rejected"),
    **dict.fromkeys((300, 301, 307, 401, 403, 404), "misconfigured"),
    409: "repeated",
    410: "gone",
}


@row("B1", "the answer table, on real sockets and under both promises")
def answer_table(rig: Rig) -> Figures:
    folder = rig.directory / "certificate"
    folder.mkdir()
    certificate(folder)
    tls = rig.receiver("--certificate", str(folder / "cert.pem"))
    # Beside what follows: the status that is kept, and the reason, where it is not the status's.
    network: list[tuple[str, Action, Action, int | None, str]] = [
        (f"http://127.0.0.1:{free_port()}/gone", Action.RETRY, Action.RETRY, None, "refused"),
        ("http://no-such-host.invalid/", Action.RETRY, Action.RETRY, None, "dns"),
        (rig.ledger.url("/n/-/reset"), Action.RETRY, Action.UNCERTAIN, None, "reset"),
        (rig.ledger.url("/n/-/hang"), Action.RETRY, Action.UNCERTAIN, None, "read_timeout"),
        # It never answers the handshake: the time to connect runs out, and nothing was sent.
        (
            rig.ledger.url("/n/-/ok", scheme="https"),
            *(Action.RETRY, Action.RETRY, None, "connect_timeout"),
        ),
        (tls.url("/n/-/ok", scheme="https"), Action.PAUSE, Action.PAUSE, None, "certificate"),
        (rig.ledger.url("/n/-/ok", host="127.0.0.2"), Action.PAUSE, Action.PAUSE, None, "egress"),
    ]
    statuses: list[tuple[str, Action, Action, int | None, str]] = [
        (rig.ledger.url(f"/s/-/status/{status}"), usual, once, status, REASONS.get(status, ""))
        for status, usual, once, _failure in STATUSES
        if status >= 200
    ]
    scenes = []
    for url, usual, once, status, reason in [*statuses, *network]:
        for guarantee, expected in (
            ("at_least_once", usual),
            # At most once, the first answer of that kind pauses the webhook.
            ("at_most_once", Action.PAUSE if once is Action.WAIT else once),
        ):
            scene = rig.scene(
                "", url=url, people=1, submit=1, guarantee=guarantee, timeout_seconds=10
            )
            rig.allowed.uncounted.add(urlsplit(url).path)
            scenes.append((scene, f"{url} {guarantee}", expected, status, reason))
    # A slow machine must not turn an answer into a time-out.
    rig.sender(schedule=[600.0], lease_seconds=30.0)

    def is_done() -> bool:
        return all(told(scene) != "nothing" for scene, *_ in scenes)

    rig.wait(is_done, "every webhook got its answer")
    wrong = [
        f"{name}: {told(scene)}, not {expected}"
        for scene, name, expected, *_ in scenes
        if told(scene) != expected
    ]
    check(not wrong, f"{len(wrong)} of {len(scenes)}: " + "; ".join(wrong[:5]))
    for scene, name, expected, status, reason in scenes:
        if expected in (Action.PAUSE, Action.DISABLE):
            stopped = WebhookControl.objects.get(webhook=scene.webhook).reason
            check(stopped == reason, f"{name}: stopped for {stopped}, not {reason}")
        else:
            (kept,) = scene.deliveries()
            found = (kept.status_code, kept.reason)
            check(found == (status, reason), f"{name}: {found} is kept, not {(status, reason)}")
    return {"answers": len(scenes)}


@row("B2", "Retry-After in every spelling", guard="clamp")
def retry_after(rig: Rig) -> Figures:
    step, hour = 2.0, 3_600.0
    soon = format_datetime(timezone.now() + timedelta(seconds=90), usegmt=True)
    asked: list[tuple[str, float, float]] = [
        ("7", 7, 7 + 0.2 * step),
        (soon, 60, 90 + 0.2 * step),
        ("0", step, 1.2 * step),
        ("-1", 0.8 * step, 1.2 * step),
        ("1e9", 0.8 * step, 1.2 * step),
        ("soon", 0.8 * step, 1.2 * step),
        ("999999999999999999999", hour, hour),
        ("7200", hour, hour),
        ("soon|30|7", 30, 30 + 0.2 * step),
    ]
    scenes: list[tuple[Scene, str, float, float]] = []
    for value, least, most in asked:
        told_so = "|".join(map(quote, value.split("|")))
        scene = rig.scene(f"retry-after/{told_so}", people=1, submit=1)
        scenes.append((scene, value, least, most))
    rig.sender(schedule=[step] * 3)
    rig.wait(lambda: Delivery.objects.count() == len(scenes), "everybody was tried")
    delays = {}
    for scene, value, least, most in scenes:
        message = Message.objects.get(plan=scene.plan)
        assert message.first_attempt_at is not None
        waits = (message.due_at - message.first_attempt_at).total_seconds()
        delays[value] = round(waits, 1)
        # The answer takes its time, and the machine too.
        check(least - 0.1 <= waits <= most + 5, f"{value}: {least} to {most} s, not {waits:.1f}")
    Message.objects.update(due_at=timezone.now() + timedelta(hours=1))
    return {"waited in s": delays}


@row("B3", "an endpoint that always fails: schedule and jitter", guard="jitter")
def schedule_and_jitter(rig: Rig) -> Figures:
    steps = [0.5, 1.0, 3.0]
    scene = rig.scene("status/500", people=200, submit=200, concurrency=200)
    rig.sender(schedule=steps)
    rig.wait_until_done(scene)
    times: dict[str, list[float]] = defaultdict(list)
    for line in rig.ledger.lines():
        times[line["delivery_ids"][0]].append(line["at"])
    gaps: list[list[float]] = [[] for _ in steps]
    for seen in times.values():
        check(len(seen) == 1 + len(steps), f"{1 + len(steps)} tries each, not {len(seen)}")
        for number, (before, after) in enumerate(pairwise(seen)):
            gaps[number].append(after - before)
    for step, found in zip(steps, gaps, strict=True):
        check(min(found) > 0.8 * step - 0.05, f"never sooner than {step} s less a fifth")
        check(max(found) < 1.2 * step + 5, f"{step} s and a fifth, not {max(found):.2f}")
    spread = statistics.pstdev(gaps[-1])
    check(spread > 0.2, f"they do not come in one lump; spread {spread:.2f} s")
    check(scene.counts().by_reason("dead") == {"status_500": 200}, "all are dead, with the reason")
    return {"people": 200, "tries": 1 + len(steps), "spread in s": round(spread, 2)}


# --- Again ----------------------------------------------------------------------------------------


def send_again(scene: Scene, *, reason: str | None = None) -> Redelivery:
    return redelivery.order(
        workspace=scene.workspace,
        actor=scene.member,
        chosen=redelivery.selection(plan_ids=[scene.plan.pk], reason=reason),
        now=timezone.now(),
    )


@row("B6", "send again by hand, before and after the automatic tries")
def manual_and_automatic(rig: Rig) -> Figures:
    scene = rig.scene("first/3", people=30, submit=30)
    rig.sender(schedule=[1.0, 1.0])
    rig.wait_for_requests(20)
    early = send_again(scene)
    check(early.total == 0, "who still waits for a try is not sent to beside it")
    rig.wait(lambda: scene.counts().dead == 30, "the automatic tries end")
    check(rig.ledger.count() == 90, "three tries each")
    send_again(scene), send_again(scene)  # A double click.
    rig.wait(lambda: scene.counts().delivered == 30, "the fourth try, by hand, is accepted")
    time.sleep(2)
    check(rig.ledger.count() == 120, f"one more try each, not {rig.ledger.count() - 90}")
    numbers = set(Delivery.objects.values_list("attempts", flat=True))
    check(numbers == {4}, f"the number of tries goes on, {numbers}")
    return {"people": 30, "tries": 4}


@row("B7", "replay after an outage, its worker killed half way")
def replay(rig: Rig) -> Figures:
    people = 2_000
    scene = rig.scene("first/1/422", people=people, submit=500, concurrency=32)
    sender = rig.sender()
    rig.wait_until_done(scene)
    check(scene.counts().dead == people, "all are refused first")
    check(send_again(scene, reason="status_503").total == 0, "nobody of another reason is chosen")
    send_again(scene, reason="rejected")
    rig.wait_for_requests(300)
    sender.kill()
    rig.allowed.doubled = 32 + FLUSH_PEOPLE
    heir = rig.sender()
    rig.wait(lambda: scene.counts().delivered == people, "then all are delivered")
    before = rig.ledger.count()
    check(send_again(scene).total == 0, "nobody is left to be sent to again")
    time.sleep(2)
    check(rig.ledger.count() == before, "and nobody is")
    audited = AuditEntry.objects.filter(action="delivery.redelivery_ordered").count()
    check(audited == 3, "each order is in the audit trail")
    # Whoever orders must still be allowed to when it is worked.
    refused = rig.scene("first/1/422", people=100, submit=100)
    rig.wait_until_done(refused)
    heir.stop()
    job = send_again(refused)
    User.objects.filter(pk=refused.member.pk).update(is_active=False)
    rig.sender()
    rig.wait(lambda: Redelivery.objects.get(pk=job.pk).finished_at, "the order ends")
    job.refresh_from_db()
    check(job.failure and not job.done, f"it ends with the reason, not with {job.done} people")
    check(refused.counts().dead == 100, "and nobody is sent to")
    return {"people": people, "beyond once more": before - 2 * people}


@row("B8", "twenty publish one journey at once, two planners start it")
def double_launch(rig: Rig) -> Figures:
    scene = rig.crowd("ok", people=1_000)
    journey = scene.journey()
    port, barrier = free_port(), Barrier(20)
    rig.web(port)
    marketer = Visitor(rig, user=scene.member, port=port)
    press_publish = publishing(marketer, journey, people=1_000)

    def press(_number: int) -> int:
        barrier.wait(30)
        return press_publish()

    rig.planner()
    rig.planner()
    with ThreadPoolExecutor(20) as people:
        answers = Counter(people.map(press, range(20)))
    check(set(answers) <= {200, 204, 302, 409, 422}, f"nobody meets an error: {answers}")
    made = list(Run.objects.all())
    check(len(made) == 1, f"one run is made, not {len(made)}; {answers}")
    rig.sender()
    rig.wait(lambda: is_over(made[0]), "it ends")
    check(rig.ledger.count() == 1_000, "everybody is sent to once")
    look_around(rig, scene, made[0], port)
    return {"clicks": 20, "runs": 1, "people": 1_000, "pages seen": len(rig.pages)}


def look_around(rig: Rig, scene: Crowd, run: Run, port: int) -> None:
    """See what there is to see of a run; I6 looks into it for keys and numbers.

    An administrator may see people in clear, and is asked for the webhook alone.
    """
    marketer = Visitor(rig, user=scene.member, port=port)
    administrator = Visitor(rig, user=make_administrator(scene.workspace), port=port)
    slug = scene.workspace.slug
    for visitor, path in (
        (marketer, reverse("journeys:list", args=[slug])),
        (marketer, reverse("journeys:run", args=[slug, run.journey_id, run.pk])),
        (marketer, reverse("journeys:deliveries", args=[slug])),
        (marketer, reverse("journeys:export", args=[slug])),
        (administrator, reverse("admin:webhooks_webhook_change", args=[scene.webhook.pk])),
    ):
        page = visitor.get(path)
        check(len(page) > 1_000, f"{path} shows something: {page[:200]}")


row("B9", "planners killed at their worst moments")(tests("tests/journeys/test_planner_kills.py"))


@row("B10", "three steps in order, each failing at first for some")
def order_of_steps(rig: Rig) -> Figures:
    scene = rig.crowd("some/0/5", people=200, concurrency=64)
    run = publish(scene, scene.journey(steps=[scene.config()] * 3), timezone.now())
    rig.planner()
    rig.sender()
    rig.wait(lambda: is_over(run), "the run ends")
    plans = list(Plan.objects.filter(run_id=run.pk).order_by("pk").values_list("pk", flat=True))
    steps = dict(Delivery.objects.values_list("id", "plan_id"))
    spans: dict[tuple[str, int], list[float]] = defaultdict(list)
    for line in rig.ledger.lines():
        (person,) = json.loads(line["text"])["recipients"]
        spans[person["id"], plans.index(steps[person["delivery_id"]])].append(line["at"])
    people = {person for person, _step in spans}
    for person in people:
        for step in (0, 1):
            ended, began = max(spans[person, step]), min(spans[person, step + 1])
            check(ended < began, f"step {step + 2} of {person} waits for step {step + 1}")
    check(len(spans) == 600, "everybody goes through all three")
    held_up = {person for person in people if len(spans[person, 0]) > 1}
    others = people - held_up
    check(min(len(held_up), len(others)) > 5, f"some fail at first, others do not: {len(held_up)}")
    usual = statistics.median(max(spans[person, 1]) for person in others)
    first = min(max(spans[person, 0]) for person in held_up)
    check(usual < first, f"nobody waits for others: {usual - first:.1f} s after them")
    return {"people": len(people), "steps": 3, "failing at first": len(held_up)}


@row("B11", "pause, edit, delete, disable and cancel in full flight")
def stop_in_flight(rig: Rig) -> Figures:
    people = 100_000
    scene = rig.scene("slow/0.1", people=people, submit=500, concurrency=16)
    # A lease of seconds may end by itself while so many are written.
    rig.sender(lease_seconds=15.0)
    rig.sender(lease_seconds=15.0)
    rig.wait_for_requests(200)
    control.pause(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    still_after = stands_still(rig)
    control.resume(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    rig.wait_for_requests(100)
    former = urlsplit(scene.webhook.url).path
    rig.allowed.former_paths[scene.webhook.pk] = former
    path = rig.path("slow/0.1")
    scene.change(url=rig.ledger.url(path))
    rig.wait(lambda: len(rig.ledger.lines(path)) > 100, "the new URL is called")
    time.sleep(1)
    last = max(line["at"] for line in rig.ledger.lines(former))
    first = min(line["at"] for line in rig.ledger.lines(path))
    check(last - first < 5, f"the former URL is not called any more after {last - first:.1f} s")
    try:
        registering.delete(webhook=scene.webhook, actor=scene.member)
    except ValidationError:
        pass  # Whoever has sent keeps its record; it can be disabled.
    else:
        check(False, "a webhook that people wait for is not deleted")
    control.disable(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    disabled_after = stands_still(rig)
    control.resume(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    rig.wait_for_requests(100)
    control.cancel_plans([scene.plan.pk])
    cancelled_after = stands_still(rig)
    rig.wait_until_done(scene)
    counts = scene.counts()
    check(counts.cancelled > 0, "whoever was left is cancelled")
    check(counts.cancelled + counts.delivered == people, f"nobody is lost: {totals()}")
    return {
        "people": people,
        "paused within s": round(still_after, 1),
        "disabled within s": round(disabled_after, 1),
        "cancelled within s": round(cancelled_after, 1),
        "cancelled": counts.cancelled,
    }


def stands_still(rig: Rig) -> float:
    """Wait until no request comes in for two seconds; return how long the last one took."""
    began = time.time()
    rig.wait(lambda: time.time() - rig.ledger.lines()[-1]["at"] > 2, "requests stop", every=0.2)
    last = float(rig.ledger.lines()[-1]["at"]) - began
    check(last < 5, f"it stops within 5 s, not {last:.1f}")
    return max(0.0, last)


@row("B12", "signatures, and a key that is changed in full flight")
def signatures(rig: Rig) -> Figures:
    scene = rig.scene("slow/0.02", people=4_000, submit=500, concurrency=8)
    old = keys.signing_secrets(scene.webhook, now=timezone.now())[0]
    rig.sender()
    rig.wait_for_requests(200)
    _secret, new = keys.make(
        webhook=scene.webhook, kind=SecretKind.SIGNING, actor=None, now=timezone.now()
    )
    made = time.time()
    rig.wait(lambda: verifies(rig.ledger.lines()[-1], new), "the new key signs")
    rig.wait_for_requests(200)
    WebhookSecret.objects.filter(webhook=scene.webhook, valid_until__isnull=False).update(
        valid_until=timezone.now()
    )
    ended = time.time()
    rig.wait(lambda: not verifies(rig.ledger.lines()[-1], old), "the old key ends")
    rig.wait_until_done(scene)
    lines = rig.ledger.lines()
    for line in lines:
        if line["at"] < ended:
            check(verifies(line, old), "while it holds, the old key verifies")
        if line["at"] > made + 5:
            check(verifies(line, new), "seconds later the new one does")
        if line["at"] > ended + 5:
            check(not verifies(line, old), "and the old one does not any more")
    both = sum(verifies(line, old) and verifies(line, new) for line in lines)
    return {"requests": len(lines), "signed with both": both}


def verifies(line: dict[str, Any], secret: str) -> bool:
    """Check a signature by the standard's own words, with nothing of ours."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{line['message_id']}.{line['timestamp']}.{line['text']}".encode()
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return expected in line["signature"].split(" ")
