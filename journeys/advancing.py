"""Handing people who ended in one step to the next one: chunks at a time, never one person.

Marking them and inserting the next step's chunks is one transaction, so that nobody is
lost or handed over twice, whoever is killed.
"""

import itertools
import json
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from journeys import ending, stages
from journeys.choices import RunState
from journeys.models import Run
from journeys.stages import Stage
from webhooks import outbox, pressure, states
from webhooks.outbox import NewChunk

# Chunks handed over in one transaction.
CHUNKS_AT_ONCE: Final = 20
_MOVING: Final = (RunState.PLANNING, RunState.RUNNING)

# Read through the partial index of the chunks that hold people to hand over.
_SETTLED: Final = """
SELECT plan_id, id FROM webhooks_chunk
WHERE plan_id = ANY(%s) AND unadvanced > 0 AND (unsent = 0 OR %s)
ORDER BY plan_id, id LIMIT 500
"""


class _Person(NamedTuple):
    qaid: int
    event: dict[str, Any] | None


def advance(*, now: datetime, partly: bool = True) -> int:
    """Hand on everybody who ended in a step that another follows; return how many people.

    While enough people wait for the next step's webhook, they stay where they are.

    Args:
        partly: also out of chunks that are still being sent. Without it only whole chunks
            move, which keeps chunks of the next step whole while a webhook is fast.
    """
    following = _following()
    full = pressure.full({after.webhook_id for _run, after in following.values()})
    following = {
        plan_id: (run_id, after)
        for plan_id, (run_id, after) in following.items()
        if after.webhook_id not in full
    }
    if not following:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, [list(following), partly])
        waiting: dict[int, list[int]] = {}
        for plan_id, chunk_id in cursor.fetchall():
            waiting.setdefault(plan_id, []).append(chunk_id)
    people = 0
    for plan_id, chunk_ids in waiting.items():
        run_id, after = following[plan_id]
        for first in range(0, len(chunk_ids), CHUNKS_AT_ONCE):
            with ending.alone(run_id, now=now):
                people += _hand_on(run_id, after, chunk_ids[first : first + CHUNKS_AT_ONCE], now)
    return people


def _following() -> dict[int, tuple[int, Stage]]:
    """Return, by plan, the run and the stage that follows in it, for all runs that move."""
    found: dict[int, tuple[int, Stage]] = {}
    for run_id in Run.objects.filter(state__in=_MOVING).values_list("pk", flat=True):
        of_run = stages.of(run_id)
        for stage, after in itertools.pairwise(of_run):
            found[stage.plan_id] = (run_id, after)
    return found


def _hand_on(run_id: int, after: Stage, chunk_ids: list[int], now: datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        run = (
            Run.objects.select_for_update(skip_locked=True)
            .filter(pk=run_id, state__in=_MOVING)
            .first()
        )
        if run is None:
            return 0
        people = _take(cursor, chunk_ids)
        if not people:
            return 0
        plan = stages.plan(after)
        size = outbox.chunk_people(plan.webhook)
        chunks = [
            _chunk(run.next_chunk + number, people[first : first + size])
            for number, first in enumerate(range(0, len(people), size))
        ]
        outbox.submit(plan=plan, chunks=chunks, now=now)
        run.next_chunk += len(chunks)
        run.save(update_fields=["next_chunk"])
    return len(people)


def _take(cursor: CursorWrapper, chunk_ids: list[int]) -> list[_Person]:
    """Mark the people of these chunks who go on, and return them in QAID order."""
    locked = states.lock(cursor, chunk_ids)
    cursor.execute("SELECT id, qaids, events FROM webhooks_chunk WHERE id = ANY(%s)", [chunk_ids])
    content = {chunk_id: (qaids, _events(events)) for chunk_id, qaids, events in cursor.fetchall()}
    people: list[_Person] = []
    for chunk_id, chunk in locked.items():
        qaids, events = content[chunk_id]
        people += [
            _Person(qaids[position], events[position] if events else None)
            for position in states.take_ended(cursor, chunk)
        ]
    return sorted(people, key=lambda person: person.qaid)


def _events(stored: Any) -> list[dict[str, Any]] | None:
    read: list[dict[str, Any]] | None = json.loads(stored) if isinstance(stored, str) else stored
    return read


def _chunk(number: int, people: list[_Person]) -> NewChunk:
    events = [person.event for person in people if person.event is not None]
    return NewChunk(number, [person.qaid for person in people], events or None)
