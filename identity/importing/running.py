"""The loop that all imports share: read, stage, assign, write; one transaction a chunk.

Whatever stops an import leaves whole chunks behind, and running it again does no harm.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model
from django.utils import translation
from django.utils.translation import gettext as _

from identity import staging
from identity.importing.chunks import Chunk, chunks
from identity.importing.id_columns import IdColumns
from identity.importing.reading import Table
from identity.importing.report import ImportFileError, ImportReport, Reject, RejectSink
from identity.mapping import AMBIGUOUS, Assigned, Mapper, TypesChangedError
from identity.models import DataSource, IdType
from workspaces import audit
from workspaces.choices import Via
from workspaces.models import User, Workspace

CHUNK_LINES: Final = 50_000
# From here on the tables' statistics are of another table.
_ANALYZE_FROM: Final = 10_000

Progress = Callable[[int], None]


class Importer:
    """What one kind of file means. Subclasses say which columns it has and what is written."""

    what: ClassVar[str]
    # Whether most lines of a batch are expected to name people who are not known yet.
    many_new: ClassVar[bool] = True
    # Whether the lines say more of their people than their IDs.
    needs_lines: ClassVar[bool] = True
    # Whether nothing but people is written before the last line.
    writes_at_end: ClassVar[bool] = False

    def __init__(self, *, workspace: Workspace, source: DataSource, now: datetime) -> None:
        self.workspace = workspace
        self.source = source
        self.now = now
        self.zone = workspace.zone
        # Which ID types the chunk in hand has columns of.
        self._slots: list[int] = []
        self._others: list[IdType] = []
        self.ids = IdColumns.of(workspace)
        self.mapper = Mapper(
            workspace=workspace,
            types=self.ids.mapping,
            data_source_id=source.pk,
            create=self.creates_people,
            many_new=self.many_new,
        )
        if source.workspace_id != workspace.pk:
            raise ValueError("The data source is another workspace's.")

    @property
    def subject(self) -> Model:
        """What the audit trail names."""
        return self.source

    @property
    def creates_people(self) -> bool:
        """Whether an unknown ID of a type in ID Mapping makes a person."""
        return True

    @property
    def known_columns(self) -> Sequence[str]:
        """The columns beside the ID types."""
        raise NotImplementedError

    @property
    def known_keys(self) -> Sequence[str]:
        """The same for the objects of JSON Lines."""
        return self.known_columns

    def unpack(self, chunk: Chunk) -> None:
        """Bring JSON lines into columns, where some are nested."""

    def check_header(self, columns: Sequence[str]) -> None:
        self.ids.check_header(columns, self.known_columns)

    def stage(self, chunk: Chunk) -> list[Any]:
        """Return the rows for the staging table; what is wrong is rejected in the chunk."""
        raise NotImplementedError

    def write(self, cursor: CursorWrapper, report: ImportReport) -> None:
        """Write what the staged lines say about the people they were assigned to."""
        raise NotImplementedError

    def finish(self, cursor: CursorWrapper, report: ImportReport) -> None:
        """Write what has to wait for the last line."""

    def record_identifiers(self, cursor: CursorWrapper) -> None:
        self.mapper.record_identifiers(cursor, slots=self._slots, others=self._others)

    def prepare(self, chunk: Chunk) -> list[Any]:
        """Return a chunk's rows for the staging table; needs no database."""
        if not chunk.is_text:
            self.unpack(chunk)
            self.ids.reject_unknown(chunk, self.known_keys)
        return self.stage(chunk)

    def take_in(
        self, cursor: CursorWrapper, chunk: Chunk, rows: Sequence[Any], report: ImportReport
    ) -> list[Reject]:
        """Take in a prepared chunk; return its rejects."""
        staging.prepare(cursor)
        staging.fill(cursor, rows)
        found = self.ids.found_in(chunk.columns)
        self._others = [id_type for id_type in found if not id_type.in_mapping]
        self._slots = self.ids.slots_of(found)
        lines = self.needs_lines or bool(self._others)
        assigned = self.mapper.assign(cursor, slots=self._slots, lines=lines, now=self.now)
        nobodys = self._nobodys(cursor) if lines else []
        self.write(cursor, report)
        _count(report, assigned)
        report.accepted += len(rows) - len(nobodys)
        return [*chunk.bad.values(), *nobodys]

    def _nobodys(self, cursor: CursorWrapper) -> list[Reject]:
        """Return the staged lines that are no one person's."""
        cursor.execute(
            "SELECT line, profile_id FROM identity_staged"
            " WHERE profile_id IS NULL OR profile_id = %s ORDER BY line",
            [AMBIGUOUS],
        )
        return [
            Reject(line, "", self.several, "several_people")
            if profile_id
            else Reject(line, "", self.nobody, "unknown_person")
            for line, profile_id in cursor.fetchall()
        ]

    @property
    def several(self) -> str:
        return _("Several people have this ID.")

    @property
    def nobody(self) -> str:
        return _(
            "Nobody has this ID yet, and it is of no type in ID Mapping, so that it makes nobody "
            "new either. Add an ID of a type in ID Mapping to the line."
        )


def _count(report: ImportReport, assigned: Assigned) -> None:
    report.new_people += assigned.people
    report.merged_people += assigned.merged
    report.conflicts += assigned.conflicts


class _Prepared(NamedTuple):
    chunk: Chunk
    rows: Sequence[Any]
    unreadable: Sequence[Reject]  # Lines that the reader made no row of.


def _prepared(importer: Importer, table: Table, size: int) -> Iterator[_Prepared]:
    unreadable: list[Reject] = []
    table.on_reject = unreadable.append
    for chunk in chunks(table, size):
        rows = importer.prepare(chunk)
        yield _Prepared(chunk, rows, tuple(unreadable))
        unreadable.clear()
    if unreadable:
        yield _Prepared(Chunk([], {}, is_text=True), [], unreadable)


def _ahead(source: Iterator[_Prepared]) -> Iterator[_Prepared]:
    """Prepare the next chunk in a thread while the database works on this one."""
    # Django keeps the language by thread: a context taken along does not hold it.
    language = translation.get_language()

    def step() -> _Prepared | None:
        with translation.override(language):
            return next(source, None)

    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(step)
        while prepared := following.result():
            following = thread.submit(step)
            yield prepared


def run(
    importer: Importer,
    table: Table,
    *,
    dry_run: bool = False,
    on_reject: RejectSink | None = None,
    progress: Progress | None = None,
    actor: User | None = None,
    via: str = Via.COMMAND,
    chunk_lines: int = CHUNK_LINES,
) -> ImportReport:
    """Import a table.

    ``progress`` is called with the number of lines read so far. A dry run does all
    the work in one transaction and takes it back; until then it holds the workspace's lock.

    Raises:
        ImportFileError: the file cannot be read on; what was read before has been imported.
    """
    report = ImportReport(importer.what, dry_run)
    started = time.perf_counter()
    if table.columns is not None:
        importer.check_header(table.columns)
    try:
        with transaction.atomic() if dry_run else nullcontext():
            for rejects in _take_all_in(importer, table, chunk_lines, report):
                for reject in rejects:
                    report.reject(reject)
                    if on_reject:
                        on_reject(reject)
                if progress:
                    progress(report.lines)
            if dry_run:
                transaction.set_rollback(True)
    except ImportFileError as error:
        raise _with_what_is_done(error, importer, report) from None
    except TypesChangedError:
        changed = ImportFileError(_("The ID types were changed during the import."))
        raise _with_what_is_done(changed, importer, report) from None
    report.seconds = time.perf_counter() - started
    if not dry_run:
        _close(importer, report, actor=actor, via=via)
    return report


def _take_all_in(
    importer: Importer, table: Table, size: int, report: ImportReport
) -> Iterator[list[Reject]]:
    """Take a table in; yield the rejects of each chunk in the order of the lines."""
    for chunk, rows, unreadable in _ahead(_prepared(importer, table, size)):
        with transaction.atomic(), connection.cursor() as cursor:
            rejects = importer.take_in(cursor, chunk, rows, report)
        report.lines += len(chunk.lines) + len(unreadable)
        yield sorted([*rejects, *unreadable])
    with transaction.atomic(), connection.cursor() as cursor:
        importer.finish(cursor, report)


def _with_what_is_done(
    error: ImportFileError, importer: Importer, report: ImportReport
) -> ImportFileError:
    if report.dry_run or not report.accepted:
        return error
    if importer.writes_at_end:
        done = _("The list is as it was. Correct the file and import it again.")
    else:
        done = _(
            "The first %(lines)d lines were imported. Correct the file and import it again: "
            "what is in already does no harm."
        ) % {"lines": report.lines}
    return ImportFileError(f"{error} {done}")


def _close(importer: Importer, report: ImportReport, *, actor: User | None, via: str) -> None:
    if report.accepted >= _ANALYZE_FROM:
        with connection.cursor() as cursor:
            cursor.execute("SELECT identity_analyze()")
    audit.record(
        actor=actor,
        workspace=importer.workspace,
        action=f"{importer.what}.imported",
        obj=importer.subject,
        changes={"accepted": [None, report.accepted], "rejected": [None, report.rejected]},
        via=via,
    )
