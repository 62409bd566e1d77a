"""The check-up: what an operator would look at one by one, each with what to do next."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.utils import timezone

from qa_webhook import condition, hints
from qa_webhook.servers import OLDEST_POSTGRES
from webhooks import partitions, rotation
from webhooks.lines import Options
from webhooks.management.base import ago
from webhooks.models import Webhook
from webhooks.secrets import SecretError

CLOCK_SECONDS: Final = (1.0, 10.0)  # From here on a warning, from there on a failure.
TRANSACTION_SECONDS: Final = (300.0, 3_600.0)
QUEUE_SECONDS: Final = (300.0, 3_600.0)
TICK_SECONDS: Final = 60.0
DAYS_AHEAD: Final = 3
DISK_SHARE: Final = (0.10, 0.03)  # What is free of it.

# Without these a crash of the server loses what was settled, or tables grow without end.
_SETTINGS: Final = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do about it; nothing when it is well."""

    check: str
    level: Level
    found: str
    todo: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def findings() -> Iterator[Finding]:
    """Check one after the other; without a database, the rest of what needs it is left out."""
    first = _guarded("database", _database)
    yield first
    yield _guarded("broker", _broker)
    yield _guarded("disk", _disk)
    if first.level == Level.FAIL and not _answers():
        return
    for name, check in _CHECKS.items():
        yield _guarded(name, check)


def deep() -> dict[str, Finding]:
    """Check what has to answer for people to be moving; for ``/health/deep``."""
    if not _answers():
        return {"database": Finding("database", Level.FAIL, "is away", _TODO["database"])}
    return {
        name: _guarded(name, check)
        for name, check in (("broker", _broker), ("scheduler", _tick), ("queue", _queue))
    }


def _answers() -> bool:
    try:
        connection.ensure_connection()
    except DatabaseError:
        return False
    return True


def _guarded(name: str, check: Callable[[str], Finding]) -> Finding:
    try:
        return check(name)
    except (DatabaseError, SecretError, OSError) as error:
        told = str(error).strip().partition("\n")[0]
        return Finding(name, Level.FAIL, told or type(error).__name__, _TODO[name])


def _graded(value: float, limits: tuple[float, float]) -> Level:
    warn, fail = limits
    return Level.FAIL if value >= fail else Level.WARN if value >= warn else Level.OK


def _database(name: str) -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        version = int(cursor.fetchone()[0]) // 10_000
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(_SETTINGS)]
        )
        wrong = [f"{key} is {value}" for key, value in cursor.fetchall() if value != _SETTINGS[key]]
    if version < OLDEST_POSTGRES:
        todo = f"Upgrade to PostgreSQL {OLDEST_POSTGRES} or newer."
        return Finding(name, Level.FAIL, f"PostgreSQL {version}", todo)
    if wrong:
        todo = "Turn it on in postgresql.conf: without it a crash of the server loses data."
        return Finding(name, Level.WARN, ", ".join(sorted(wrong)), todo)
    return Finding(name, Level.OK, f"PostgreSQL {version}")


def _role(name: str) -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.rolname, r.rolsuper OR r.rolbypassrls, EXISTS (SELECT 1 FROM pg_class c"
            " WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p'))"
            " FROM pg_roles r WHERE r.rolname = current_user"
        )
        role, is_super, owns = cursor.fetchone()
    if is_super:
        return Finding(name, Level.FAIL, f"{role} is a superuser or passes policies", _TODO[name])
    if owns:
        return Finding(name, Level.WARN, f"{role} owns tables", _TODO[name])
    return Finding(name, Level.OK, f"{role} owns nothing")


def _migrations(name: str) -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        names = ", ".join(str(migration) for migration, _backwards in missing[:3])
        return Finding(name, Level.FAIL, f"{len(missing)} not applied: {names}", _TODO[name])
    return Finding(name, Level.OK, "all applied")


def _partitions(name: str) -> Finding:
    today = partitions.day_of(timezone.now())
    ahead = 0
    while ahead <= partitions.DAYS_AHEAD and partitions.exists(today + timedelta(days=ahead)):
        ahead += 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM webhooks_delivery_default)")
        (strays,) = cursor.fetchone()
    if not ahead:
        return Finding(name, Level.FAIL, "today has none: nothing can be planned", _TODO[name])
    if ahead < DAYS_AHEAD or strays:
        found = "some deliveries are in no day's" if strays else f"{ahead} days ahead"
        return Finding(name, Level.WARN, found, _TODO[name])
    return Finding(name, Level.OK, f"{ahead - 1} days ahead")


def _broker(name: str) -> Finding:
    if trouble := hints.trouble():
        return Finding(name, Level.WARN, trouble, _TODO[name])
    return Finding(name, Level.OK, "answers")


def _cache(name: str) -> Finding:
    backend = settings.CACHES["default"]["BACKEND"].rpartition(".")[2]
    if backend in {"LocMemCache", "DummyCache"}:
        return Finding(name, Level.WARN, f"{backend} is not shared by the processes", _TODO[name])
    key = f"doctor:{uuid4()}"
    cache.set(key, "here", 10)
    if cache.get(key) != "here":
        return Finding(name, Level.FAIL, f"{backend} does not keep what is put in", _TODO[name])
    cache.delete(key)
    return Finding(name, Level.OK, backend)


def _clock(name: str) -> Finding:
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        theirs = float(cursor.fetchone()[0])
    after = time.time()
    # The database looked at its clock somewhere between our two looks.
    apart = max(0.0, before - theirs, theirs - after)
    level = _graded(apart, CLOCK_SECONDS)
    todo = "" if level == Level.OK else _TODO[name]
    return Finding(name, level, f"{apart:.1f} s from the database's", todo)


def _keys(name: str) -> Finding:
    found = rotation.survey()
    if found.unreadable:
        more = f", and {len(found.unreadable) - 1} more" if found.unreadable[1:] else ""
        return Finding(name, Level.FAIL, f"{found.unreadable[0]}{more}", _TODO[name])
    total = sum(found.by_key.values())
    if found.old:
        todo = "Run “manage.py rotate_keys”, then the old key can go."
        return Finding(name, Level.OK, f"{total} secrets, {found.old} under an older key", todo)
    return Finding(name, Level.OK, f"{total} secrets, all readable")


def _processes(name: str) -> Finding:
    now = timezone.now()
    seen = condition.processes(now=now)
    alive = {each.role for each in seen if each.is_alive}
    missing = [role for role in condition.ROLES if role not in alive]
    if not missing:
        return Finding(name, Level.OK, ", ".join(sorted(alive)))
    level = Level.FAIL if {"sender", "planner"} & set(missing) else Level.WARN
    return Finding(name, level, f"no {', no '.join(missing)} is alive", _TODO[name])


def _tick(name: str) -> Finding:
    age = condition.tick_age()
    if age is None or age >= TICK_SECONDS:
        found = "never" if age is None else f"{ago(age)} ago"
        return Finding(name, Level.WARN, f"last tick {found}", _TODO[name])
    return Finding(name, Level.OK, f"last tick {ago(age)} ago")


def _queue(name: str) -> Finding:
    overdue = condition.read().overdue
    if not overdue:
        return Finding(name, Level.OK, "nothing is overdue")
    worst = overdue[0]
    level = _graded(worst.oldest_due_seconds, QUEUE_SECONDS)
    told = f"{worst.name} ({worst.workspace}): {worst.waiting:,} people wait"
    told += f", the first for {ago(worst.oldest_due_seconds)}"
    # A rate or a long run explains it, so it is for a person to judge.
    level = Level.WARN if level == Level.FAIL and worst.rate > 0 else level
    return Finding(name, level, told, "" if level == Level.OK else _TODO[name])


def _transactions(name: str) -> Finding:
    age = condition.oldest_transaction()
    level = _graded(age, TRANSACTION_SECONDS)
    todo = "" if level == Level.OK else _TODO[name]
    return Finding(name, level, f"the oldest is open for {ago(age)}", todo)


def _leases(name: str) -> Finding:
    options = Options.of_settings()
    longest = Webhook.objects.aggregate(most=Max("timeout_seconds"))["most"] or 0
    needed = longest + options.margin_seconds
    if options.lease_seconds <= needed:
        told = f"a claim lasts {options.lease_seconds:g} s, a webhook may take {longest} s"
        todo = f"Make lease_seconds in SENDER_OPTIONS more than {needed:g}: nothing is sent there."
        return Finding(name, Level.FAIL, told, todo)
    losses = sum(each.lease_losses for each in condition.processes())
    if losses:
        return Finding(name, Level.WARN, f"{losses} claims were lost", _TODO[name])
    return Finding(name, Level.OK, "no claim was lost")


def _disk(name: str) -> Finding:
    path = next(p for p in (settings.MEDIA_ROOT, settings.BASE_DIR) if _exists(p))
    usage = shutil.disk_usage(path)
    free = usage.free / usage.total
    warn, fail = DISK_SHARE
    level = Level.FAIL if free < fail else Level.WARN if free < warn else Level.OK
    todo = "" if level == Level.OK else _TODO[name]
    return Finding(name, level, f"{free:.0%} free here", todo)


def _exists(path: Any) -> bool:
    try:
        shutil.disk_usage(path)
    except OSError:
        return False
    return True


_CHECKS: Final[dict[str, Callable[[str], Finding]]] = {
    "role": _role,
    "migrations": _migrations,
    "partitions": _partitions,
    "clock": _clock,
    "keys": _keys,
    "cache": _cache,
    "processes": _processes,
    "scheduler": _tick,
    "queue": _queue,
    "transactions": _transactions,
    "leases": _leases,
}

_TODO: Final = {
    "database": "See that PostgreSQL runs and DATABASE_URL is right.",
    "role": "Use a role of its own for DATABASE_URL, as “Run on servers” shows.",
    "migrations": "Run “manage.py migrate”, then start the processes again.",
    "partitions": "Run “manage.py partitions”, and see that the scheduler runs.",
    "broker": "See that CELERY_BROKER_URL is right; until then everything goes on, only later.",
    "cache": "Set CACHE_URL to a Redis or Valkey, or leave it out and run “manage.py migrate”.",
    "clock": "Set this machine's clock by NTP: signatures carry its time.",
    "keys": "Put the missing key back into FIELD_KEYS, behind the first.",
    "processes": "Start it: manage.py sender, manage.py planner, celery worker with --beat.",
    "scheduler": "Start one Celery worker with --beat; without it no partitions are made.",
    "queue": "Look with “manage.py status”; start more senders, or raise the webhook's limits.",
    "transactions": "Find it in pg_stat_activity and end it: tables cannot be cleaned meanwhile.",
    "leases": "A sender stalled: look for an overloaded machine or database in its log.",
    "disk": "Free some space, or drop old days with “manage.py prune”.",
}
