"""What is kept for how long, and letting go of what is older.

Days and months go whole, by their partition. A day on which somebody was planned who still waits
stays, whatever its age. What went of deliveries, events and tests stands in the audit trail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Max

import identity.partitions
from webhooks import partitions
from webhooks.models import TestSend
from workspaces import audit
from workspaces.models import Notice

_WAITING_DAYS: Final = "SELECT DISTINCT day FROM webhooks_chunk WHERE queued > 0 AND day < %s"


@dataclass(frozen=True, slots=True)
class Ages:
    """How old what may be; 0 keeps it for ever."""

    delivery_days: int = 0
    event_months: int = 0
    test_days: int = 0
    notice_days: int = 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go, of one kind."""

    what: str
    number: int
    names: tuple[str, ...] = ()  # Of partitions.


def prune(ages: Ages, *, now: datetime, dry_run: bool = False) -> Iterator[Pruned]:
    """Let go of what is too old, kind by kind; each is told when it is done."""
    if ages.delivery_days:
        yield _deliveries(now - timedelta(days=ages.delivery_days), dry_run)
    if ages.event_months:
        yield _events(_months_before(now, ages.event_months), dry_run)
    if ages.test_days:
        yield _tests(now - timedelta(days=ages.test_days), dry_run)
    if ages.notice_days:
        old = Notice.objects.filter(created_at__lt=now - timedelta(days=ages.notice_days))
        yield Pruned("notices", old.count() if dry_run else old.delete()[0])
    ended = Session.objects.filter(expire_date__lt=now)
    yield Pruned("ended sessions", ended.count() if dry_run else ended.delete()[0])


def kept_for_waiting(before: date) -> list[date]:
    """Return the days that stay because somebody planned on them still waits."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING_DAYS, [before])
        return sorted(day for (day,) in cursor.fetchall())


def _deliveries(moment: datetime, dry_run: bool) -> Pruned:
    before = partitions.day_of(moment)
    kept = set(kept_for_waiting(before))
    days = [day for day in partitions.before(day=before) if day not in kept]
    if not dry_run:
        for day in days:  # Each by itself: a day's tables are locked no longer than it takes.
            with transaction.atomic():
                partitions.drop(day)
                _record("delivery.pruned", 1, str(day))
    return Pruned("days of deliveries and attempts", len(days), tuple(map(str, days)))


def _events(month: date, dry_run: bool) -> Pruned:
    if dry_run:
        names = identity.partitions.before(month=month)
    else:
        with transaction.atomic():
            names = identity.partitions.drop_before(month=month)
            _record("event.pruned", len(names), *names)
    return Pruned("months of events", len(names), tuple(names))


def _tests(moment: datetime, dry_run: bool) -> Pruned:
    """Keep the last test of each webhook: it proves that the webhook works."""
    last = TestSend.objects.order_by().values("webhook").annotate(last=Max("pk")).values("last")
    old = TestSend.objects.filter(sent_at__lt=moment).exclude(pk__in=last)
    if dry_run:
        return Pruned("test sends", old.count())
    with transaction.atomic():
        number = old.delete()[0]
        _record("testsend.pruned", number, f"< {moment.isoformat(timespec='minutes')}")
    return Pruned("test sends", number)


def _record(action: str, number: int, *names: str) -> None:
    if number:
        changes = {"number": [number, 0], "names": [names, []]}
        audit.record(actor=None, workspace=None, action=action, obj=None, changes=changes)


def _months_before(now: datetime, months: int) -> date:
    whole = now.year * 12 + now.month - 1 - months
    return date(whole // 12, whole % 12 + 1, 1)
