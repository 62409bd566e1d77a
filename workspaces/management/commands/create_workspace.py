"""Make a workspace with its preset roles."""

from argparse import ArgumentParser
from typing import Any

from workspaces import tenants
from workspaces.choices import Language
from workspaces.management.base import ConsoleCommand, find_organization
from workspaces.models import User


class Command(ConsoleCommand):
    help = (
        "Make a workspace in an organization, with the roles administrator, marketer, analyst and "
        "developer. Example: manage.py create_workspace acme 'Acme China' --slug acme-cn "
        "--time-zone Asia/Shanghai --language zh-hans"
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("organization", help="the organization's short name")
        parser.add_argument("name", help="the name on screen")
        parser.add_argument("--slug", help="the short name, as in /w/short-name/")
        parser.add_argument("--time-zone", default="UTC", help="such as Asia/Shanghai")
        parser.add_argument("--language", default="en", choices=Language.values)

    def run(
        self,
        *,
        actor: User | None,
        organization: str = "",
        name: str = "",
        slug: str | None = None,
        time_zone: str = "UTC",
        language: str = "en",
        **options: Any,
    ) -> None:
        workspace = tenants.create_workspace(
            organization=find_organization(organization),
            name=name,
            slug=slug or tenants.slug_of(name),
            time_zone=time_zone,
            language=language,
            actor=actor,
        )
        self.stdout.write(
            self.style.SUCCESS(f"Made the workspace {workspace} at /w/{workspace.slug}/.")
        )
