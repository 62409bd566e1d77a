"""Live events: taken in by the API, taken out by the runner.

An event and its place in the queue are written in one transaction. Event ids are remembered for
7 days, which is why older events are refused.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from identity import events
from identity.importing.chunks import Chunk
from identity.importing.events import IDS, OCCURRED_AT, EventImporter
from identity.importing.report import ImportReport
from identity.importing.times import stage_times
from identity.mapping import TypesChangedError
from identity.models import DataSource, IncomingEvent
from workspaces.models import Workspace
from workspaces.typed import printable

REMEMBERED: Final = timedelta(days=7)
MAX_ITEMS: Final = 1_000
# Of one workspace; whoever reports more is asked to wait.
WAITING_AT_MOST: Final = 200_000
API_SOURCE: Final = "api"
# Deleted in steps, so that no step holds its rows for long.
_PRUNE_ROWS: Final = 10_000
# So much of a name that means nothing is said again.
_NAME_SHOWN: Final = 64

Status = Literal["accepted", "duplicate", "rejected"]


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The answer to one event, in the order they came."""

    index: int
    id: str
    status: Status
    code: str = ""
    message: str = ""


class Taken(NamedTuple):
    """One event that the runner has taken; ``qaid`` is the survivor's."""

    id: int
    workspace_id: int
    event_type_id: int
    qaid: int
    event_id: str
    occurred_at: datetime
    attributes: dict[str, Any]


class _LiveEvents(EventImporter):
    """The same checks as for a file; a time of its own, and the queue."""

    many_new = False

    def __init__(self, *, workspace: Workspace, source: DataSource, now: datetime) -> None:
        super().__init__(workspace=workspace, source=source, now=now)
        self.fresh: set[str] = set()
        self._known = {*self.known_keys, IDS, *self.ids.types}

    def stage_occurred(self, chunk: Chunk) -> Sequence[str]:
        staged = stage_times(chunk, OCCURRED_AT, zone=self.zone, now=self.now)
        oldest = self.now - REMEMBERED
        for place, moment in enumerate(staged):
            if moment and datetime.fromisoformat(moment) < oldest:
                chunk.reject(
                    place,
                    OCCURRED_AT,
                    _("The event is older than 7 days. Import it from a file: import_events."),
                    "too_old",
                )
        return staged

    def write(self, cursor: CursorWrapper, report: ImportReport) -> None:
        self.record_identifiers(cursor)
        self.fresh = events.store_live(cursor, workspace_id=self.workspace.pk, now=self.now)

    def unknown_in(self, item: dict[str, Any]) -> str | None:
        """Return a name that means nothing here, in the item or in its IDs.

        Looked for before names become columns: a million of them would fill the memory.
        """
        named = item.get(IDS)
        inside: dict[str, Any] = named if isinstance(named, dict) else {}
        for name in (*item, *inside):
            if name not in self._known:
                return name
        return None

    def complain(self, name: str) -> str:
        return self.ids.complain(name[:_NAME_SHOWN], self.known_keys)

    @property
    def nobody(self) -> str:
        return _("Nobody is known by this ID. Send an ID of a type in ID Mapping with it.")


def receive(*, workspace: Workspace, items: Sequence[Any], now: datetime) -> list[ItemResult]:
    """Take in events, each an object like one line of an events file; one answer an item.

    Harmless when repeated: an event that is remembered is a duplicate.
    """
    if len(items) > MAX_ITEMS:
        raise ValueError(f"At most {MAX_ITEMS} events at a time, not {len(items)}.")
    try:
        return _receive(workspace, items, now)
    except TypesChangedError:
        return _receive(workspace, items, now)


def _receive(workspace: Workspace, items: Sequence[Any], now: datetime) -> list[ItemResult]:
    source, _made = DataSource.objects.get_or_create(
        workspace=workspace, code=API_SOURCE, defaults={"name": "API"}
    )
    live = _LiveEvents(workspace=workspace, source=source, now=now)
    report = ImportReport(live.what)
    objects: dict[int, dict[str, Any]] = {}
    rejected: dict[int, tuple[str, str]] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            rejected[index] = ("invalid", _("An event must be an object."))
        elif (unknown := live.unknown_in(item)) is not None:
            rejected[index] = ("unknown_field", live.complain(unknown))
        else:
            objects[index] = item
    if objects:
        chunk = _chunk(objects)
        rows = live.prepare(chunk)
        with transaction.atomic(), connection.cursor() as cursor:
            for reject in live.take_in(cursor, chunk, rows, report):
                rejected[reject.line] = (reject.code, reject.reason)
    return _answers(items, rejected, live.fresh)


def _chunk(objects: dict[int, dict[str, Any]]) -> Chunk:
    names = dict.fromkeys(name for item in objects.values() for name in item)
    columns = {name: [item.get(name, "") for item in objects.values()] for name in names}
    return Chunk(list(objects), columns, is_text=False)


def _answers(
    items: Sequence[Any], rejected: dict[int, tuple[str, str]], fresh: set[str]
) -> list[ItemResult]:
    """Of two items with one new id, the first is accepted and the second a duplicate."""
    answers = []
    for index, item in enumerate(items):
        given = item.get("event_id") if isinstance(item, dict) else None
        name = printable(str(given).strip()[:100]) if isinstance(given, str | int) else ""
        if index in rejected:
            code, reason = rejected[index]
            answers.append(ItemResult(index, name, "rejected", code, printable(reason)))
        elif name in fresh:
            fresh.discard(name)
            answers.append(ItemResult(index, name, "accepted"))
        else:
            answers.append(
                ItemResult(index, name, "duplicate", "duplicate", _("This event was taken before."))
            )
    return answers


def take(
    cursor: CursorWrapper, *, limit: int, now: datetime, besides: Collection[int] = ()
) -> list[Taken]:
    """Take waiting events, the oldest first, inside the caller's transaction.

    Two takers never get the same event; a rollback gives them back.

    Args:
        besides: event types whose events stay where they are.
    """
    cursor.execute(
        "UPDATE identity_incomingevent e SET taken_at = %s FROM ("
        "  SELECT id FROM identity_incomingevent"
        "  WHERE taken_at IS NULL AND NOT event_type_id = ANY(%s)"
        "  ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
        ") waiting, identity_profile p"
        " WHERE e.id = waiting.id AND p.qaid = e.profile_id"
        " RETURNING e.id, e.workspace_id, e.event_type_id, coalesce(p.merged_into_id, p.qaid),"
        "   e.event_id, e.occurred_at, e.attributes::text",
        [now, sorted(besides), limit],
    )
    taken = [
        Taken(pk, workspace, event_type, qaid, event_id, occurred_at, json.loads(attributes))
        for pk, workspace, event_type, qaid, event_id, occurred_at, attributes in cursor.fetchall()
    ]
    return sorted(taken, key=lambda event: event.id)


def prune(*, now: datetime) -> int:
    """Forget event ids after 7 days; return how many. An event that still waits is kept."""
    pruned = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM identity_incomingevent WHERE id IN ("
                "  SELECT id FROM identity_incomingevent"
                "  WHERE received_at < %s AND taken_at IS NOT NULL ORDER BY received_at LIMIT %s)",
                [now - REMEMBERED - timedelta(days=1), _PRUNE_ROWS],
            )
            deleted = int(cursor.rowcount)
            pruned += deleted
            if deleted < _PRUNE_ROWS:
                return pruned


def is_full(workspace: Workspace) -> bool:
    """Tell whether so many events of a workspace wait that no more are taken in for now."""
    with connection.cursor() as cursor:
        # The span of the keys is at least as large, and costs nothing to read.
        cursor.execute(
            "SELECT coalesce(max(id) - min(id), 0) FROM identity_incomingevent"
            " WHERE taken_at IS NULL"
        )
        if cursor.fetchone()[0] < WAITING_AT_MOST:
            return False
        cursor.execute(
            "SELECT count(*) FROM (SELECT 1 FROM identity_incomingevent"
            " WHERE taken_at IS NULL AND workspace_id = %s LIMIT %s) AS waiting",
            [workspace.pk, WAITING_AT_MOST],
        )
        return bool(cursor.fetchone()[0] >= WAITING_AT_MOST)


def waiting() -> int:
    """Return how many events wait to be taken."""
    return IncomingEvent.objects.filter(taken_at=None).count()
