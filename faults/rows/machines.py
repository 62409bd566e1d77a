"""Many processes, as on many machines: each role twice or more, killed and replaced."""

from django.utils import timezone

from faults.matrix import Figures, row
from faults.processes import check
from faults.rabbit import Rabbit
from faults.rig import FLUSH_PEOPLE, Rig, totals
from faults.rows.crashes import is_over
from tests.journeys.test_runner import publish

PEOPLE = 200_000
CONCURRENCY = 256
KILLS = 4
# Eight processes share two processors here: a lease of seconds would end by itself.
LEASE = 15.0


@row("M1", "200,000 people over RabbitMQ; senders, planner, scheduler and broker are replaced")
def replaced(rig: Rig) -> Figures:
    broker = rig.enter(Rabbit(rig.directory / "rabbit"))
    told = {"CELERY_BROKER_URL": broker.url}
    scene = rig.crowd("ok", people=PEOPLE, concurrency=CONCURRENCY, timeout_seconds=10)
    senders = [rig.sender(lease_seconds=LEASE) for _ in range(4)]
    planners = [rig.planner(), rig.planner()]
    schedulers = [rig.celery(**told), rig.celery(**told)]
    run = publish(scene, scene.journey(), timezone.now())
    for kill in range(KILLS):
        rig.wait_for_requests(PEOPLE // (KILLS + 3))
        senders.pop(0).kill()
        senders.append(rig.sender(lease_seconds=LEASE))
        if kill == 1:
            planners.pop(0).kill()
            planners.append(rig.planner())
        if kill == 2:
            broker.kill()
            schedulers.pop(0).kill()
            broker.start()
            schedulers.append(rig.celery(**told))
    rig.allowed.doubled = KILLS * (CONCURRENCY + 2 * FLUSH_PEOPLE)
    rig.wait(lambda: is_over(run), "the run ends", seconds=900, every=0.5)
    check(totals() == {"delivered": PEOPLE}, f"everybody is delivered: {totals()}")
    times = [line["at"] for line in rig.ledger.lines()]
    return {"people": PEOPLE, "a second": round(len(times) / (max(times) - min(times)))}


@row("M2", "a second host of senders raises the rate where the receiver is slow")
def faster(rig: Rig) -> Figures:
    people, rates = 6_000, []
    for hosts in (1, 2):
        scene = rig.scene("slow/0.05", people=people, submit=500, concurrency=64 * hosts)
        path = scene.webhook.url.partition(str(rig.ledger.port))[2]
        rig.sender()
        rig.wait_until_done(scene)
        times = [line["at"] for line in rig.ledger.lines(path)]
        rates.append(len(times) / (max(times) - min(times)))
    ratio = rates[1] / rates[0]
    check(ratio > 1.3, f"twice the senders send {ratio:.2f} times as much")
    return {"people": people, "a second with one": round(rates[0]), "with two": round(rates[1])}
