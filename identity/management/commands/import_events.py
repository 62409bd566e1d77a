"""Import events of the past."""

from datetime import datetime
from typing import Any

from identity.importing.events import EventImporter
from identity.importing.running import Importer
from identity.management.importing import ImportCommand
from identity.models import DataSource
from workspaces.models import Workspace


class Command(ImportCommand):
    about = (
        "Import events of the past, of any age. They are counted and can be looked at, and start "
        "no journey; what happens now goes through POST /api/v1/events/. Columns: event_id, "
        "event_type, occurred_at, one or more ID types, and the attributes; in JSON Lines the "
        "attributes are in an object “attributes” and the IDs may be in an object “ids”. "
        "Example: manage.py import_events --workspace acme --source shop orders.jsonl.gz"
    )
    noun = "events"

    def importer(
        self, *, workspace: Workspace, source: DataSource, now: datetime, options: dict[str, Any]
    ) -> Importer:
        return EventImporter(workspace=workspace, source=source, now=now)
