"""Groups C and E: names that lead somewhere else each time, and names that take their time."""

import statistics
import time
from typing import Any

from django.utils import timezone

from faults.dns import NameServer, Zone, looking_there
from faults.matrix import Figures, row
from faults.processes import Process, check, python
from faults.rig import Rig, totals
from faults.rows.load import hang_up
from tests.webhooks.scene import Scene
from webhooks import control, outbox
from webhooks.choices import Guarantee
from webhooks.models import Delivery, WebhookControl
from webhooks.outbox import NewChunk

# The rig's processes may reach the first one only: it stands for all that is public.
OUTSIDE, INSIDE, INSIDE_6 = "127.0.0.1", "127.0.0.2", "::1"


def sender(rig: Rig, **options: Any) -> Process:
    command = looking_there(python("manage.py", "sender"), rig.directory)
    return rig.run("sender", command, rig.environment(**options))


def state(scene: Scene) -> str:
    return str(WebhookControl.objects.get(webhook=scene.webhook).state)


@row("E2", "names that lead outside at first, inside the next time", guard="egress")
def rebound(rig: Rig) -> Figures:
    inner = rig.receiver("--host", INSIDE, port=rig.ledger.port)
    names = rig.enter(NameServer({"rebind.test": Zone([[OUTSIDE], [INSIDE]])}))
    scenes = []
    for number in range(20):
        url = rig.ledger.url(rig.path("ok"), host=f"n{number}.rebind.test")
        guarantee = Guarantee.AT_MOST_ONCE if number % 2 else Guarantee.AT_LEAST_ONCE
        scene = rig.scene("", url=url, people=10, concurrency=1, guarantee=guarantee)
        scene.submit(qaids=scene.qaids[:5])
        scenes.append(scene)
    # A sender keeps an answer for a minute; a new one asks again, and gets the other.
    first = sender(rig)
    rig.wait_until_done(*scenes)
    first.stop()
    check(totals() == {"delivered": 100}, f"outside, they are delivered: {totals()}")
    for scene in scenes:
        chunk = NewChunk(1, scene.qaids[5:])
        outbox.submit(plan=scene.plan, chunks=[chunk], now=timezone.now())
    second = sender(rig)
    rig.wait(
        lambda: all(state(each) == "paused" or not each.counts().queued for each in scenes),
        "each is paused, or was sent to",
    )
    check(inner.count() == 0, f"the inner receiver sees nothing, not {inner.count()}")
    check(all(state(scene) == "paused" for scene in scenes), "each is paused")
    second.stop()
    check(totals() == {"delivered": 100}, f"and nobody else is delivered: {totals()}")
    for scene in scenes:
        control.resume(webhook=scene.webhook, actor=scene.member, now=timezone.now())
    sender(rig)
    rig.wait_until_done(*scenes)
    check(inner.count() == 0, f"the inner receiver sees nothing, not {inner.count()}")
    check(totals() == {"delivered": 200}, f"at last everybody is delivered: {totals()}")
    return {"names": 20, "people": 200, "looked up": names.asked("rebind.test"), "inside": 0}


@row("E3", "names with outer and inner addresses, and other names of inner ones", guard="egress")
def mixed(rig: Rig) -> Figures:
    port = rig.ledger.port
    inner = [rig.receiver("--host", host, port=port) for host in (INSIDE, INSIDE_6)]
    zones = {
        "both.mixed.test": Zone([[OUTSIDE, INSIDE, INSIDE_6]]),
        "turned.mixed.test": Zone([[INSIDE_6, INSIDE, OUTSIDE]]),
        "alias.mixed.test": Zone(alias="other.mixed.test"),
        "other.mixed.test": Zone(alias="inner.mixed.test"),
        "inner.mixed.test": Zone([[INSIDE]]),
        "six.mixed.test": Zone([[INSIDE_6]]),
        "mapped.mixed.test": Zone([[f"::ffff:{INSIDE}"]]),
    }
    rig.enter(NameServer(zones))
    scenes = {
        name: rig.scene(
            "", url=rig.ledger.url(rig.path("ok"), host=name), people=20, submit=20, concurrency=4
        )
        for name in zones
    }
    sender(rig)

    def is_over(scene: Scene) -> bool:
        return state(scene) == "paused" or scene.counts().queued == 0

    rig.wait(lambda: all(map(is_over, scenes.values())), "each is delivered or paused")
    delivered = {name: scene.counts().delivered for name, scene in scenes.items()}
    seen = [each.count() for each in inner]
    check(seen == [0, 0], f"the inner receivers see nothing, not {seen}")
    mixed_ones = {"both.mixed.test", "turned.mixed.test"}
    reached = {name for name, number in delivered.items() if number}
    check(reached <= mixed_ones, f"who has no outer address is not reached: {reached}")
    for name in mixed_ones:
        check(
            delivered[name] in (0, 20), f"{name} is dialled outside or refused, {delivered[name]}"
        )
    hang_up(rig)
    return {"names": len(zones), "reached outside": len(reached), "inside": 0}


@row("C8", "a name whose server takes 30 s stands in nobody's way", guard="lookups")
def slow_names(rig: Rig) -> Figures:
    zones = {"slow.test": Zone([[OUTSIDE]], delay=30.0), "quick.test": Zone([[OUTSIDE]])}
    names = rig.enter(NameServer(zones))
    sender(rig, schedule=[1.0] * 60)
    made = 0

    def seconds() -> float:
        nonlocal made
        made += 1
        # A name of its own each time: none of them is known yet.
        url = rig.ledger.url(rig.path("ok"), host=f"n{made}.quick.test")
        scene = rig.scene("", url=url, people=50)
        started = time.monotonic()
        scene.submit()
        rig.wait_until_done(scene)
        return time.monotonic() - started

    seconds()
    alone = max(seconds() for _ in range(3))
    slow = rig.scene(
        "", url=rig.ledger.url(rig.path("ok"), host="slow.test"), people=600, concurrency=64
    )
    slow.submit()
    rig.wait(lambda: names.asked("slow.test"), "the slow name is looked up")
    until, beside = time.monotonic() + 20, []
    while time.monotonic() < until:
        beside.append(seconds())
    tries = set(Delivery.objects.exclude(plan=slow.plan).values_list("attempts", flat=True))
    check(tries == {1}, f"the others are delivered at the first try, not {tries}")
    # Whose look-up had to wait would have been tried twice; the time says how busy the machine is.
    usual = statistics.median(beside)
    check(usual <= 2 * alone + 2, f"{usual:.2f} s beside it, {alone:.2f} s alone")
    check(slow.counts().delivered == 0, "and nobody of the slow name's is delivered")
    hang_up(rig)
    return {"alone in s": round(alone, 2), "beside in s": round(usual, 2), "times": len(beside)}


@row("C9", "forty names whose servers take 30 s, beside a good one")
def many_slow_names(rig: Rig) -> Figures:
    names = [f"n{number}.slow.test" for number in range(40)]
    server = rig.enter(
        NameServer({"slow.test": Zone([[OUTSIDE]], delay=30.0), "good.test": Zone([[OUTSIDE]])})
    )
    # Claims for all of them: who has how many is another matter.
    sender(rig, schedule=[1.0] * 60, claims=200)
    good = rig.scene("", url=rig.ledger.url(rig.path("ok"), host="good.test"), people=20)
    made = 0

    def seconds(host: str) -> float:
        nonlocal made
        made += 1
        scene = rig.scene("", url=rig.ledger.url(rig.path("ok"), host=host), people=20)
        started = time.monotonic()
        scene.submit()
        rig.wait_until_done(scene)
        return time.monotonic() - started

    good.submit()
    rig.wait_until_done(good)
    alone = seconds("good.test")
    slow = [
        rig.scene("", url=rig.ledger.url(rig.path("ok"), host=name), people=5) for name in names
    ]
    for scene in slow:
        scene.submit()
    rig.wait(lambda: server.asked("slow.test") >= 5, "slow names are looked up")
    # For longer than libcurl remembers an address: the good name is looked up anew.
    until, beside = time.monotonic() + 75, []
    while time.monotonic() < until:
        beside.append(seconds("good.test"))
        time.sleep(1)
    unknown = [each.plan.pk for each in slow]
    tries = set(Delivery.objects.exclude(plan__in=unknown).values_list("attempts", flat=True))
    check(tries == {1}, f"the good name's people are reached at the first try, not {tries}")
    usual = statistics.median(beside)
    # Forty webhooks that fail again and again keep a sender busy too.
    check(usual <= 2 * alone + 5, f"{usual:.2f} s beside them, {alone:.2f} s alone")
    hang_up(rig)
    return {"slow names": len(names), "alone in s": round(alone, 2), "beside in s": round(usual, 2)}
