"""The people behind a run's numbers, read from the same chunks that the numbers are sums of.

Whoever waits, or ended with a whole chunk, has no delivery row yet; the chunk knows them all.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from django.db import connection
from django.db.models import F

from webhooks import holding
from webhooks.choices import DeliveryState, StateByte
from webhooks.models import Delivery
from webhooks.plans import PlanCache

PAGE: Final = 50
# A filter that finds little is answered with a short page and the place to go on from, after so
# many chunks or so much time; the chunk in hand is always read to its end.
CHUNKS_AT_MOST: Final = 400
SECONDS_AT_MOST: Final = 0.2
# Most pages are full after one; a rare state takes many.
_CHUNKS_AT_FIRST: Final = 2
_CHUNKS_AT_ONCE: Final = 20
_PEOPLE_AT_ONCE: Final = 100
_BITS: Final = 0x7F
_STATES: Final = {
    StateByte.WAITING: DeliveryState.QUEUED,
    **{StateByte[state.name]: state for state in DeliveryState},
}
_FILLED: Final = {"default": "defaulted", "blank": "blanked"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is looked for, in the plans of ``plan_ids``; everybody when nothing narrows it.

    Args:
        tally: the key of ``Chunk.tallies`` that counts them: ``skipped:no_id``,
            ``default:<parameter>:<variable>``, ``blank:<parameter>:<variable>``.
        since, until: when the delivery changed last, or is due while it has no row.
    """

    plan_ids: Sequence[int]
    state: DeliveryState | None = None
    tally: str = ""
    qaids: Sequence[int] = ()
    since: datetime | None = None
    until: datetime | None = None


class Place(NamedTuple):
    """Where a page ends; the next one begins after it."""

    plan_id: int
    number: int  # Of the chunk.
    position: int


class Person(NamedTuple):
    """One person at one step; ``delivery`` is None while nothing has been made for them."""

    place: Place
    qaid: int
    state: DeliveryState
    at: datetime
    delivery_id: str
    delivery: Delivery | None


@dataclass(slots=True)
class Page:
    people: list[Person] = field(default_factory=list)
    following: Place | None = None


class _Chunk(NamedTuple):
    plan_id: int
    number: int
    day: date
    qaids: list[int]
    events: list[str] | None
    states: bytes
    due_at: datetime


# Chunks of one plan and day, each with the places of those who may be wanted.
_Some = list[tuple[_Chunk, list[int]]]


# The newest run first. Only rows whose counters say that there is somebody are opened.
_CHUNKS: Final = """
SELECT plan_id, number, day, qaids,
    (SELECT array_agg(one.event ->> 'id' ORDER BY one.place)
        FROM jsonb_array_elements(events) WITH ORDINALITY AS one (event, place)),
    states, due_at
FROM webhooks_chunk
WHERE plan_id = ANY(%(plans)s) AND (plan_id, number) <= (%(plan)s, %(number)s)
    AND (%(tally)s = '' OR tallies ? %(tally)s)
    AND (%(qaids)s::bigint[] IS NULL OR qaids && %(qaids)s::bigint[])
    {counted}
ORDER BY plan_id DESC, number DESC LIMIT %(limit)s
"""
_LAST: Final = Place(2**63 - 1, 2**63 - 1, -1)


def page(wanted: Wanted, *, after: Place | None = None, limit: int = PAGE) -> Page:
    """Return the next people, the newest run and chunk first."""
    reader, found = _Reader(wanted), Page()
    place, opened, limit_of_chunks = after or _LAST, 0, _CHUNKS_AT_FIRST
    until = time.monotonic() + SECONDS_AT_MOST
    while opened < CHUNKS_AT_MOST:
        chunks = reader.chunks(place, limit_of_chunks)
        for some in reader.together(chunks, place):
            for person in reader.people(some):
                if len(found.people) == limit:
                    found.following = found.people[-1].place
                    return found
                found.people.append(person)
            last = some[-1][0]
            is_further = (last.plan_id, last.number) != (place.plan_id, place.number)
            if is_further and time.monotonic() > until:
                found.following = Place(last.plan_id, last.number, len(last.qaids))
                return found
        if len(chunks) < limit_of_chunks:
            return found
        limit_of_chunks = _CHUNKS_AT_ONCE
        opened += len(chunks)
        place = Place(chunks[-1].plan_id, chunks[-1].number, len(chunks[-1].qaids))
    found.following = place
    return found


def everybody(wanted: Wanted) -> Iterator[Person]:
    """Yield everybody, page after page, as an export writes them."""
    place: Place | None = None
    while True:
        found = page(wanted, after=place, limit=500)
        yield from found.people
        place = found.following
        if place is None:
            return


class _Reader:
    """Opens chunks for one page; a plan is compiled once."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._plans = PlanCache()
        # A reason names its state too, so that nobody else's row is looked up.
        counted_as = wanted.tally.partition(":")[0]
        self._state = wanted.state or (
            DeliveryState(counted_as) if counted_as in DeliveryState else None
        )
        self._bytes = {int(byte) for byte, state in _STATES.items() if state == self._state}

    def chunks(self, place: Place, limit: int) -> list[_Chunk]:
        wanted = self._wanted
        counted = f"AND {self._state.value} > 0" if self._state else ""
        values: dict[str, Any] = {
            "plans": list(wanted.plan_ids),
            "plan": place.plan_id,
            "number": place.number,
            "tally": wanted.tally,
            "qaids": list(wanted.qaids) or None,
            "limit": limit,
        }
        with connection.cursor() as cursor:
            cursor.execute(_CHUNKS.format(counted=counted), values)
            found = [_Chunk(*row) for row in cursor.fetchall()]
        return [chunk._replace(states=bytes(chunk.states)) for chunk in found]

    def together(self, chunks: Sequence[_Chunk], place: Place) -> Iterator[_Some]:
        """Yield the chunks with whom they have, some at a time: their rows are one query."""
        some: _Some = []
        for chunk in chunks:
            if some and (chunk.plan_id, chunk.day) != (some[0][0].plan_id, some[0][0].day):
                yield some
                some = []
            is_same = (chunk.plan_id, chunk.number) == (place.plan_id, place.number)
            some.append((chunk, self._positions(chunk, place.position + 1 if is_same else 0)))
            if sum(len(positions) for _chunk, positions in some) >= _PEOPLE_AT_ONCE:
                yield some
                some = []
        if some:
            yield some

    def _positions(self, chunk: _Chunk, begins: int) -> list[int]:
        wanted, states = self._wanted, chunk.states
        return [
            position
            for position, qaid in enumerate(chunk.qaids)
            if position >= begins
            and (not self._bytes or states[position] & _BITS in self._bytes)
            and (not wanted.qaids or qaid in wanted.qaids)
        ]

    def people(self, some: _Some) -> Iterator[Person]:
        """Yield those of the chunks who are wanted; a long chunk is looked up part by part."""
        if len(some) > 1:
            yield from self._people(some)
            return
        ((chunk, positions),) = some
        for first in range(0, len(positions), _PEOPLE_AT_ONCE):
            yield from self._people([(chunk, positions[first : first + _PEOPLE_AT_ONCE])])

    def _people(self, some: _Some) -> Iterator[Person]:
        wanted = self._wanted
        ids = [self._ids(chunk, positions) if positions else [] for chunk, positions in some]
        rows = self._rows(some[0][0], [each for of_chunk in ids for each in of_chunk])
        for (chunk, positions), of_chunk in zip(some, ids, strict=True):
            for position, delivery_id in zip(positions, of_chunk, strict=True):
                delivery, state = rows.get(delivery_id), _state(chunk.states[position])
                if wanted.tally and delivery is None and not _ended_whole(state, wanted.tally):
                    continue
                at = delivery.updated_at if delivery else holding.due_at(chunk.due_at)
                if (wanted.since and at < wanted.since) or (wanted.until and at >= wanted.until):
                    continue
                place = Place(chunk.plan_id, chunk.number, position)
                yield Person(place, chunk.qaids[position], state, at, delivery_id, delivery)

    def _ids(self, chunk: _Chunk, positions: Sequence[int]) -> list[str]:
        making = self._plans.get(chunk.plan_id).delivery_ids(chunk.day)
        qaids = [chunk.qaids[position] for position in positions]
        if chunk.events is None:
            return making.many(qaids)
        return making.many(qaids, [chunk.events[position] for position in positions])

    def _rows(self, chunk: _Chunk, ids: list[str]) -> dict[str, Delivery]:
        if not ids:
            return {}
        found = Delivery.objects.filter(day=chunk.day, pk__in=ids).defer("texts", "answer")
        kind, _colon, rest = self._wanted.tally.partition(":")
        if kind in _FILLED:
            parameter, _colon, variable = rest.rpartition(":")
            bit = self._plans.get(chunk.plan_id).parameters.bit_of(parameter, variable)
            found = found.annotate(filled=F(_FILLED[kind]).bitand(bit)).filter(filled__gt=0)
        elif kind:
            found = found.filter(state=kind, reason=rest)
        return {row.pk: row for row in found}


def _state(byte: int) -> DeliveryState:
    return _STATES[StateByte(byte & _BITS)]


def _ended_whole(state: DeliveryState, tally: str) -> bool:
    """Tell whether somebody ended with the chunk: those reasons stand in no row."""
    ends = (DeliveryState.CANCELLED, DeliveryState.EXPIRED)
    return state in ends and tally.startswith(f"{state.value}:")
