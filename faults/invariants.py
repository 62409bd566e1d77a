"""What must hold after every row, whatever was done: our tables against the receiver's file."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import connection
from django.utils import timezone

from faults.processes import RowError, check, wait_until
from faults.rig import Rig
from webhooks import keys
from webhooks.choices import StateByte
from webhooks.models import Attempt, Chunk, Delivery, Message, Webhook

LIVE_WITHIN_SECONDS: Final = 60.0
DUE_FOR_SECONDS: Final = 5.0


class Found:
    """Both ledgers, read once."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.lines: list[dict[str, Any]] = rig.ledger.lines()
        self.deliveries = {each.id: each for each in Delivery.objects.defer("texts", "answer")}
        self.requests: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        for line in self.lines:
            for delivery_id in line["delivery_ids"]:
                self.requests[delivery_id] += 1
                self.accepted[delivery_id] += line["accepted"]

    @property
    def doubled(self) -> set[str]:
        return {each for each, times in self.accepted.items() if times > 1}


def conservation(found: Found) -> None:
    """I1: planned is the sum of all states, in the counters, in the bytes and in the rows."""
    waiting: Counter[int] = Counter()
    for chunk_id, positions in Message.objects.values_list("chunk_id", "positions"):
        waiting[chunk_id] += len(positions)
    rows = defaultdict(list)
    for delivery in found.deliveries.values():
        rows[delivery.chunk_id].append(delivery)
    for chunk in Chunk.objects.all():
        states = [StateByte(byte & 0x7F) for byte in bytes(chunk.states)]
        counted = Counter(states)
        queued = counted[StateByte.QUEUED] + counted[StateByte.WAITING]
        ended = {
            state.name.lower(): counted[state]
            for state in StateByte
            if state not in (StateByte.QUEUED, StateByte.WAITING, StateByte.ADVANCED)
        }
        shown = {name: getattr(chunk, name) for name in ended}
        check(shown == ended, f"I1: counters {shown} of chunk {chunk.pk} are its bytes {ended}")
        check(
            chunk.size == queued + sum(ended.values()) == len(chunk.qaids),
            f"I1: everybody of chunk {chunk.pk} is somewhere",
        )
        check(
            (chunk.queued, chunk.unsent, waiting[chunk.pk])
            == (queued, counted[StateByte.QUEUED], counted[StateByte.WAITING]),
            f"I1: who waits in chunk {chunk.pk} is counted and has a message",
        )
        for delivery in rows[chunk.pk]:
            state = states[delivery.position]
            expected = "queued" if state is StateByte.WAITING else state.name.lower()
            check(delivery.state == expected, f"I1: {delivery.id} is {expected} in row and byte")


def no_loss(found: Found) -> None:
    """I2: whoever is delivered was accepted, and whoever was accepted has a row."""
    for delivery in found.deliveries.values():
        if delivery.state == "delivered":
            check(found.accepted[delivery.id], f"I2: {delivery.id}, delivered, was accepted")
    unknown = [each for each, times in found.accepted.items() if times]
    missing = [each for each in unknown if each not in found.deliveries]
    check(not missing, f"I2: {len(missing)} accepted people have a row")


def bounded_duplicates(found: Found) -> None:
    """I3: no more requests than attempts on record; twice only what a crash had open."""
    allowed = found.rig.allowed
    beyond = 0
    for delivery_id, times in found.requests.items():
        delivery = found.deliveries.get(delivery_id)
        path = "" if delivery is None else _path_of(delivery.webhook_id)
        if delivery is not None and path not in allowed.uncounted:
            beyond += max(0, times - delivery.attempts)
    check(
        beyond <= allowed.repeated,
        f"I3: {beyond} requests beyond the attempts on record, at most {allowed.repeated}",
    )
    doubled = found.doubled
    check(
        len(doubled) <= allowed.doubled,
        f"I3: {len(doubled)} people accepted twice, at most {allowed.doubled}",
    )
    known = set(Attempt.objects.exclude(kind="auto").values_list("delivery_id", flat=True))
    check(
        len(doubled - known) <= allowed.repeated,
        f"I3: whoever was accepted twice has an attempt that says so; {len(doubled - known)} not",
    )


def same_id(found: Found) -> None:
    """I4: all tries of one person carry one message id and one body, batches apart."""
    alone: dict[str, set[tuple[str, str]]] = defaultdict(set)
    bodies: dict[str, set[str]] = defaultdict(set)
    for line in found.lines:
        bodies[line["message_id"]].add(line["body"])
        if len(line["delivery_ids"]) == 1:
            alone[line["delivery_ids"][0]].add((line["message_id"], line["body"]))
    several = [each for each, shown in bodies.items() if len(shown) > 1]
    check(not several, f"I4: one body for each message id; {len(several)} have more")
    changed = [each for each, shown in alone.items() if len(shown) > 1]
    check(not changed, f"I4: one message id for each person; {len(changed)} have more")


def isolation(found: Found) -> None:
    """I5: nobody's message went to another tenant's or another webhook's receiver."""
    former = found.rig.allowed.former_paths
    for line in found.lines:
        for delivery_id in line["delivery_ids"]:
            delivery = found.deliveries.get(delivery_id)
            if delivery is None:
                continue
            own = {_path_of(delivery.webhook_id), former.get(delivery.webhook_id)}
            check(line["path"] in own, f"I5: {delivery_id} went to {line['path']}, not to {own}")


def secrets(found: Found) -> None:
    """I6: no key and no phone number in any process's output, a page that was seen, the broker."""
    now = timezone.now()
    hidden = {
        secret.encode()
        for webhook in Webhook.objects.all()
        for secret in keys.signing_secrets(webhook, now=now)
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM identity_identifier")
        hidden |= {value.encode() for (value,) in cursor.fetchall()}
    for log in found.rig.directory.glob("*.log"):
        _hides(hidden, log.read_bytes(), log.name)
    for where, page in found.rig.pages:
        _hides(hidden, page, where)
    _hides(hidden, _broker(), "the broker")


def _hides(hidden: set[bytes], text: bytes, where: str) -> None:
    check(b"whsec_" not in text, f"I6: no signing key in {where}")
    # Every number is eleven digits: one look at the text instead of one for each person.
    at = text.find(b"138")
    while at >= 0:
        check(text[at : at + 11] not in hidden, f"I6: no phone number in {where}")
        at = text.find(b"138", at + 1)


def _broker() -> bytes:
    """Return all that the broker holds, as far as it is a Redis that is there."""
    url = str(settings.CELERY_BROKER_URL)
    if not url.startswith("redis+socket://"):
        return b""
    found = []
    try:
        with redis.Redis(unix_socket_path=url.removeprefix("redis+socket://")) as client:
            for key in client.scan_iter():
                found.append(key)
                match client.type(key):
                    case b"list":
                        found += client.lrange(key, 0, -1)
                    case b"hash":
                        found += client.hvals(key)
                    case b"string":
                        found.append(client.get(key))
                    case b"set":
                        found += client.smembers(key)
    except redis.RedisError:
        return b""
    return b"\n".join(part for part in found if part)


_OLDEST: Final = """
SELECT coalesce(extract(epoch FROM max(clock_timestamp() - due_at)), 0) FROM (
    SELECT k.due_at, k.webhook_id, k.plan_id FROM webhooks_chunk k WHERE k.unsent > 0
    UNION ALL SELECT m.due_at, m.webhook_id, m.plan_id FROM webhooks_message m
) AS due
JOIN webhooks_plan p ON p.id = due.plan_id AND p.state = 'active'
JOIN webhooks_webhookcontrol c ON c.webhook_id = due.webhook_id AND c.state = 'active'
"""


def oldest_due_seconds() -> float:
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST)
        return float(cursor.fetchone()[0])


def liveness() -> float:
    """I7: once the fault is over, nothing stays due for longer than some seconds."""
    return wait_until(
        lambda: oldest_due_seconds() < DUE_FOR_SECONDS,
        f"I7: nothing is due for longer than {DUE_FOR_SECONDS:g} s",
        seconds=LIVE_WITHIN_SECONDS,
    )


def _path_of(webhook_id: int, known: dict[int, str] = {}) -> str:  # noqa: B006 - a cache
    if webhook_id not in known:
        url = Webhook.objects.values_list("url", flat=True).get(pk=webhook_id)
        known[webhook_id] = urlsplit(url).path
    return known[webhook_id]


AFTERWARDS: Final[tuple[Callable[[Found], None], ...]] = (
    conservation,
    no_loss,
    bounded_duplicates,
    same_id,
    isolation,
    secrets,
)


def verify(rig: Rig) -> int:
    """Check all of them, the last one while the processes still run; return who was doubled."""
    liveness()
    rig.end_processes()
    _path_of.__defaults__[0].clear()  # type: ignore[index]
    found = Found(rig)
    for invariant in AFTERWARDS:
        invariant(found)
    return len(found.doubled)


__all__ = ["Found", "RowError", "verify"]
