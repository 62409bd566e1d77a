"""Recording how tries ended: one short transaction a flush, fenced by the lease's token."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper

from webhooks import claiming, fault_points, rows, states
from webhooks.choices import StateByte
from webhooks.plans import CompiledPlan
from webhooks.states import ChunkStates
from webhooks.work import Envelope, Held, Tried

log = structlog.get_logger(__name__)

_WAITING: Final = int(StateByte.WAITING)


@dataclass(slots=True)
class Settled:
    """What a flush changed."""

    people: int = 0
    late: int = 0
    # Chunks of which somebody goes on to the next step, with their plans.
    ended: set[tuple[int, int]] = field(default_factory=set)


@dataclass(slots=True)
class _Sorted:
    """Tries by what they change: by chunk, by day, or nothing."""

    first: dict[int, list[Tried]] = field(default_factory=dict)
    intended: dict[int, list[Tried]] = field(default_factory=dict)
    later: dict[date, list[Tried]] = field(default_factory=dict)
    late: list[Tried] = field(default_factory=list)


def settle(tried: Sequence[Tried]) -> Settled:
    """Record tries of any number of chunks and messages.

    Chunk rows are locked by id and token first. Whatever was claimed by somebody else in
    the meantime is written as late attempts and changes nothing; repeating the whole after
    a lost COMMIT counts nothing twice.
    """
    try:
        return _settle(tried)
    except IntegrityError as error:
        # A chunk said that somebody has no row, and there is one: nobody else waits for it. What
        # PostgreSQL says of it may hold the row, so it is not told.
        log.warning("row_unknown_to_chunk", error=type(error).__name__)
        return _settle(tried, is_careful=True)


def _settle(tried: Sequence[Tried], *, is_careful: bool = False) -> Settled:
    settled = Settled()
    with transaction.atomic(), connection.cursor() as cursor:
        chunks = states.lock(cursor, sorted({_chunk_id(each) for each in tried}))
        stored = [each.envelope for each in tried if each.envelope and each.envelope.is_stored]
        live = rows.live_messages(cursor, [(each.id, each.held.lease) for each in stored])
        sorted_out = _sort_out(tried, chunks, live)
        for chunk_id, found in sorted_out.first.items():
            settled.people += _first_tries(cursor, chunks[chunk_id], found, is_careful=is_careful)
        for chunk_id, found in sorted_out.intended.items():
            settled.people += _intended_tries(cursor, chunks[chunk_id], found)
        for day, found in sorted_out.later.items():
            settled.people += _later_tries(cursor, chunks, day, found)
        if late := sorted_out.late:
            rows.insert_attempts(cursor, late, kind="late")
            settled.late = sum(len(each.endings) for each in late)
        for chunk in chunks.values():
            chunk.store(cursor)
            if chunk.ended:
                settled.ended.add((chunk.plan_id, chunk.id))
        if fault_points.ON:
            fault_points.reach("before_commit")
    return settled


def _chunk_id(tried: Tried) -> int:
    return tried.envelope.chunk_id if tried.envelope else tried.held.chunk_id


def _sort_out(
    tried: Sequence[Tried], chunks: Mapping[int, ChunkStates], live: Collection[str]
) -> _Sorted:
    """Tell the tries under a lease that is still ours from those that come too late."""
    found = _Sorted()
    for each in tried:
        envelope = each.envelope
        chunk = chunks.get(_chunk_id(each))
        if chunk is None:
            continue  # Its workspace was deleted.
        if envelope is not None and envelope.is_stored:
            if envelope.id in live:
                found.later.setdefault(envelope.day, []).append(each)
            else:
                found.late.append(each)
        elif chunk.lease != each.held.lease.key:
            found.late.append(each)
        elif envelope is not None and envelope.has_intent:
            found.intended.setdefault(chunk.id, []).append(each)
        else:
            found.first.setdefault(chunk.id, []).append(each)
    return found


def _where(held: Held) -> tuple[CompiledPlan, date]:
    if held.plan is None or held.day is None:
        raise ValueError("only people of a chunk have a first try")
    return held.plan, held.day


def _envelope(tried: Tried) -> Envelope:
    if tried.envelope is None:
        raise ValueError("only a message has a later try")
    return tried.envelope


def _first_tries(
    cursor: CursorWrapper, chunk: ChunkStates, tried: Sequence[Tried], *, is_careful: bool
) -> int:
    plan, day = _where(tried[0].held)
    # Who is queued has no row. Who is not was settled by this very flush, whose COMMIT was lost.
    new = {ending[0].position for each in tried for ending in each.endings}
    if not is_careful and chunk.are_queued(new):
        rows.copy_deliveries(
            cursor, plan=plan, chunk_id=chunk.id, day=day, tried=tried, now=chunk.locked_at
        )
    else:
        new = rows.insert_deliveries(cursor, plan=plan, chunk_id=chunk.id, day=day, tried=tried)
    _count(chunk, plan, tried, new)
    _store(cursor, chunk.id, tried, new)
    again = [each for each in tried if each.envelope is not None and each.envelope.tries]
    rows.insert_attempts(cursor, again)
    return len(new)


def _intended_tries(cursor: CursorWrapper, chunk: ChunkStates, tried: Sequence[Tried]) -> int:
    plan, day = _where(tried[0].held)
    new = rows.update_intents(cursor, day, tried)
    _count(chunk, plan, tried, new)
    _store(cursor, chunk.id, tried, new)
    rows.insert_attempts(cursor, [each for each in tried if each.envelope and each.envelope.tries])
    return len(new)


def _count(chunk: ChunkStates, plan: CompiledPlan, tried: Sequence[Tried], new: set[int]) -> None:
    """Move everybody whose row is new, and count defaults and blanks that went out."""
    move = chunk.move
    defaulted: dict[int, int] = {}
    blanked: dict[int, int] = {}
    for each in tried:
        went_out = each.envelope is not None
        for recipient, state, reason in each.endings:
            if recipient.position not in new:
                continue
            move(recipient.position, state, "" if state == _WAITING else reason)
            if went_out and recipient.defaulted:
                defaulted[recipient.defaulted] = defaulted.get(recipient.defaulted, 0) + 1
            if went_out and recipient.blanked:
                blanked[recipient.blanked] = blanked.get(recipient.blanked, 0) + 1
    for word, masks in (("default", defaulted), ("blank", blanked)):
        for mask, number in masks.items():
            for key in plan.variable_keys(mask):
                chunk.tally(f"{word}:{key}", number)


def _store(cursor: CursorWrapper, chunk_id: int, tried: Sequence[Tried], new: set[int]) -> None:
    rows.store_messages(
        cursor,
        [
            (each.envelope.plan, chunk_id, each.envelope.day, waiting)
            for each in tried
            if each.envelope is not None
            for waiting in each.waiting
            if waiting.recipients[0].position in new
        ],
    )


def _later_tries(
    cursor: CursorWrapper, chunks: dict[int, ChunkStates], day: date, tried: Sequence[Tried]
) -> int:
    changed = rows.update_deliveries(cursor, day, tried)
    rows.insert_attempts(cursor, [each for each in tried if each.is_counted])
    gone: list[str] = []
    for each in tried:
        envelope = _envelope(each)
        chunk = chunks[envelope.chunk_id]
        for recipient, state, reason in each.endings:
            if recipient.delivery_id in changed:
                chunk.move(recipient.position, state, "" if state == _WAITING else reason)
        if envelope.id not in {waiting.id for waiting in each.waiting}:
            gone.append(envelope.id)
    if gone:
        cursor.execute("DELETE FROM webhooks_message WHERE id = ANY(%s)", [gone])
    rows.store_messages(
        cursor,
        [
            (each.envelope.plan, each.envelope.chunk_id, day, waiting)
            for each in tried
            if each.envelope is not None
            for waiting in each.waiting
        ],
    )
    return len(changed)


def write_intents(
    held: Held, envelopes: Sequence[Envelope], *, reason: str, now: datetime
) -> list[Envelope]:
    """Write that these messages may be open, before they are; return those that may be opened.

    Under the token: nothing is returned when the lease was lost.
    """
    stored = [each for each in envelopes if each.is_stored]
    unstored = [each for each in envelopes if not each.is_stored]
    with transaction.atomic(), connection.cursor() as cursor:
        allowed: list[Envelope] = []
        if stored:
            cursor.execute(
                "UPDATE webhooks_message SET claims = %s WHERE id = ANY(%s) AND lease = %s"
                " RETURNING id",
                [claiming.INTENT, [each.id for each in stored], str(held.lease.token)],
            )
            marked = {message_id for (message_id,) in cursor.fetchall()}
            allowed += [each for each in stored if each.id in marked]
        if unstored:
            chunk = states.lock(cursor, [held.chunk_id]).get(held.chunk_id)
            if chunk is not None and chunk.lease == str(held.lease.token):
                new = rows.insert_intents(cursor, unstored, reason=reason, now=now)
                allowed += [
                    each for each in unstored if all(who.position in new for who in each.recipients)
                ]
    for each in allowed:
        each.has_intent = True
    return allowed


def take_back(envelopes: Iterable[Envelope]) -> None:
    """Let people whose message was not sent, or refused, wait as if it had not been tried.

    Under the token: the intents of a lost lease are for its new holder to judge.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        for each in envelopes:
            if each.has_intent and each.is_stored:
                # As before it was marked: worked alone, when it was that.
                claims = claiming.CAREFUL_CLAIMS if each.held.is_alone else 1
                cursor.execute(
                    "UPDATE webhooks_message SET claims = %s WHERE id = %s AND lease = %s",
                    [claims, each.id, str(each.held.lease.token)],
                )
            elif each.has_intent:
                chunk = states.lock(cursor, [each.chunk_id]).get(each.chunk_id)
                if chunk is not None and chunk.lease == each.held.lease.key:
                    rows.delete_intents(cursor, each)
            each.has_intent = False
