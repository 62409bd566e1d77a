from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

from identity.importing.chunks import Chunk
from identity.importing.report import ImportReport
from identity.importing.running import Importer
from identity.importing.times import stage_times

SEEN_AT = "seen_at"


class IdentifierImporter(Importer):
    """One line holds one person's IDs together; ``seen_at`` says when that was reported."""

    what = "identifiers"
    needs_lines = False

    @property
    def known_columns(self) -> Sequence[str]:
        return (SEEN_AT,)

    def stage(self, chunk: Chunk) -> list[Any]:
        slots, others = self.ids.stage(chunk)
        seen_at = stage_times(chunk, SEEN_AT, zone=self.zone, now=self.now)
        nothing = [None] * len(chunk.lines)
        return chunk.good(
            zip(chunk.lines, *slots, others, seen_at, nothing, nothing, nothing, strict=True)
        )

    def write(self, cursor: CursorWrapper, report: ImportReport) -> None:
        self.record_identifiers(cursor)
