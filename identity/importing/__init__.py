"""Importing files. One function a kind of file; all of them are safe to run twice.

Each takes a ``Table`` (``read`` makes it from a file, ``from_rows`` from rows in memory) and
returns an ``ImportReport``.
"""

from datetime import datetime
from typing import TypedDict, Unpack

from identity.importing.audiences import AudienceImporter
from identity.importing.events import EventImporter
from identity.importing.identifiers import IdentifierImporter
from identity.importing.reading import FORMATS, Table, from_rows, read
from identity.importing.report import ImportFileError, ImportReport, Reject, RejectSink
from identity.importing.running import Progress, run
from identity.importing.tags import TagImporter
from identity.models import Audience, DataSource
from workspaces.models import User, Workspace


class Options(TypedDict, total=False):
    """What all imports take beside their own arguments; see ``running.run``."""

    dry_run: bool
    on_reject: RejectSink | None
    progress: Progress | None
    actor: User | None
    via: str


def import_identifiers(
    *,
    workspace: Workspace,
    source: DataSource,
    table: Table,
    now: datetime,
    **options: Unpack[Options],
) -> ImportReport:
    """Import people's IDs: a column an ID type, and ``seen_at`` if wanted."""
    importer = IdentifierImporter(workspace=workspace, source=source, now=now)
    return run(importer, table, **options)


def import_tags(
    *,
    workspace: Workspace,
    source: DataSource,
    table: Table,
    now: datetime,
    **options: Unpack[Options],
) -> ImportReport:
    """Import tags: an ID column, a column a tag, and ``time`` if wanted."""
    return run(TagImporter(workspace=workspace, source=source, now=now), table, **options)


def import_audience(
    *,
    audience: Audience,
    source: DataSource,
    table: Table,
    now: datetime,
    replace: bool = False,
    create_people: bool = False,
    **options: Unpack[Options],
) -> ImportReport:
    """Import a list of people, one ID a line, into an audience of the kind list.

    ``replace`` takes everybody else out of it; ``create_people`` makes people of unknown IDs.
    """
    importer = AudienceImporter(
        audience=audience, source=source, now=now, replace=replace, create_people=create_people
    )
    return run(importer, table, **options)


def import_events(
    *,
    workspace: Workspace,
    source: DataSource,
    table: Table,
    now: datetime,
    **options: Unpack[Options],
) -> ImportReport:
    """Import events of the past: they are counted and read, and start no journey."""
    return run(EventImporter(workspace=workspace, source=source, now=now), table, **options)


__all__ = [
    "FORMATS",
    "ImportFileError",
    "ImportReport",
    "Reject",
    "Table",
    "from_rows",
    "import_audience",
    "import_events",
    "import_identifiers",
    "import_tags",
    "read",
]
