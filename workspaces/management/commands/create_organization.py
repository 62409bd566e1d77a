"""Make an organization, the tenant that workspaces and members belong to."""

from argparse import ArgumentParser
from typing import Any

from workspaces import demo_logins, tenants
from workspaces.management.base import ConsoleCommand
from workspaces.models import User


class Command(ConsoleCommand):
    help = (
        "Make an organization. Then: create_workspace ORGANIZATION NAME, and add_member. "
        "Example: manage.py create_organization 'Acme Retail' --slug acme. The "
        "demo's log-ins, if it was loaded into this database, are deactivated."
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the name on screen")
        parser.add_argument("--slug", help="the short name; made from the name when left out")

    def run(
        self, *, actor: User | None, name: str = "", slug: str | None = None, **options: Any
    ) -> None:
        organization = tenants.create_organization(
            name=name, slug=slug or tenants.slug_of(name), actor=actor
        )
        self.stdout.write(
            self.style.SUCCESS(f"Made the organization {organization} ({organization.slug}).")
        )
        if closed := demo_logins.close(actor=actor):
            self.stdout.write(demo_logins.sentence(closed))
