"""What came in live in the last days, for people who look: pages, the newest first, and counts."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import connection
from django.db.models import Q

from identity.ingestion import REMEMBERED
from identity.models import Event, EventType, IncomingEvent
from workspaces.models import Workspace

PAGE: Final = 50
# So many of the latest events of one person are looked at.
OF_ONE_PERSON: Final = 500

# One range of the index by type each, so that a rare type costs what a busy one does.
_NEWEST: Final = """
SELECT newest.id FROM unnest(%s::bigint[]) AS type (id)
CROSS JOIN LATERAL (
    SELECT e.id, e.received_at FROM identity_incomingevent e
    WHERE e.event_type_id = type.id{before}
    ORDER BY e.received_at DESC, e.id DESC LIMIT %s
) AS newest
ORDER BY newest.received_at DESC, newest.id DESC LIMIT %s
"""
_BEFORE: Final = " AND (e.received_at, e.id) < (%s, %s)"

_COUNTS: Final = """
SELECT e.event_type_id, count(*) FILTER (WHERE e.received_at > %s), count(*)
FROM identity_incomingevent e
WHERE e.event_type_id = ANY(%s) AND e.received_at > %s GROUP BY 1
"""


class Place(NamedTuple):
    """Where a page ends; the next one begins after it."""

    received_at: datetime
    id: int


class Page(NamedTuple):
    events: list[IncomingEvent]
    following: Place | None


class Counts(NamedTuple):
    day: int  # Of the last 24 hours.
    week: int  # Of the last 7 days.


def page(
    event_types: Collection[EventType], *, after: Place | None = None, limit: int = PAGE
) -> Page:
    """Return the next page of the events of some types.

    By place, not by number: the thousandth page costs what the first one does.
    """
    types = [event_type.pk for event_type in event_types]
    before: list[Any] = [after.received_at, after.id] if after else []
    with connection.cursor() as cursor:
        cursor.execute(
            _NEWEST.format(before=_BEFORE if after else ""),
            [types, *before, limit + 1, limit + 1],
        )
        found = [pk for (pk,) in cursor.fetchall()]
    return _page(Q(pk__in=found), limit)


def page_of_people(
    workspace: Workspace,
    event_types: Collection[EventType],
    *,
    qaids: Sequence[int],
    now: datetime,
    after: Place | None = None,
    limit: int = PAGE,
) -> Page:
    """Return the next page of what some people reported; ``qaids`` hold their former ones too.

    Found through the history, which knows whose an event is; the queue has no index by person.
    """
    history = Event.objects.filter(
        profile__in=qaids,
        event_type__in=event_types,
        # As old as an event may be when it comes in, and as long as it is remembered then.
        occurred_at__gt=now - 2 * REMEMBERED - timedelta(days=1),
    )
    newest = history.order_by("-occurred_at").values_list("event_id", flat=True)[:OF_ONE_PERSON]
    wanted = Q(workspace=workspace, event_id__in=list(newest), event_type__in=event_types)
    if after is not None:
        earlier = Q(received_at=after.received_at, pk__lt=after.id)
        wanted &= Q(received_at__lt=after.received_at) | earlier
    return _page(wanted, limit)


def _page(wanted: Q, limit: int) -> Page:
    found = IncomingEvent.objects.filter(wanted).select_related("event_type")
    rows = list(found.order_by("-received_at", "-pk")[: limit + 1])
    shown = rows[:limit]
    following = Place(shown[-1].received_at, shown[-1].pk) if len(rows) > limit else None
    return Page(shown, following)


def counts(event_types: Collection[EventType], *, now: datetime) -> dict[int, Counts]:
    """Return how many came in lately, by type."""
    found = {event_type.pk: Counts(0, 0) for event_type in event_types}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [now - timedelta(days=1), list(found), now - timedelta(days=7)])
        found |= {pk: Counts(day, week) for pk, day, week in cursor.fetchall()}
    return found


def last_of(event_type: EventType) -> datetime | None:
    """Return when the latest event of a type happened, however it was stored."""
    happened = Event.objects.filter(event_type=event_type).order_by("-occurred_at")
    return happened.values_list("occurred_at", flat=True).first()
