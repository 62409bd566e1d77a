"""Add somebody to a workspace, or give a user a new link to set a password."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from workspaces import audit, members
from workspaces.choices import Preset
from workspaces.management.base import ConsoleCommand, find_user, find_workspace
from workspaces.models import Role, User, Workspace


class Command(ConsoleCommand):
    help = (
        "Add somebody to a workspace. Who is new gets a one-time link to set a password, printed "
        "here; no mail is needed. Example: manage.py add_member li@acme.example --workspace acme "
        "--role marketer --name 'Li Mei'. With --link alone: print a new link for a user."
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="the e-mail address, which is the log-in name")
        parser.add_argument("--name", default="", help="the name on screen")
        parser.add_argument("--workspace", help="the workspace's short name")
        parser.add_argument(
            "--role",
            dest="roles",
            action="append",
            default=[],
            help=f"a role's name, or one of {', '.join(Preset.values)}; may be given again",
        )
        parser.add_argument(
            "--organization-administrator",
            action="store_true",
            help="administrator of the workspace's organization, hence of all its workspaces",
        )
        parser.add_argument(
            "--link", action="store_true", help="print a new one-time link for a user who exists"
        )

    def run(
        self,
        *,
        actor: User | None,
        email: str = "",
        name: str = "",
        workspace: str | None = None,
        roles: list[str] | None = None,
        organization_administrator: bool = False,
        link: bool = False,
        **options: Any,
    ) -> None:
        if link:
            self._print_link(actor, email)
            return
        if not workspace:
            raise CommandError("Say which workspace with --workspace.")
        entered = find_workspace(workspace)
        added = members.add_member(
            workspace=entered,
            email=email,
            name=name,
            roles=[find_role(entered, role) for role in roles or []],
            actor=actor,
            now=timezone.now(),
        )
        if organization_administrator:
            members.set_organization_administrator(
                organization=entered.organization,
                user=added.membership.user,
                is_administrator=True,
                actor=actor,
            )
        self._report(added)

    def _print_link(self, actor: User | None, email: str) -> None:
        """A link logs in as the user, so it is the operator's to give, never a member's."""
        if actor is not None:
            raise CommandError("A link for a user who exists is the operator's: leave out --as.")
        user = find_user(email)
        audit.record(actor=None, workspace=None, action="user.link_made", obj=user)
        self.stdout.write(settings.SITE_URL + members.password_path(user))

    def _report(self, added: members.Added) -> None:
        membership = added.membership
        if added.is_invited:
            self.stdout.write(
                f"{membership.user.email} has an account already and is invited to "
                f"{membership.workspace}; they accept after their next log-in."
            )
            return
        self.stdout.write(
            self.style.SUCCESS(f"{membership.user.email} is a member of {membership.workspace}.")
        )
        if added.password_path:
            self.stdout.write("Hand over this link; it sets the password, once, for three days:")
            self.stdout.write(settings.SITE_URL + added.password_path)


def find_role(workspace: Workspace, name: str) -> Role:
    role = (
        workspace.roles.filter(preset=name).first() if name else None
    ) or workspace.roles.filter(name__iexact=name).first()
    if role is None:
        known = ", ".join(workspace.roles.values_list("name", flat=True))
        raise CommandError(f"{workspace} has no role “{name}”. It has: {known}.")
    return role
