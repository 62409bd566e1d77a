"""Import people's IDs."""

from datetime import datetime
from typing import Any

from identity.importing.identifiers import IdentifierImporter
from identity.importing.running import Importer
from identity.management.importing import ImportCommand
from identity.models import DataSource
from workspaces.models import Workspace


class Command(ImportCommand):
    about = (
        "Import people's IDs. Each line holds IDs of one person; the columns are named by the ID "
        "types (ONEID, MOBILE, EMAIL …), and “seen_at” may say when they were reported. IDs of "
        "one line make one person, and join people who are known by them already. "
        "Example: manage.py import_identifiers --workspace acme --source crm members.csv.gz"
    )

    def importer(
        self, *, workspace: Workspace, source: DataSource, now: datetime, options: dict[str, Any]
    ) -> Importer:
        return IdentifierImporter(workspace=workspace, source=source, now=now)
