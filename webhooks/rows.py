"""Writing many rows in one statement: copied, or as arrays; and the log's statements.

The driver adapts a list element by element; joining the text of an array here costs a
third of that, and the statement still gets one quoted value an array.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from io import BytesIO
from typing import Final

from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg2.extras import execute_values

from webhooks.choices import DeliveryState, StateByte
from webhooks.leases import Lease
from webhooks.plans import CompiledPlan
from webhooks.work import Ending, Envelope, Tried, Waiting

STATE_NAMES: Final[dict[int, str]] = {
    StateByte.QUEUED: DeliveryState.QUEUED.value,
    StateByte.DELIVERED: DeliveryState.DELIVERED.value,
    StateByte.DEAD: DeliveryState.DEAD.value,
    StateByte.EXPIRED: DeliveryState.EXPIRED.value,
    StateByte.CANCELLED: DeliveryState.CANCELLED.value,
    StateByte.SKIPPED: DeliveryState.SKIPPED.value,
    StateByte.UNCERTAIN: DeliveryState.UNCERTAIN.value,
    StateByte.WAITING: DeliveryState.QUEUED.value,
}

_COPY_DELIVERIES: Final = """
COPY webhooks_delivery (day, workspace_id, webhook_id, plan_id, chunk_id, message_id, attempts,
    status_code, duration_ms, first_attempt_at, answer, id, position, qaid, state, reason,
    defaulted, blanked, updated_at, sent_id, reach_id, texts)
FROM STDIN
"""
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_TABS: Final = 21  # In a row of it.
_NOTHING: Final = "\\N"

_INSERT_DELIVERIES: Final = """
INSERT INTO webhooks_delivery (day, workspace_id, webhook_id, plan_id, chunk_id, id, position, qaid,
    message_id, state, reason, sent_id, reach_id, texts, defaulted, blanked, attempts, status_code,
    answer, duration_ms, first_attempt_at, updated_at)
SELECT %s, %s, %s, %s, %s, u.id, u.position, u.qaid, u.message_id, u.state, u.reason, u.sent_id,
    u.reach_id, u.texts::text[], u.defaulted, u.blanked, u.attempts, u.status_code, u.answer,
    u.duration_ms, to_timestamp(u.at), clock_timestamp()
FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::text[],
    %s::int[], %s::float8[]) AS u (id, position, qaid, message_id, state, reason, sent_id, reach_id,
    texts, defaulted, blanked, attempts, status_code, answer, duration_ms, at)
ON CONFLICT (day, id) DO NOTHING
RETURNING position
"""

_UPDATE_DELIVERIES: Final = """
UPDATE webhooks_delivery d SET state = u.state, reason = u.reason, attempts = u.attempts,
    updated_at = clock_timestamp()
FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[]) AS u (id, state, reason, attempts)
WHERE d.day = %s AND d.id = u.id AND d.state = 'queued'
RETURNING d.id
"""

_UPDATE_INTENTS: Final = """
UPDATE webhooks_delivery d SET state = u.state, reason = u.reason, attempts = u.attempts,
    status_code = u.status_code, answer = u.answer, duration_ms = u.duration_ms,
    first_attempt_at = coalesce(to_timestamp(u.at), d.first_attempt_at),
    updated_at = clock_timestamp()
FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::int[],
    %s::float8[]) AS u (id, state, reason, attempts, status_code, answer, duration_ms, at)
WHERE d.day = %s AND d.id = u.id AND d.state = 'queued' AND d.reason LIKE 'open_%%'
RETURNING d.position
"""

_INSERT_ATTEMPTS: Final = """
INSERT INTO webhooks_attempt (day, webhook_id, delivery_id, message_id, number, kind, at, outcome,
    status_code, answer, duration_ms, lease)
SELECT u.day, u.webhook_id, u.delivery_id, u.message_id, u.number, u.kind, to_timestamp(u.at),
    u.outcome, u.status_code, u.answer, u.duration_ms, u.lease
FROM unnest(%s::date[], %s::bigint[], %s::text[], %s::text[], %s::int[], %s::text[], %s::float8[],
    %s::text[], %s::int[], %s::text[], %s::int[], %s::uuid[]) AS u (day, webhook_id, delivery_id,
    message_id, number, kind, at, outcome, status_code, answer, duration_ms, lease)
"""

# A flush that is repeated after a lost COMMIT finds its own rows and is not late.
_UNLESS_OURS: Final = """
WHERE NOT EXISTS (SELECT 1 FROM webhooks_delivery d
    WHERE d.day = u.day AND d.id = u.delivery_id
        AND abs(extract(epoch FROM d.first_attempt_at) - u.at) < 0.00001)
AND NOT EXISTS (SELECT 1 FROM webhooks_attempt a
    WHERE a.day = u.day AND a.delivery_id = u.delivery_id AND a.number = u.number
        AND a.lease = u.lease)
"""

_INSERT_MESSAGES: Final = """
INSERT INTO webhooks_message (id, workspace_id, webhook_id, plan_id, chunk_id, day, delivery_ids,
    positions, body, kind, attempts, splits, first_attempt_at, due_at, expires_at, claims)
VALUES %s
ON CONFLICT (id) DO UPDATE SET attempts = excluded.attempts, splits = excluded.splits,
    due_at = excluded.due_at,
    first_attempt_at = excluded.first_attempt_at, expires_at = excluded.expires_at,
    kind = excluded.kind, lease = NULL, lease_until = NULL, claims = 0
"""
_MESSAGE: Final = (
    "(%s, %s, %s, %s, %s, %s, %s::text[], %s::int[], %s, %s, %s, %s, %s,"
    " clock_timestamp() + make_interval(secs => %s), %s, 0)"
)


def texts(values: Sequence[str | None]) -> str:
    """Write texts as an array: quoted, so that any of them may hold anything."""
    if None not in values:
        # Nothing to escape in any of them, as a rule: seen at once in all of them together.
        joined = '","'.join(values)  # type: ignore[arg-type]
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return f'{{"{joined}"}}' if values else "{}"
    return (
        "{"
        + ",".join(
            [
                "NULL"
                if value is None
                else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
                for value in values
            ]
        )
        + "}"
    )


def words(values: Iterable[str]) -> str:
    """Write ids, states and reasons as an array: letters, digits and ``_`` only, or nothing."""
    return "{" + ",".join([value or '""' for value in values]) + "}"


def numbers(values: Iterable[float | None]) -> str:
    return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"


def copy_deliveries(
    cursor: CursorWrapper,
    *,
    plan: CompiledPlan,
    chunk_id: int,
    day: date,
    tried: Sequence[Tried],
    now: datetime,
) -> None:
    """Write one row a person with the outcome of the first try: of people who have none.

    Raises:
        IntegrityError: one of them has; the transaction is over.
    """
    data = _copied(plan, chunk_id, day, tried, now, str)
    # Nothing to escape in any of them, as a rule: seen at once in all of them together.
    rows = sum(len(each.endings) for each in tried)
    is_plain = (
        "\\" not in data
        and "\r" not in data
        and data.count("\n") == rows
        and data.count("\t") == rows * _TABS
    )
    if not is_plain:
        data = _copied(plan, chunk_id, day, tried, now, _escaped)
    # Past Django's cursor, so that its errors must be translated by hand.
    with connection.wrap_database_errors:
        cursor.cursor.copy_expert(_COPY_DELIVERIES, BytesIO(data.encode()), len(data) * 4)


def _copied(
    plan: CompiledPlan,
    chunk_id: int,
    day: date,
    tried: Sequence[Tried],
    now: datetime,
    write: Callable[[str], str],
) -> str:
    """Return the rows of these people as ``COPY`` reads them."""
    found: list[str] = []
    # One after the other, so that lists of the latest show them in their order.
    second, place = _second(int(now.timestamp())), now.microsecond
    where = f"{day}\t{plan.workspace_id}\t{plan.webhook_id}\t{plan.id}\t{chunk_id}\t"
    for each in tried:
        message_id = each.envelope.id if each.envelope else ""
        status = _NOTHING if each.status is None else each.status
        duration = _NOTHING if each.duration_ms is None else each.duration_ms
        at = _NOTHING if each.at is None else _moment(each.at)
        shared = f"{where}{message_id}\t{each.tries}\t{status}\t{duration}\t{at}\t"
        shared += write(each.answer)
        for who, state, reason in each.endings:
            filled = _NOTHING if who.texts is None else write(texts(who.texts))
            place = min(place + 1, 999_999)
            found.append(
                f"{shared}\t{who.delivery_id}\t{who.position}\t{who.qaid}\t{STATE_NAMES[state]}"
                f"\t{reason}\t{who.defaulted}\t{who.blanked}\t{second}.{place:06d}Z"
                f"\t{write(who.sent_id)}\t{write(who.reach_id)}\t{filled}\n"
            )
    return "".join(found)


def _moment(seconds: float) -> str:
    """Write seconds since 1970 as a time stamp; of a flush, most fall into the same second."""
    second, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microseconds:06d}Z"


@lru_cache(maxsize=16)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)


def insert_deliveries(
    cursor: CursorWrapper,
    *,
    plan: CompiledPlan,
    chunk_id: int,
    day: date,
    tried: Sequence[Tried],
) -> set[int]:
    """Write one row a person who has none; return the places of those that are new."""
    found = [(each, ending) for each in tried for ending in each.endings]
    people = [ending.recipient for _, ending in found]
    cursor.execute(
        _INSERT_DELIVERIES,
        [
            *(day, plan.workspace_id, plan.webhook_id, plan.id, chunk_id),
            words([who.delivery_id for who in people]),
            numbers([who.position for who in people]),
            numbers([who.qaid for who in people]),
            words([each.envelope.id if each.envelope else "" for each, _ in found]),
            words([STATE_NAMES[ending.state] for _, ending in found]),
            words([ending.reason for _, ending in found]),
            texts([who.sent_id for who in people]),
            texts([who.reach_id for who in people]),
            texts([None if who.texts is None else texts(who.texts) for who in people]),
            numbers([who.defaulted for who in people]),
            numbers([who.blanked for who in people]),
            numbers([each.tries for each, _ in found]),
            numbers([each.status for each, _ in found]),
            texts([each.answer for each, _ in found]),
            numbers([each.duration_ms for each, _ in found]),
            numbers([each.at for each, _ in found]),
        ],
    )
    return {position for (position,) in cursor.fetchall()}


def update_deliveries(cursor: CursorWrapper, day: date, tried: Sequence[Tried]) -> set[str]:
    """Write how a later try ended; return the deliveries that were still queued."""
    endings = [(ending, each.tries) for each in tried for ending in each.endings]
    cursor.execute(
        _UPDATE_DELIVERIES,
        [
            words([ending.recipient.delivery_id for ending, _ in endings]),
            words([STATE_NAMES[ending.state] for ending, _ in endings]),
            words([ending.reason for ending, _ in endings]),
            numbers([tries for _, tries in endings]),
            day,
        ],
    )
    return {delivery_id for (delivery_id,) in cursor.fetchall()}


def update_intents(cursor: CursorWrapper, day: date, tried: Sequence[Tried]) -> set[int]:
    """Write the outcome into rows that said "this one may be open now"; return their places."""
    endings = [(ending, each) for each in tried for ending in each.endings]
    cursor.execute(
        _UPDATE_INTENTS,
        [
            words([ending.recipient.delivery_id for ending, _ in endings]),
            words([STATE_NAMES[ending.state] for ending, _ in endings]),
            words([ending.reason for ending, _ in endings]),
            numbers([each.tries for _, each in endings]),
            numbers([each.status for _, each in endings]),
            texts([each.answer for _, each in endings]),
            numbers([each.duration_ms for _, each in endings]),
            numbers([each.at for _, each in endings]),
            day,
        ],
    )
    return {position for (position,) in cursor.fetchall()}


def insert_attempts(cursor: CursorWrapper, tried: Sequence[Tried], *, kind: str = "") -> None:
    """Write one attempt a person; ``kind`` is the message's own unless given.

    A late one is not written when this very flush, or an earlier run of it, has recorded it.
    """
    found = [
        (each, each.envelope, recipient)
        for each in tried
        if each.envelope is not None
        for recipient in each.envelope.recipients
    ]
    if not found:
        return
    is_late = kind == "late"
    cursor.execute(
        _INSERT_ATTEMPTS + (_UNLESS_OURS if is_late else "") + " ON CONFLICT DO NOTHING",
        [
            "{" + ",".join([envelope.day.isoformat() for _, envelope, _ in found]) + "}",
            numbers([each.held.webhook_id for each, _, _ in found]),
            words([recipient.delivery_id for _, _, recipient in found]),
            words([envelope.id for _, envelope, _ in found]),
            numbers([envelope.tries + 1 for _, envelope, _ in found]),
            words([kind or envelope.kind for _, envelope, _ in found]),
            numbers([each.at for each, _, _ in found]),
            words([each.outcome for each, _, _ in found]),
            numbers([each.status for each, _, _ in found]),
            texts([each.answer for each, _, _ in found]),
            numbers([each.duration_ms for each, _, _ in found]),
            "{" + ",".join([each.held.lease.key for each, _, _ in found]) + "}",
        ],
    )


def store_messages(
    cursor: CursorWrapper, found: Iterable[tuple[CompiledPlan, int, date, Waiting]]
) -> None:
    """Write the messages that wait for another try, of (plan, chunk, day, message)."""
    values = [
        (
            waiting.id,
            plan.workspace_id,
            plan.webhook_id,
            plan.id,
            chunk_id,
            day,
            words([each.delivery_id for each in waiting.recipients]),
            numbers([each.position for each in waiting.recipients]),
            waiting.body,
            waiting.kind,
            waiting.tries,
            waiting.splits,
            waiting.first_attempt_at,
            waiting.delay,
            waiting.expires_at,
        )
        for plan, chunk_id, day, waiting in found
    ]
    if values:
        # Past Django's cursor, so that its errors must be translated by hand.
        with connection.wrap_database_errors:
            execute_values(
                cursor.cursor, _INSERT_MESSAGES, values, template=_MESSAGE, page_size=200
            )


def insert_intents(
    cursor: CursorWrapper, envelopes: Sequence[Envelope], *, reason: str, now: datetime
) -> set[int]:
    """Write, before any socket opens, that these people may be open; return their places."""
    first = envelopes[0]
    tried = [
        Tried(
            held=each.held,
            envelope=each,
            endings=[Ending(who, StateByte.QUEUED, reason) for who in each.recipients],
            at=now.timestamp(),
            tries=each.tries + 1,
        )
        for each in envelopes
    ]
    return insert_deliveries(
        cursor, plan=first.plan, chunk_id=first.chunk_id, day=first.day, tried=tried
    )


def delete_intents(cursor: CursorWrapper, envelope: Envelope) -> None:
    """Take back what was never sent."""
    cursor.execute(
        "DELETE FROM webhooks_delivery WHERE day = %s AND id = ANY(%s::text[])"
        " AND state = 'queued' AND reason LIKE 'open_%%'",
        [envelope.day, words([each.delivery_id for each in envelope.recipients])],
    )


def live_messages(cursor: CursorWrapper, found: Sequence[tuple[str, Lease]]) -> set[str]:
    """Lock waiting messages; return those that are still under the lease they were claimed with."""
    if not found:
        return set()
    cursor.execute(
        "SELECT id, lease FROM webhooks_message WHERE id = ANY(%s::text[]) ORDER BY id FOR UPDATE",
        [words([message_id for message_id, _ in found])],
    )
    leases = {message_id: str(lease) for message_id, lease in cursor.fetchall()}
    return {message_id for message_id, lease in found if leases.get(message_id) == str(lease.token)}
