from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from identity import event_items, events
from identity.event_items import InvalidItemError
from identity.importing.chunks import Chunk
from identity.importing.report import ImportFileError, ImportReport
from identity.importing.running import Importer
from identity.importing.times import stage_times
from identity.models import DataSource
from workspaces.models import Workspace

EVENT_ID: Final = "event_id"
EVENT_TYPE: Final = "event_type"
OCCURRED_AT: Final = "occurred_at"
ATTRIBUTES: Final = "attributes"
IDS: Final = "ids"
_OWN: Final = (EVENT_ID, EVENT_TYPE, OCCURRED_AT)


class EventImporter(Importer):
    """Each line holds one event of the past, which starts no journey.

    CSV has a column an attribute; JSON Lines has an object "attributes" and may have the IDs in
    an object "ids", as the live API does.
    """

    what = "events"

    def __init__(self, *, workspace: Workspace, source: DataSource, now: datetime) -> None:
        super().__init__(workspace=workspace, source=source, now=now)
        self.types = event_items.types_of(workspace)
        codes = {code for known in self.types.values() for code in known.attributes}
        self._attributes = sorted(codes)

    @property
    def known_columns(self) -> Sequence[str]:
        return (*_OWN, *self._attributes)

    @property
    def known_keys(self) -> Sequence[str]:
        return (*_OWN, ATTRIBUTES)

    def check_header(self, columns: Sequence[str]) -> None:
        super().check_header(columns)
        for name in _OWN:
            if name not in columns:
                raise ImportFileError(_("The column “%(name)s” is missing.") % {"name": name})

    def stage(self, chunk: Chunk) -> list[Any]:
        event_ids = self._stage_event_ids(chunk)
        type_ids, payloads = self._stage_types(chunk)
        occurred = self.stage_occurred(chunk)
        slots, others = self.ids.stage(chunk)
        return chunk.good(
            zip(chunk.lines, *slots, others, occurred, type_ids, event_ids, payloads, strict=True)
        )

    def stage_occurred(self, chunk: Chunk) -> Sequence[str]:
        return stage_times(chunk, OCCURRED_AT, zone=self.zone, now=self.now, required=True)

    def _stage_event_ids(self, chunk: Chunk) -> list[str]:
        staged = []
        for place, value in enumerate(chunk.column(EVENT_ID)):
            try:
                staged.append(event_items.event_id(value))
            except InvalidItemError as error:
                chunk.reject(place, error.field, str(error), error.code)
                staged.append("")
        return staged

    def _stage_types(self, chunk: Chunk) -> tuple[list[int | None], list[str]]:
        """Return the keys of the lines' event types, and their attributes as JSON."""
        type_ids: list[int | None] = []
        payloads: list[str] = []
        values = self._attribute_values(chunk)
        for place, code in enumerate(chunk.column(EVENT_TYPE)):
            try:
                known = event_items.find_type(self.types, code)
                payload = event_items.attributes(
                    known, values[place], is_text=chunk.is_text, zone=self.zone
                )
            except InvalidItemError as error:
                chunk.reject(place, error.field, str(error), error.code)
                type_ids.append(None)
                payloads.append("{}")
            else:
                type_ids.append(known.pk)
                payloads.append(payload)
        return type_ids, payloads

    def _attribute_values(self, chunk: Chunk) -> Sequence[Any]:
        if not chunk.is_text:
            return chunk.column(ATTRIBUTES)
        names = [name for name in self._attributes if name in chunk.columns]
        if not names:
            return [{}] * len(chunk.lines)
        rows = zip(*(chunk.columns[name] for name in names), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def unpack(self, chunk: Chunk) -> None:
        """Take the IDs out of the object "ids" of each line."""
        if IDS not in chunk.columns:
            return
        columns = dict(chunk.columns)
        for place, ids in enumerate(columns.pop(IDS)):
            if ids is None or ids == "":
                continue
            if not isinstance(ids, dict):
                chunk.reject(
                    place, IDS, _("“ids” must be an object of IDs by ID type."), "invalid_id"
                )
                continue
            for code, value in ids.items():
                column = columns.setdefault(code, [""] * len(chunk.lines))
                columns[code] = column = list(column) if isinstance(column, tuple) else column
                column[place] = value  # type: ignore[index] # a list from here on
        chunk.columns = columns

    def write(self, cursor: CursorWrapper, report: ImportReport) -> None:
        self.record_identifiers(cursor)
        cursor.execute("SELECT count(*) FROM identity_staged WHERE profile_id > 0")
        (staged,) = cursor.fetchone()
        stored = events.store_history(cursor, workspace_id=self.workspace.pk, now=self.now)
        report.repeated += staged - stored
