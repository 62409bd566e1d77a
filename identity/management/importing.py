"""What the import commands share: the file, the bar, the rejects, the figures."""

import csv
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

from django.core.management.base import CommandError
from django.utils import timezone
from tqdm import tqdm

from identity.importing import FORMATS, ImportFileError, ImportReport, Reject, read
from identity.importing.running import Importer, run
from identity.models import DataSource
from workspaces import permissions
from workspaces.choices import Via
from workspaces.management.base import ConsoleCommand, find_workspace
from workspaces.models import User, Workspace
from workspaces.points import Point

# Some lines were left out: for a script, not the same as none.
EXIT_REJECTS: Final = 3

_FILE_HELP: Final = """
The file is CSV with a header, or JSON Lines (one object a line); gzip is recognised. Without FILE
or with “-” it is read from standard input. Lines that are wrong are left out and listed with
--rejects; the others are imported. Running it again does no harm. Exit code 0: everything is in;
3: some lines were left out; 1: the file could not be read.
"""


class ImportCommand(ConsoleCommand):
    """Subclasses say what the file is and make the importer."""

    about: ClassVar[str]
    # What each line of the report is called.
    noun: ClassVar[str] = "lines"

    @property
    def help(self) -> str:  # type: ignore[override] # Django's is a string too
        return self.about + _FILE_HELP

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", default="-", help="the file; “-” is standard input")
        parser.add_argument(
            "--workspace", required=True, metavar="NAME", help="the workspace's short name"
        )
        parser.add_argument(
            "--source", required=True, metavar="CODE", help="the data source that reports this"
        )
        parser.add_argument(
            "--format", choices=FORMATS, help="csv or jsonl; guessed from the first character"
        )
        parser.add_argument(
            "--encoding", default="utf-8", help="utf-8 unless said; gb18030, big5, cp1252 …"
        )
        parser.add_argument("--delimiter", help="of CSV; guessed from the header")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="do everything and take it back; live events of unknown people wait meanwhile",
        )
        parser.add_argument(
            "--rejects", metavar="PATH", help="write the lines left out to this CSV file"
        )
        parser.add_argument("--json", action="store_true", help="print the figures as JSON")
        self.add_own_options(parser)

    def add_own_options(self, parser: ArgumentParser) -> None:
        """Add what only this kind of file takes."""

    def importer(
        self, *, workspace: Workspace, source: DataSource, now: datetime, options: dict[str, Any]
    ) -> Importer:
        raise NotImplementedError

    def run(self, *, actor: User | None, **options: Any) -> None:
        workspace = find_workspace(options["workspace"])
        if actor is not None:
            permissions.require(actor, workspace, Point.MANAGE_DATA)
        source = find_source(workspace, options["source"])
        importer = self.importer(
            workspace=workspace, source=source, now=timezone.now(), options=options
        )
        with ExitStack() as stack:
            stream = stack.enter_context(_opened(options["file"]))
            reject = stack.enter_context(_rejects_to(options["rejects"]))
            progress = stack.enter_context(_bar(stream, options["file"]))
            try:
                table = read(
                    stream,
                    format=options["format"],
                    encoding=options["encoding"],
                    delimiter=options["delimiter"],
                )
                report = run(
                    importer,
                    table,
                    dry_run=options["dry_run"],
                    on_reject=reject,
                    progress=progress,
                    actor=actor,
                    via=Via.COMMAND,
                )
            except ImportFileError as error:
                raise CommandError(str(error)) from None
        self._tell(report, rejects=options["rejects"], as_json=options["json"])
        if report.rejected:
            sys.exit(EXIT_REJECTS)

    def _tell(self, report: ImportReport, *, rejects: str | None, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report.as_dict(), ensure_ascii=False))
            return
        for line in self.sentences(report):
            self.stdout.write(line)
        if not report.rejected:
            return
        self.stdout.write(self.style.WARNING(f"{report.rejected:,} lines were left out:"))
        for reason, count in report.reasons.most_common(10):
            self.stdout.write(f"  {count:>9,}  {reason}")
        first = report.rejects[0]
        where = f", column {first.column}" if first.column else ""
        self.stdout.write(f"The first is line {first.line}{where}.")
        hint = f"All of them are in {rejects}." if rejects else "--rejects PATH lists all of them."
        self.stdout.write(hint)

    def sentences(self, report: ImportReport) -> Iterator[str]:
        """Say what happened; the first sentence in green."""
        would = "would be" if report.dry_run else "were"
        yield self.style.SUCCESS(
            f"{report.accepted:,} of {report.lines:,} {self.noun} {would} imported in "
            f"{report.seconds:.1f} s ({report.lines_per_second:,} a second)."
        )
        if report.new_people:
            yield f"{report.new_people:,} people {would} new."
        if report.merged_people:
            yield f"{report.merged_people:,} people {would} merged into others."
        if report.conflicts:
            yield (
                f"{report.conflicts:,} conflicts between IDs {would} found; "
                "the set-up lists them under “Mapping conflicts”."
            )
        if report.repeated:
            yield f"{report.repeated:,} {self.noun} were in already."


def find_source(workspace: Workspace, code: str) -> DataSource:
    found = workspace.data_sources.filter(code=code).first()
    if found is None:
        known = ", ".join(workspace.data_sources.values_list("code", flat=True)) or "none yet"
        raise CommandError(
            f"The workspace has no data source “{code}”. There are: {known}. "
            "Add it in the set-up under “Data sources”."
        )
    return found


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise CommandError(f"{name} cannot be opened: {error.strerror}.") from None
    with stream:
        yield stream


@contextmanager
def _rejects_to(name: str | None) -> Iterator[Callable[[Reject], None] | None]:
    if name is None:
        yield None
        return
    try:
        file = Path(name).open("w", encoding="utf-8", newline="")  # noqa: SIM115 - closed below
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}.") from None
    with file:
        writer = csv.writer(file)
        writer.writerow(["line", "column", "reason"])
        yield lambda reject: writer.writerow([reject.line, reject.column, reject.reason])


@contextmanager
def _bar(stream: BinaryIO, name: str) -> Iterator[Callable[[int], None]]:
    """Show how far the file is read, by its bytes; of a pipe, only how many lines came."""
    size = Path(name).stat().st_size if name != "-" and Path(name).is_file() else None
    unit: dict[str, Any] = (
        {"total": size, "unit": "B", "unit_scale": True} if size else {"unit": " lines"}
    )
    # disable=None: a bar in a terminal, silence in cron's mail and CI's log.
    with tqdm(disable=None, leave=False, **unit) as bar:

        def progress(lines: int) -> None:
            bar.update((stream.tell() if size else lines) - bar.n)
            bar.set_postfix(lines=f"{lines:,}")

        yield progress
