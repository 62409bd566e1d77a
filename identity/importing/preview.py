"""Looking into an audience's file before it is imported: what is in it, what would come of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from identity import masking
from identity.importing.audiences import AudienceImporter
from identity.importing.reading import Table
from identity.importing.report import ImportReport, Reject
from identity.importing.running import run
from identity.models import Audience, DataSource, IdType

LINES: Final = 10_000
FIRST: Final = 5
REJECTS: Final = 20
_LONG: Final = 80


@dataclass(slots=True)
class Preview:
    """What the first lines of a file say; ``is_all`` when the file has no more."""

    columns: list[str]
    id_type: IdType | None
    first: list[tuple[int, list[str]]]
    report: ImportReport
    is_all: bool
    unknown: int = 0  # Lines with an ID that nobody has.
    rejects: list[Reject] = field(default_factory=list)  # The first of the others left out.
    wrong: int = 0


def preview_audience(
    *, audience: Audience, source: DataSource, table: Table, now: datetime, in_clear: bool
) -> Preview:
    """Read the first lines, look their people up, and write nothing.

    Raises:
        ImportFileError: the file cannot be read, or has no ID column or another one too many.
    """
    importer = AudienceImporter(
        audience=audience, source=source, now=now, replace=False, create_people=False
    )
    looked = _Looked(table.rows)
    table.rows = looked
    found = Preview([], None, [], ImportReport(importer.what), is_all=False)

    def on_reject(reject: Reject) -> None:
        if reject.code == "unknown_person":
            found.unknown += 1
        else:
            found.wrong += 1
            if len(found.rejects) < REJECTS:
                found.rejects.append(reject)

    found.report = run(importer, table, dry_run=True, on_reject=on_reject)
    named = table.columns or dict.fromkeys(key for _line, row in looked.first for key in row)
    found.columns = [str(name) for name in named]
    types = importer.ids.found_in(found.columns)
    found.id_type = types[0] if types else None
    found.is_all = not looked.stopped
    for line, row in looked.first:
        cells = [row.get(name, "") for name in named] if isinstance(row, dict) else row
        found.first.append(
            (
                line,
                [
                    _shown(str(cell), importer.ids.types.get(name), in_clear=in_clear)
                    for name, cell in zip(found.columns, cells, strict=True)
                ],
            )
        )
    return found


class _Looked:
    """Rows that end after a while, and remember how they began."""

    def __init__(self, rows: Iterable[tuple[int, Any]]) -> None:
        self._rows = rows
        self.first: list[tuple[int, Any]] = []
        self.stopped = False

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        for number, row in enumerate(self._rows):
            if number >= LINES:
                self.stopped = True
                return
            if number < FIRST:
                self.first.append(row)
            yield row


def _shown(cell: str, id_type: IdType | None, *, in_clear: bool) -> str:
    cell = cell if len(cell) <= _LONG else f"{cell[:_LONG]}…"
    return masking.shown(cell, id_type, in_clear=in_clear) if id_type else cell
