"""Letting people into event journeys: incoming events, many at once, into the first step's chunks.

Taking the events, writing enrollments and inserting chunks is one transaction: an event is
taken once and starts everything it has to start, whoever is killed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import QuerySet

from identity import ingestion
from identity.models import EventAttribute
from journeys import ending, stages
from journeys.choices import JourneyState, RunState
from journeys.components.event import EventConfig
from journeys.definition import Document
from journeys.models import Run
from webhooks import outbox, pressure
from webhooks.models import Plan
from webhooks.outbox import NewChunk
from webhooks.rendering import Source

# Events taken in one transaction: what comes in within 5 to 20 ms under heavy load.
EVENTS_AT_ONCE: Final = 2000

_ENROLL: Final = """
INSERT INTO journeys_enrollment (run_id, journey_id, qaid, event_id, entered_at)
SELECT %s, %s, entering.qaid, entering.event_id, %s
FROM unnest(%s::bigint[], %s::text[]) AS entering (qaid, event_id)
ON CONFLICT (run_id, event_id) DO NOTHING RETURNING event_id
"""

# The last entry of each person into the journey, former QAIDs included.
_LAST_ENTRIES: Final = """
SELECT coalesce(p.merged_into_id, p.qaid), max(e.entered_at)
FROM identity_profile p
JOIN journeys_enrollment e ON e.qaid = p.qaid AND e.journey_id = %s
WHERE p.qaid = ANY(%s) OR p.merged_into_id = ANY(%s)
GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one turn did."""

    events: int = 0
    entered: int = 0


def enroll(*, now: datetime, limit: int = EVENTS_AT_ONCE) -> Taken:
    """Take waiting events and let their people into all journeys that listen for them.

    Events wait while the first webhook of a journey that they would start is full.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        events = ingestion.take(cursor, limit=limit, now=now, besides=_held_back())
        if not events:
            return Taken()
        entered = 0
        runs = listening({event.event_type_id for event in events})
        for run in runs.select_for_update(of=("self",)):
            of_type = [event for event in events if event.event_type_id == run.event_type_id]
            # A run that is at fault loses its own part alone; the events stay taken.
            with ending.alone(run.pk, now=now):
                entered += _let_in(run, of_type, now)
    return Taken(len(events), entered)


def _held_back() -> set[int]:
    """Return the event types that start a journey whose first webhook has enough to do."""
    listeners = Run.objects.filter(
        is_event=True, closed_at__isnull=True, state__in=[RunState.RUNNING, RunState.PAUSED]
    )
    types = dict(listeners.values_list("pk", "event_type_id"))
    first = stages.first_webhooks(types)
    full = pressure.full(first.values())
    return {types[run] or 0 for run, webhook in first.items() if webhook in full}


def listening(event_type_ids: Iterable[int]) -> QuerySet[Run]:
    """Return the runs that let people in, in one order; a paused journey goes on enrolling."""
    return (
        Run.objects.select_related("version", "journey")
        .filter(
            is_event=True,
            closed_at__isnull=True,
            state__in=[RunState.RUNNING, RunState.PAUSED],
            journey__state__in=[JourneyState.RUNNING, JourneyState.PAUSED],
            event_type__in=event_type_ids,
        )
        .order_by("pk")
    )


def _let_in(run: Run, events: Sequence[ingestion.Taken], now: datetime) -> int:
    """Let the people of these events into one locked run; return how many entered."""
    config = start_config(run)
    types = attribute_types(run.event_type_id)
    matching = [event for event in events if config.matches(event.attributes, types)]
    matching = _may_enter(run, config.reentry_after, matching, now)
    if not matching:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            _ENROLL,
            [
                run.pk,
                run.journey_id,
                now,
                [event.qaid for event in matching],
                [event.event_id for event in matching],
            ],
        )
        new = {event_id for (event_id,) in cursor.fetchall()}
    entering = [event for event in matching if event.event_id in new]
    if not entering:
        return 0
    plan = stages.plan(stages.of(run.pk)[0])
    kept = used_attributes(run)
    size = outbox.chunk_people(plan.webhook)
    chunks = [
        _chunk(run.next_chunk + number, entering[first : first + size], kept)
        for number, first in enumerate(range(0, len(entering), size))
    ]
    outbox.submit(plan=plan, chunks=chunks, now=now)
    run.next_chunk += len(chunks)
    run.people += len(entering)
    run.save(update_fields=["next_chunk", "people"])
    return len(entering)


def _chunk(number: int, events: Sequence[ingestion.Taken], kept: frozenset[str]) -> NewChunk:
    return NewChunk(
        number,
        [event.qaid for event in events],
        [
            {
                "id": event.event_id,
                "attributes": {
                    code: value for code, value in event.attributes.items() if code in kept
                },
            }
            for event in events
        ],
    )


def _may_enter(
    run: Run, again_after: timedelta | None, events: Sequence[ingestion.Taken], now: datetime
) -> list[ingestion.Taken]:
    """Keep the events that the re-entry rule lets through, the earliest of a person first.

    The run's row is locked, so nobody else lets the same person in meanwhile.
    """
    if again_after == timedelta(0) or not events:
        return list(events)
    last = last_entries(run.journey_id, {event.qaid for event in events})
    allowed = []
    for event in sorted(events, key=lambda event: (event.occurred_at, event.event_id)):
        if may_enter_again(last.get(event.qaid), again_after, now):
            allowed.append(event)
            last[event.qaid] = now
    return allowed


def may_enter_again(last: datetime | None, again_after: timedelta | None, now: datetime) -> bool:
    """Tell whether somebody who entered last at this time may enter now."""
    return last is None or (again_after is not None and now - last >= again_after)


def last_entries(journey_id: int, survivors: Iterable[int]) -> dict[int, datetime]:
    """Return when each of these people entered the journey last; all versions count."""
    people = list(survivors)
    with connection.cursor() as cursor:
        cursor.execute(_LAST_ENTRIES, [journey_id, people, people])
        return dict(cursor.fetchall())


def start_config(run: Run) -> EventConfig:
    """Return what the run's version listens for."""
    start = Document.from_json(run.version.document).start
    return EventConfig.from_json(start.config if start else {})


def attribute_types(event_type_id: int | None) -> dict[str, str]:
    return dict(EventAttribute.objects.filter(event_type=event_type_id).values_list("code", "type"))


def used_attributes(run: Run) -> frozenset[str]:
    """Return the attributes that some step of the run puts into a text: all that is copied."""
    definitions: Iterable[Mapping[str, Any]] = Plan.objects.filter(run_id=run.pk).values_list(
        "definition", flat=True
    )
    return frozenset(
        variable["code"]
        for definition in definitions
        for parameter in definition["parameters"]
        for variable in parameter["variables"]
        if variable["source"] == Source.EVENT
    )
