"""Many machines, with nothing in common but the network: killed, replaced, added and cut off."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from urllib.error import HTTPError
from urllib.request import urlopen

from django.db import connection
from django.urls import reverse
from django.utils import timezone

from faults.hosts import Host, Network, outside
from faults.matrix import Figures, row
from faults.processes import Process, check, free_port
from faults.rabbit import Rabbit
from faults.rig import FLUSH_PEOPLE, Rig, totals
from faults.rows.crashes import attempts, is_over
from faults.visitors import Visitor, publishing
from journeys.models import Run
from qa_webhook import condition
from tests.journeys.test_runner import publish

PEOPLE = 200_000
CONCURRENCY = 256
KILLS = 4
# A dozen processes share two processors here: a lease of seconds would end by itself.
LEASE = 15.0


@dataclass
class Machines:
    """An installation whose PostgreSQL, and every process, is on a host of its own."""

    rig: Rig
    network: Network
    database: Host
    running: dict[str, tuple[Host, Process]] = field(default_factory=dict)
    # Addresses that were seen at the database.
    seen: set[str] = field(default_factory=set)

    def start(self, name: str, start: Callable[[Host], Process]) -> Process:
        host = self.network.host(name)
        made = start(host)
        self.running[name] = host, made
        return made

    def replace(self, name: str, by: str, start: Callable[[Host], Process]) -> None:
        """Let a machine's power fail, and put another one in its place."""
        self.look()
        self.running.pop(name)[1].kill()
        self.start(by, start)

    def look(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT host(client_addr) FROM pg_stat_activity"
                " WHERE datname = current_database() AND client_addr IS NOT NULL"
            )
            self.seen |= {address for (address,) in cursor.fetchall()}

    def check_all_were_seen(self, hosts: Iterable[Host]) -> None:
        self.look()
        missing = [each.name for each in hosts if each.address not in self.seen]
        check(not missing, f"everyone reached the database from an address of its own: {missing}")


def installed(rig: Rig) -> Machines:
    network = rig.enter(Network())
    database = network.host("database")
    url = rig.enter(outside(rig.postgres, host=database, network=network))
    rig.ledger = rig.receiver(host=network.host("receiver"))
    rig.told = {
        "DATABASE_URL": f"{url}/{rig.name}",
        "EGRESS_ALLOW": network.range,
        # Nobody's, unless a row has a broker.
        "CELERY_BROKER_URL": "amqp://guest@127.0.0.1:1//",
    }
    return Machines(rig, network, database)


@row("M1", "200,000 people on a dozen hosts over RabbitMQ; of each kind, one is replaced")
def replaced(rig: Rig) -> Figures:
    all_of = installed(rig)
    broker = rig.enter(Rabbit(rig.directory / "rabbit", host=all_of.network.host("broker")))
    rig.told["CELERY_BROKER_URL"] = broker.url
    scene = rig.crowd("ok", people=PEOPLE, concurrency=CONCURRENCY, timeout_seconds=10)

    def sender(host: Host) -> Process:
        return rig.sender(host=host, lease_seconds=LEASE)

    def planner(host: Host) -> Process:
        return rig.planner(host=host)

    def scheduler(host: Host) -> Process:
        return rig.celery(host=host)

    for number in range(4):
        all_of.start(f"sender{number}", sender)
    for number in range(2):
        all_of.start(f"planner{number}", planner)
        all_of.start(f"scheduler{number}", scheduler)
    port = free_port()
    all_of.start("web", lambda host: rig.web(port, host=host))
    web = all_of.running["web"][0]
    marketer = Visitor(rig, user=scene.member, port=port, address=web.address)
    answered = publishing(marketer, scene.journey(), people=PEOPLE)()
    check(answered in (200, 204, 302), f"it is published over HTTP: {answered}")
    run = Run.objects.get()
    hosts = [host for host, _process in all_of.running.values()]
    for kill in range(KILLS):
        rig.wait_for_requests(PEOPLE // (KILLS + 3))
        all_of.replace(f"sender{kill}", f"sender{kill + KILLS}", sender)
        if kill == 1:
            all_of.replace("planner0", "planner2", planner)
        if kill == 2:
            broker.kill()
            all_of.replace("scheduler0", "scheduler2", scheduler)
            broker.forget()
            broker.start()
    rig.allowed.doubled = KILLS * (CONCURRENCY + 2 * FLUSH_PEOPLE)
    rig.wait(lambda: is_over(run), "the run ends", seconds=900, every=0.5)
    check(totals() == {"delivered": PEOPLE}, f"everybody is delivered: {totals()}")
    shown = [scene.workspace.slug, run.journey_id, run.pk]
    page = marketer.get(reverse("journeys:run", args=shown))
    check(f"{PEOPLE:,}" in page, "and the web machine's page of the run says so")
    all_of.check_all_were_seen(hosts)
    times = [line["at"] for line in rig.ledger.lines()]
    return {
        "people": PEOPLE,
        "hosts": len(all_of.seen),
        "a second": round(len(times) / (max(times) - min(times))),
    }


@row("M2", "a second host of senders raises the rate where the receiver is slow", guard="share")
def faster(rig: Rig) -> Figures:
    all_of = installed(rig)
    people = 12_000
    # The webhook's own limit stays the same, and is never reached.
    scene = rig.scene("slow/0.05", people=people, concurrency=192, timeout_seconds=10)

    def sender(host: Host) -> Process:
        # As many open requests as one host bears; its processor says so on real ones.
        return rig.sender(host=host, slots=40, lease_seconds=LEASE)

    def rate(since: float, until: float) -> float:
        times: list[float] = [line["at"] for line in rig.ledger.lines()]
        return sum(since <= at < until for at in times) / (until - since)

    all_of.start("first", sender)
    scene.submit()
    rig.wait_for_requests(500)
    began = time.time()
    time.sleep(4)
    alone = rate(began, time.time())
    all_of.start("second", sender)
    rig.wait(partial(are_alive, "sender", 2), "the second host is heard of")
    # Soon: it does not wait for the first one's turn to end.
    time.sleep(1)
    joined = time.time()
    time.sleep(3)
    together = rate(joined, time.time())
    rig.wait_until_done(scene)
    all_of.check_all_were_seen(host for host, _process in all_of.running.values())
    ratio = together / alone
    check(ratio > 1.3, f"a second host sends {ratio:.2f} times as much")
    return {"people": people, "a second with one": round(alone), "with two": round(together)}


def alive(role: str) -> set[str]:
    """Return the hosts that were heard of in the last seconds."""
    found = condition.processes()
    return {each.host for each in found if each.role == role and each.silent_seconds < 8}


def are_alive(role: str, hosts: int) -> bool:
    return len(alive(role)) == hosts


@row("M3", "cables are pulled: a sender's, then the database's", guard="cable")
def cut_off(rig: Rig) -> Figures:
    all_of = installed(rig)
    people, concurrency = 2_000, 32
    fields = {"people": people, "concurrency": concurrency}
    port = free_port()
    senders = [all_of.start(name, lambda host: rig.sender(host=host)) for name in ("left", "right")]
    web = all_of.start("web", lambda host: rig.web(port, host=host))
    planner = all_of.start("planner", lambda host: rig.planner(host=host))
    left, site = all_of.running["left"][0], all_of.running["web"][0].address
    scene = rig.scene("slow/0.2", **fields)
    scene.submit(size=100)
    rig.wait_for_requests(300)
    left.cut()
    rig.allowed.doubled = concurrency + FLUSH_PEOPLE
    rig.wait_until_done(scene)
    check(scene.counts().delivered == people, f"the other host reaches everybody: {totals()}")
    check(attempts("unknown") > 0, "what was open at the cut is on record as unknown")
    rig.wait(lambda: alive("sender") == {"right"}, "who is cut off is not heard of any more")
    left.mend()
    back = rig.wait(lambda: "left" in alive("sender"), "it is heard of again", seconds=60)
    # Now the database itself, for longer than TCP's limits and the leases.
    second = rig.scene("slow/0.2", **fields)
    second.submit(size=100)
    rig.wait_for_requests(300)
    all_of.database.cut()
    rig.allowed.doubled += concurrency + 2 * FLUSH_PEOPLE
    started = time.monotonic()
    check(asked(site, port, "/health/live") == 200, "the web machine lives")
    check(asked(site, port, "/health/ready") == 503, "and says soon that it is not ready")
    said = time.monotonic() - started
    check(said < 25, f"it does not hang: it said so after {said:.0f} s")
    right = senders[1]
    rig.wait(lambda: b"database_away" in right.output(), "senders notice it too", seconds=30)
    quiet = rig.ledger.count()
    time.sleep(5)
    check(rig.ledger.count() == quiet, "without a database nothing new is opened")
    all_of.database.mend()
    rig.wait_until_done(second)
    rig.wait(lambda: asked(site, port, "/health/ready") == 200, "the web machine is ready again")
    crowd = rig.crowd("ok", people=500)
    run = publish(crowd, crowd.journey(), timezone.now())
    rig.wait(lambda: is_over(run), "planner and senders do what comes next", seconds=60)
    check(all(each.is_alive for each in [*senders, web, planner]), "nobody was started again")
    people = 2 * people + 500
    check(totals() == {"delivered": people}, f"everybody is delivered: {totals()}")
    return {"people": people, "back after s": round(back), "not ready after s": round(said)}


def asked(address: str, port: int, path: str) -> int:
    """Return how a health question is answered; 0 for not at all within a minute."""
    try:
        with urlopen(f"http://{address}:{port}{path}", timeout=60) as found:
            return int(found.status)
    except HTTPError as error:
        return error.code
    except TimeoutError:
        return 0
