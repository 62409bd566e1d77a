"""Group C: rates, open requests and neighbours, over several senders."""

import time

from faults.matrix import Figures, row
from faults.processes import check
from faults.rig import Rig


@row("C2", "a neighbour whose receiver hangs")
def noisy_neighbour(rig: Rig) -> Figures:
    rig.sender()
    rig.sender()

    def p95() -> float:
        scene = rig.scene("ok", people=300)
        started = time.time()
        scene.submit(size=100)
        rig.wait_until_done(scene)
        path = scene.webhook.url.partition(str(rig.ledger.port))[2]
        times = sorted(line["at"] - started for line in rig.ledger.lines(path))
        return float(times[int(len(times) * 0.95)])

    p95()
    alone = p95()
    rig.scene("hang", people=3_000, submit=500, concurrency=64)
    rig.wait_for_requests(64)
    beside = p95()
    check(beside <= 2 * alone + 2, f"{beside:.2f} s beside it, {alone:.2f} s alone")
    hang_up(rig)
    return {"p95 alone in s": round(alone, 2), "beside in s": round(beside, 2)}


def hang_up(rig: Rig) -> None:
    """End what would hang for long, so that the row can be judged."""
    from webhooks import control
    from webhooks.models import Plan

    control.cancel_plans(list(Plan.objects.values_list("pk", flat=True)))
    from faults.rig import totals
    from webhooks.models import Chunk, Message

    rig.wait(
        lambda: not Message.objects.exists() and not Chunk.objects.filter(queued__gt=0).exists(),
        f"whoever waited is cancelled: {totals()}",
    )


@row("C3", "a rate of 50 a second over four senders", guard="rate")
def rate(rig: Rig) -> Figures:
    scene = rig.scene("ok", people=500, submit=100, rate_per_second=50)
    for _ in range(4):
        rig.sender()
    rig.wait_until_done(scene)
    times = [line["at"] for line in rig.ledger.lines()]
    most = max(sum(start <= at < start + 1 for at in times) for start in times)
    mean = (len(times) - 1) / (times[-1] - times[0])
    check(most <= 62, f"no second carries much more than 50; one has {most}")
    check(mean <= 52, f"nor all of them: {mean:.1f}")
    check(mean >= 35, f"and it is used: {mean:.1f}")
    return {"most in a second": most, "mean": round(mean, 1)}


@row("C4", "five requests open at most, over three senders", guard="lanes")
def open_at_most(rig: Rig) -> Figures:
    delay = 0.3
    scene = rig.scene(f"slow/{delay}", people=90, submit=15, concurrency=5)
    for _ in range(3):
        rig.sender()
    rig.wait_until_done(scene)
    times = [line["at"] for line in rig.ledger.lines()]
    most = max(sum(start <= at < start + 0.9 * delay for at in times) for start in times)
    check(most <= 5, f"five are open at most, not {most}")
    return {"people": 90, "open at most": most}
