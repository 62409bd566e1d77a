from array import array
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.utils.translation import gettext as _

from identity import locks
from identity.importing.chunks import Chunk
from identity.importing.report import ImportFileError, ImportReport
from identity.importing.running import Importer
from identity.models import Audience, DataSource

_SLICE = 50_000


class AudienceImporter(Importer):
    """Each line holds an ID of one person of the list, who must be known unless said otherwise.

    The list changes at the end, at once; an audience that is not saved yet is saved then.
    """

    what = "audience"
    writes_at_end = True

    def __init__(
        self,
        *,
        audience: Audience,
        source: DataSource,
        now: datetime,
        replace: bool,
        create_people: bool,
    ) -> None:
        self._create_people = create_people
        super().__init__(workspace=audience.workspace, source=source, now=now)
        self.audience = audience
        self.replace = replace
        self._qaids = array("q")

    @property
    def subject(self) -> Audience:
        return self.audience

    @property
    def creates_people(self) -> bool:
        return self._create_people

    @property
    def known_columns(self) -> Sequence[str]:
        return ()

    @property
    def nobody(self) -> str:
        return _("Nobody has this ID.")

    def check_header(self, columns: Sequence[str]) -> None:
        super().check_header(columns)
        if len(self.ids.found_in(columns)) > 1:
            raise ImportFileError(_("An audience file has one ID column. Remove the others."))

    def stage(self, chunk: Chunk) -> list[Any]:
        slots, others = self.ids.stage(chunk)
        nothing = [None] * len(chunk.lines)
        seen_at = [self.now.isoformat()] * len(chunk.lines)
        return chunk.good(
            zip(chunk.lines, *slots, others, seen_at, nothing, nothing, nothing, strict=True)
        )

    def write(self, cursor: CursorWrapper, report: ImportReport) -> None:
        if self.creates_people:
            self.record_identifiers(cursor)
        cursor.execute("SELECT DISTINCT profile_id FROM identity_staged WHERE profile_id > 0")
        self._qaids.extend(qaid for (qaid,) in cursor.fetchall())

    def finish(self, cursor: CursorWrapper, report: ImportReport) -> None:
        if not self.audience.pk:
            self.audience.save()
        # Nobody is merged away between the look at the redirects and the writing.
        locks.shared(self.workspace.pk)
        if self.replace:
            cursor.execute(
                "DELETE FROM identity_audiencemember WHERE audience_id = %s", [self.audience.pk]
            )
        qaids = sorted(set(self._qaids))
        added = 0
        for start in range(0, len(qaids), _SLICE):
            cursor.execute(
                "INSERT INTO identity_audiencemember (audience_id, profile_id)"
                " SELECT DISTINCT %s::bigint, coalesce(p.merged_into_id, p.qaid)"
                " FROM identity_profile p"
                " WHERE p.qaid = ANY(%s) AND p.erased_at IS NULL ON CONFLICT DO NOTHING",
                [self.audience.pk, qaids[start : start + _SLICE]],
            )
            added += cursor.rowcount
        report.repeated = report.accepted - added
        Audience.objects.filter(pk=self.audience.pk).update(updated_at=self.now)
