"""List webhooks, and pause, resume or disable one."""

import json
import sys
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandError
from django.utils import timezone

from webhooks import control, revisions
from webhooks.management.base import find_webhook
from webhooks.models import Webhook
from workspaces import permissions
from workspaces.management.base import ConsoleCommand, find_workspace
from workspaces.models import User, Workspace
from workspaces.points import Point

ASKS_ABOVE = 1_000  # People who would wait.
_ACTS = {
    "pause": (control.pause, "is paused: its people wait"),
    "resume": (control.resume, "is active"),
    "disable": (control.disable, "is disabled: nothing is sent, no new step may use it"),
}


class Command(ConsoleCommand):
    help = (
        "List a workspace's webhooks, or change the state of one. Examples: manage.py webhook "
        "list --workspace acme; manage.py webhook pause 'CRM coupons' --workspace acme"
    )

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("act", choices=["list", *_ACTS])
        parser.add_argument("webhook", nargs="?", help="the webhook's name or number")
        parser.add_argument("--workspace", required=True, help="the workspace's short name")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON alone")
        parser.add_argument("--yes", action="store_true", help="do not ask, however many wait")

    def run(
        self,
        *,
        actor: User | None,
        act: str = "list",
        webhook: str | None = None,
        workspace: str = "",
        as_json: bool = False,
        yes: bool = False,
        **options: Any,
    ) -> None:
        entered = find_workspace(workspace)
        if actor is not None:
            permissions.require(actor, entered, Point.WEBHOOK_MANAGEMENT)
        if act == "list":
            self._list(entered, as_json)
            return
        if not webhook:
            raise CommandError("Say which webhook: its name or number.")
        target = find_webhook(entered, webhook)
        if act != "resume":
            self._confirm(target, act, yes)
        change, told = _ACTS[act]
        changed = change(webhook=target, actor=actor, now=timezone.now())
        if as_json:
            target.control.refresh_from_db()
            self.stdout.write(json.dumps({**_row(target), "changed": changed}))
        elif changed:
            self.stdout.write(self.style.SUCCESS(f"{target} {told}."))
        else:
            self.stdout.write(f"{target} {told} already.")

    def _list(self, workspace: Workspace, as_json: bool) -> None:
        found = Webhook.objects.select_related("control").filter(workspace=workspace)
        rows = [_row(webhook) for webhook in found]
        if as_json:
            self.stdout.write(json.dumps(rows, ensure_ascii=False))
            return
        for row in rows:
            reason = f" ({row['reason']})" if row["reason"] else ""
            state = f"{row['state']}{reason}"
            self.stdout.write(f"{row['id']:>6}  {state:<24}  {row['name']}  {row['host']}")
        if not rows:
            self.stdout.write(f"{workspace} has no webhook yet.")

    def _confirm(self, webhook: Webhook, act: str, yes: bool) -> None:
        people = sum(revisions.people_waiting(webhook).values())
        if yes or people <= ASKS_ABOVE:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{people} people wait for “{webhook}”. Add --yes to {act} it.")
        answer = input(f"{people} people wait for “{webhook}”. Type {act} to go on: ")
        if answer.strip().lower() != act:
            raise CommandError("Nothing was changed.")


def _row(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.pk,
        "name": webhook.name,
        "host": urlsplit(webhook.url).netloc,
        "state": webhook.control.state,
        "reason": webhook.control.reason,
        "revision": webhook.revision,
    }
