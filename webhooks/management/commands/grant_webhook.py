"""Give members, roles and member groups the usage permission of a webhook, or end it."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from webhooks import granting
from webhooks.granting import Grantees
from webhooks.management.base import find_webhook
from webhooks.models import Webhook
from workspaces.management.base import ConsoleCommand, find_workspace
from workspaces.models import MemberGroup, Membership, Role, User, Workspace


class Command(ConsoleCommand):
    help = (
        "Give the usage permission of a webhook: the second gate, beside the role permission "
        "“User Marketing-Reach Marketing-Webhook”. Whoever has it already gets the new end and "
        "reason. Example: manage.py grant_webhook 'CRM coupons' --workspace acme --member "
        "li@acme.example --role marketer --until 2026-12-31 --mend marketer"
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("webhook", help="the webhook's name or number")
        parser.add_argument("--workspace", required=True, help="the workspace's short name")
        for kind, what in (
            ("member", "a member's e-mail address"),
            ("role", "a role's name, or the name of a preset"),
            ("group", "a member group's name"),
        ):
            parser.add_argument(
                f"--{kind}",
                dest=f"{kind}s",
                action="append",
                default=[],
                help=f"{what}; may be given again",
            )
        parser.add_argument("--until", help="the end, like 2026-12-31 or 2026-12-31T18:00")
        parser.add_argument("--reason", default="", help="why, for the list and the audit trail")
        parser.add_argument(
            "--mend", metavar="ROLE", help="give who lacks the role permission this role as well"
        )
        parser.add_argument("--end", action="store_true", help="end the permissions now instead")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")

    def run(
        self,
        *,
        actor: User | None,
        webhook: str = "",
        workspace: str = "",
        end: bool = False,
        dry_run: bool = False,
        **options: Any,
    ) -> None:
        entered = find_workspace(workspace)
        target = find_webhook(entered, webhook)
        grantees = Grantees(
            members=[_member(entered, email) for email in options["members"]],
            roles=[_role(entered, name) for name in options["roles"]],
            groups=[_group(entered, name) for name in options["groups"]],
        )
        with transaction.atomic():
            if end:
                self._end(target, grantees, actor)
            else:
                self._grant(target, grantees, actor, options)
            if dry_run:
                transaction.set_rollback(True)
                self.stdout.write("Nothing was changed: this was a dry run.")

    def _grant(
        self, webhook: Webhook, grantees: Grantees, actor: User | None, options: dict[str, Any]
    ) -> None:
        workspace = webhook.workspace
        told = granting.grant(
            webhook=webhook,
            grantees=grantees,
            actor=actor,
            reason=options["reason"],
            ends_at=_moment(options["until"], workspace),
            mend=_role(workspace, options["mend"]) if options["mend"] else None,
            now=timezone.now(),
        )
        for word, names in (
            ("given to", told.new),
            ("changed for", told.renewed),
            ("role permission added for", told.mended),
        ):
            if names:
                self.stdout.write(self.style.SUCCESS(f"{webhook}: {word} {', '.join(names)}."))
        if told.lacking:
            self.stderr.write(
                f"They still lack the role permission: {', '.join(told.lacking)}. "
                "Give it with --mend ROLE."
            )

    def _end(self, webhook: Webhook, grantees: Grantees, actor: User | None) -> None:
        holders: list[Role | MemberGroup] = [*grantees.roles, *grantees.groups]
        wanted = {str(member.user) for member in grantees.members}
        wanted |= {granting.label_of(holder) for holder in holders}
        if not wanted:
            raise CommandError("Say whose with --member, --role or --group.")
        now = timezone.now()
        for grant in granting.grants_of(webhook):
            holder = granting.holder_of(grant)
            if holder in wanted and granting.end(grant=grant, actor=actor, now=now):
                self.stdout.write(self.style.SUCCESS(f"{webhook}: ended for {holder}."))
                wanted.discard(holder)
        if wanted:
            raise CommandError(f"No live usage permission: {', '.join(sorted(wanted))}.")


def _member(workspace: Workspace, email: str) -> Membership:
    found = Membership.objects.select_related("user", "workspace").filter(
        workspace=workspace, user__email=email.strip().lower()
    )
    if not found:
        raise CommandError(f"{email} is not a member of {workspace}.")
    return found[0]


def _role(workspace: Workspace, name: str) -> Role:
    found = Role.objects.select_related("workspace", "group").filter(workspace=workspace)
    role = found.filter(preset=name).first() if name else None
    role = role or found.filter(name__iexact=name).first()
    if role is None:
        known = ", ".join(found.values_list("name", flat=True))
        raise CommandError(f"{workspace} has no role “{name}”. It has: {known}.")
    return role


def _group(workspace: Workspace, name: str) -> MemberGroup:
    found = MemberGroup.objects.select_related("workspace", "group").filter(workspace=workspace)
    group = found.filter(name__iexact=name).first()
    if group is None:
        known = ", ".join(found.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"{workspace} has no member group “{name}”. There are: {known}.")
    return group


def _moment(text: str | None, workspace: Workspace) -> datetime | None:
    """Read a time of the workspace's own zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"“{text}” is no time. Write it like 2026-12-31T18:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=workspace.zone)
