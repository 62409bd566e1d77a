"""Import people's tags."""

from datetime import datetime
from typing import Any

from identity.importing.running import Importer
from identity.importing.tags import TagImporter
from identity.management.importing import ImportCommand
from identity.models import DataSource
from workspaces.models import Workspace


class Command(ImportCommand):
    about = (
        "Import tags. Each line holds an ID of one person (a column named by its ID type) and a "
        "column for each tag, named by the tag's code; “time” may say since when they are so. For "
        "each tag the later time wins. An empty cell changes nothing; in JSON Lines, null clears "
        "a tag. Example: manage.py import_tags --workspace acme --source crm tags.csv"
    )

    def importer(
        self, *, workspace: Workspace, source: DataSource, now: datetime, options: dict[str, Any]
    ) -> Importer:
        return TagImporter(workspace=workspace, source=source, now=now)
