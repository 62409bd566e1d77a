import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from identity import tagging
from identity.importing.chunks import Chunk
from identity.importing.report import ImportFileError, ImportReport
from identity.importing.running import Importer
from identity.importing.times import stage_times
from identity.models import DataSource, Tag
from identity.normalising import InvalidValueError
from identity.typed_values import from_json, from_text
from workspaces.models import Workspace
from workspaces.sentences import listed

TIME = "time"


class TagImporter(Importer):
    """One line holds one person's tags; ``time`` says since when they are so.

    An empty cell says nothing. In JSON, null clears the tag.
    """

    what = "tags"

    def __init__(self, *, workspace: Workspace, source: DataSource, now: datetime) -> None:
        super().__init__(workspace=workspace, source=source, now=now)
        self.tags = {tag.code: tag for tag in workspace.tags.select_related("data_source")}

    @property
    def known_columns(self) -> Sequence[str]:
        return (TIME, *self.tags)

    def check_header(self, columns: Sequence[str]) -> None:
        super().check_header(columns)
        tags = [self.tags[name] for name in columns if name in self.tags]
        if not tags:
            raise ImportFileError(
                _("The file has no tag. Name its columns by the tags’ codes: %(codes)s.")
                % {"codes": listed(list(self.tags)[:20])}
            )
        for tag in tags:
            if reason := self._not_ours(tag):
                raise ImportFileError(reason)

    def _not_ours(self, tag: Tag) -> str:
        if tag.data_source_id == self.source.pk:
            return ""
        return _("The tag “%(tag)s” belongs to the data source “%(source)s”.") % {
            "tag": tag.code,
            "source": tag.data_source.code,
        }

    def stage(self, chunk: Chunk) -> list[Any]:
        slots, others = self.ids.stage(chunk)
        times = stage_times(chunk, TIME, zone=self.zone, now=self.now)
        payloads = self._payloads(chunk)
        nothing = [None] * len(chunk.lines)
        return chunk.good(
            zip(chunk.lines, *slots, others, times, nothing, nothing, payloads, strict=True)
        )

    def _payloads(self, chunk: Chunk) -> list[str]:
        documents: list[dict[str, Any]] = [{} for _line in chunk.lines]
        for code in chunk.columns.keys() & self.tags.keys():
            tag = self.tags[code]
            if not chunk.is_text and (reason := self._not_ours(tag)):
                for place, value in enumerate(chunk.columns[code]):
                    if value != "":
                        chunk.reject(place, code, reason)
                continue
            self._fill(chunk, tag, documents)
        for place, document in enumerate(documents):
            if not document:
                chunk.reject(place, "", _("The line has no tag."))
        dumps = json.dumps
        return [dumps(document, ensure_ascii=False) for document in documents]

    def _fill(self, chunk: Chunk, tag: Tag, documents: list[dict[str, Any]]) -> None:
        code, parse = tag.code, from_text if chunk.is_text else from_json
        for place, value in enumerate(chunk.columns[code]):
            if value == "":
                continue
            if value is None:
                documents[place][code] = None
                continue
            try:
                documents[place][code] = parse(value, value_type=tag.type, zone=self.zone)
            except InvalidValueError as error:
                chunk.reject(place, code, _("“%(code)s” %(must)s.") % {"code": code, "must": error})

    def write(self, cursor: CursorWrapper, report: ImportReport) -> None:
        self.record_identifiers(cursor)
        tagging.write_staged(cursor)
