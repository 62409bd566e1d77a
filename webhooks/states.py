"""A chunk's people and counters while its row is locked: every change of a state goes here."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from django.db.backends.utils import CursorWrapper

from webhooks.choices import StateByte
from workspaces import planned

_FLAG: Final = int(StateByte.ADVANCED)
_BITS: Final = 0x7F
_QUEUED: Final = int(StateByte.QUEUED)
_WAITING: Final = int(StateByte.WAITING)
# The counter of each state byte. Whoever waits for another try counts as queued.
_COUNTERS: Final = (
    "queued",
    "delivered",
    "dead",
    "expired",
    "cancelled",
    "skipped",
    "uncertain",
    "queued",
)

_LOCK: Final = """
SELECT id, plan_id, lease, lease_until > clock_timestamp(), clock_timestamp(), states, queued,
    delivered, dead, expired, cancelled, skipped, uncertain, unsent, unadvanced, tallies
FROM webhooks_chunk WHERE id = ANY(%s) ORDER BY id FOR UPDATE
"""

_STORE: Final = """
UPDATE webhooks_chunk SET states = %s, queued = %s, delivered = %s, dead = %s, expired = %s,
    cancelled = %s, skipped = %s, uncertain = %s, unsent = %s, unadvanced = %s, tallies = %s
WHERE id = %s
"""


class ChunkStates:
    """The states, counters and tallies of one locked chunk row; ``store`` writes them back."""

    def __init__(self, row: Sequence[Any]) -> None:
        chunk_id, plan_id, lease, is_live, now, states, *numbers, unsent, unadvanced, tallies = row
        self.id: int = chunk_id
        self.plan_id: int = plan_id
        self.lease = None if lease is None else str(lease)
        self.is_leased = bool(is_live)
        self.locked_at: datetime = now  # By the database's clock.
        self.states = bytearray(states)
        self._counts: dict[str, int] = dict(zip(_COUNTERS, numbers, strict=False))
        self._unsent: int = unsent
        self._unadvanced: int = unadvanced
        self._tallies: dict[str, int] = json.loads(tallies)
        self.ended = False  # Whether somebody ended here and waits for the next step.
        self._changed = False

    def state(self, position: int) -> int:
        """Return the person's ``StateByte`` without the flag."""
        return self.states[position] & _BITS

    def are_queued(self, positions: Iterable[int]) -> bool:
        states = self.states
        return all(states[place] & _BITS == _QUEUED for place in positions)

    def positions(self, *states: StateByte) -> list[int]:
        """Return the places of all people in one of these states."""
        wanted = set(map(int, states))
        return [place for place, byte in enumerate(self.states) if byte & _BITS in wanted]

    def move(self, position: int, to: int, reason: str = "") -> None:
        """Put one person into another state; a reason is tallied under ``state:reason``.

        Whoever has been handed to the next step already stays so: a second end of the same
        person, after a redelivery, advances nobody twice.
        """
        byte = self.states[position]
        before = byte & _BITS
        if before == to:
            return
        counts = self._counts
        counts[_COUNTERS[before]] -= 1
        counts[_COUNTERS[to]] += 1
        self._unsent += (to == _QUEUED) - (before == _QUEUED)
        self.states[position] = to | byte & _FLAG
        self._changed = True
        if not byte & _FLAG:
            now_ended = to not in (_QUEUED, _WAITING)
            was_ended = before not in (_QUEUED, _WAITING)
            self._unadvanced += now_ended - was_ended
            self.ended = self.ended or now_ended
        if reason:
            self.tally(f"{_COUNTERS[to]}:{reason}")

    def tally(self, key: str, number: int = 1) -> None:
        total = self._tallies.get(key, 0) + number
        if total > 0:
            self._tallies[key] = total
        else:
            self._tallies.pop(key, None)
        self._changed = True

    def store(self, cursor: CursorWrapper) -> None:
        if not self._changed:
            return
        values: list[bytes | int | str] = [
            bytes(self.states),
            *self._counts.values(),
            self._unsent,
            self._unadvanced,
            json.dumps(self._tallies),
            self.id,
        ]
        planned.execute(cursor, "store_chunk", _STORE, values)


def lock(cursor: CursorWrapper, chunk_ids: Sequence[int]) -> dict[int, ChunkStates]:
    """Lock chunk rows, in the order of their ids so that two of these cannot block each other."""
    planned.execute(cursor, "lock_chunks", _LOCK, [list(chunk_ids)])
    return {row[0]: ChunkStates(row) for row in cursor.fetchall()}


def take_ended(cursor: CursorWrapper, chunk: ChunkStates) -> list[int]:
    """Mark everybody of a locked chunk who goes on to the next step; return their places.

    People who were cancelled do not go on; they are marked, so that they are not asked for again.
    """
    going = []
    for position, byte in enumerate(chunk.states):
        state = byte & _BITS
        if byte & _FLAG or state in (_QUEUED, _WAITING):
            continue
        chunk.states[position] = byte | _FLAG
        if state != StateByte.CANCELLED:
            going.append(position)
    cursor.execute(
        "UPDATE webhooks_chunk SET states = %s, unadvanced = 0 WHERE id = %s",
        [bytes(chunk.states), chunk.id],
    )
    return going
