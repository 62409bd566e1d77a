"""Start a real installation: organization, workspace, first administrator, without demo data."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from workspaces import demo_logins, members, tenants
from workspaces.choices import Language, Preset
from workspaces.management.base import ConsoleCommand
from workspaces.models import User
from workspaces.models.tenants import validate_time_zone


class Command(ConsoleCommand):
    help = (
        "Make the first organization, its workspace with roles and ID types, and its first "
        "administrator, whose one-time link to set a password is printed. Asks for what no flag "
        "gives. Example without questions: manage.py setup --organization 'Acme Retail' "
        "--workspace 'Acme China' --email li@acme.example --time-zone Asia/Shanghai. The demo's "
        "log-ins, if it was loaded into this database, are deactivated."
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organization", help="the organization's name")
        parser.add_argument("--organization-slug", help="its short name")
        parser.add_argument("--workspace", help="the first workspace's name")
        parser.add_argument("--workspace-slug", help="its short name, as in /w/short-name/")
        parser.add_argument("--time-zone", help="such as Asia/Shanghai")
        parser.add_argument("--language", choices=Language.values)
        parser.add_argument("--email", help="the first administrator's e-mail address")
        parser.add_argument("--name", help="the first administrator's name")

    @transaction.atomic
    def run(self, *, actor: User | None, **options: Any) -> None:
        organization = tenants.create_organization(
            name=(name := self._answer("Organization's name", options["organization"])),
            slug=self._slug("Organization's short name", name, options["organization_slug"]),
            actor=actor,
        )
        workspace = tenants.create_workspace(
            organization=organization,
            name=(name := self._answer("Workspace's name", options["workspace"], name)),
            slug=self._slug("Workspace's short name", name, options["workspace_slug"]),
            time_zone=self._answer("Time zone", options["time_zone"], "UTC", validate_time_zone),
            language=self._answer("Language (en, zh-hans)", options["language"], "en"),
            actor=None,
        )
        added = members.add_member(
            workspace=workspace,
            email=self._answer(
                "Administrator's e-mail address", options["email"], check=validate_email
            ),
            name=options["name"] or "",
            roles=[workspace.roles.get(preset=Preset.ADMINISTRATOR)],
            actor=None,
            now=timezone.now(),
        )
        members.set_organization_administrator(
            organization=organization,
            user=added.membership.user,
            is_administrator=True,
            actor=None,
        )
        self._report(added, closed=demo_logins.close(actor=actor))

    def _answer(
        self,
        question: str,
        given: str | None,
        default: str = "",
        check: Callable[[str], None] | None = None,
    ) -> str:
        """Return the flag's value, or ask; without a terminal, the default must do."""
        if given:
            return given
        if not sys.stdin.isatty():
            if default:
                return default
            raise CommandError(f"{question}: give it as a flag; see manage.py setup --help.")
        while True:
            shown = f" [{default}]" if default else ""
            answer = input(f"{question}{shown}: ").strip() or default
            try:
                if check:
                    check(answer)
            except ValidationError as error:
                self.stderr.write(" ".join(error.messages))
                continue
            if answer:
                return answer

    def _slug(self, question: str, name: str, given: str | None) -> str:
        return given or tenants.slug_of(name) or self._answer(question, None)

    def _report(self, added: members.Added, *, closed: list[str]) -> None:
        membership = added.membership
        self.stdout.write(
            self.style.SUCCESS(f"Made {membership.workspace} at /w/{membership.workspace.slug}/.")
        )
        if added.password_path:
            self.stdout.write("The administrator sets a password here, once, within three days:")
            self.stdout.write(settings.SITE_URL + added.password_path)
        else:
            self.stdout.write(f"{membership.user.email} logs in with the password they have.")
        if closed:
            self.stdout.write(demo_logins.sentence(closed))
