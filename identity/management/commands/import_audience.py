"""Import a list of people as an audience."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from identity.choices import AudienceKind
from identity.importing.audiences import AudienceImporter
from identity.importing.running import Importer
from identity.management.importing import ImportCommand
from identity.models import Audience, DataSource
from workspaces.models import Workspace


class Command(ImportCommand):
    about = (
        "Import a list of people. The file has one column, named by an ID type. People who are "
        "not known are left out and listed, unless --create-people makes them. The audience is "
        "made when there is none of this name; the list changes at the end, at once. "
        "Example: manage.py import_audience --workspace acme --source crm --audience 'Spring' "
        "spring.csv"
    )
    noun = "people"

    def add_own_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--audience", required=True, metavar="NAME", help="its name")
        parser.add_argument(
            "--replace", action="store_true", help="take everybody else out of the list"
        )
        parser.add_argument(
            "--create-people", action="store_true", help="make people of unknown IDs"
        )

    def importer(
        self, *, workspace: Workspace, source: DataSource, now: datetime, options: dict[str, Any]
    ) -> Importer:
        audience = workspace.audiences.filter(name=options["audience"]).first()
        if audience is None:
            audience = Audience(workspace=workspace, name=options["audience"], updated_at=now)
            audience.full_clean()
        if audience.kind != AudienceKind.LIST:
            raise CommandError(
                f"“{audience.name}” is defined by rules. Name an audience that is a list, or a "
                "new one."
            )
        return AudienceImporter(
            audience=audience,
            source=source,
            now=now,
            replace=options["replace"],
            create_people=options["create_people"],
        )
