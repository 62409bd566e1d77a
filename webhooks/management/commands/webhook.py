"""List webhooks, show how they do, and pause, resume or disable one."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandError
from django.utils import timezone

from webhooks import answers, control, monitoring, revisions
from webhooks.management.base import ago, breaker_line, find_webhook
from webhooks.models import Webhook
from webhooks.monitoring import Condition, ErrorSeen
from workspaces import permissions
from workspaces.management.base import AskingCommand, KeepLines, find_workspace
from workspaces.models import User, Workspace
from workspaces.points import Point

HELP = """List a workspace's webhooks, show how they do, or change the state of one.

  list      every webhook with its state
  status    state with its reason, breaker, people waiting and since when, requests a second,
            and the last error of each kind with an example; of one webhook, or of all
  pause     send nothing more through it: people keep their place, and the time counts against
            nobody
  resume    let it go on, whether a person paused it or the engine did
  disable   pause it, and offer it for no new step

Examples:
  manage.py webhook status "CRM coupons" --workspace acme
  manage.py webhook pause "CRM coupons" --workspace acme --as li@acme.example
  manage.py webhook status --workspace acme --json
"""
ANSWER_SHOWN = 100
_ACTS = {
    "pause": (control.pause, "is paused: its people wait"),
    "resume": (control.resume, "is active"),
    "disable": (control.disable, "is disabled: nothing is sent, no new step may use it"),
}


class Command(AskingCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=KeepLines, **kwargs)

    def add_options(self, parser: ArgumentParser) -> None:
        parser.add_argument("act", choices=["list", "status", *_ACTS])
        parser.add_argument("webhook", nargs="?", help="the webhook's name or number")
        parser.add_argument("--workspace", required=True, help="the workspace's short name")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON alone")
        self.add_yes(parser)

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
        elif act == "status":
            chosen = [find_webhook(entered, webhook)] if webhook else _webhooks(entered)
            in_clear = actor is None or permissions.has_point(actor, entered, Point.VIEW_PROFILES)
            self._status([each.pk for each in chosen], as_json, in_clear=in_clear)
        elif not webhook:
            raise CommandError("Say which webhook: its name or number.")
        else:
            self._change(find_webhook(entered, webhook), act, actor, as_json=as_json, yes=yes)

    def _change(
        self, target: Webhook, act: str, actor: User | None, *, as_json: bool, yes: bool
    ) -> None:
        if act != "resume":
            people = sum(revisions.people_waiting(target).values())
            self.confirm(people=people, what=f"To {act} “{target}”", yes=yes)
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
        rows = [_row(webhook) for webhook in _webhooks(workspace)]
        if as_json:
            self.stdout.write(json.dumps(rows, ensure_ascii=False))
            return
        for row in rows:
            reason = f" ({row['reason']})" if row["reason"] else ""
            state = f"{row['state']}{reason}"
            self.stdout.write(f"{row['id']:>6}  {state:<24}  {row['name']}  {row['host']}")
        if not rows:
            self.stdout.write(f"{workspace} has no webhook yet.")

    def _status(self, numbers: list[int], as_json: bool, *, in_clear: bool) -> None:
        """Tell how webhooks do; an answer may repeat a person's ID, so not everybody reads it."""
        found = [
            (each, [error if in_clear else replace(error, answer="") for error in errors])
            for each in monitoring.conditions(numbers)
            for errors in [monitoring.errors(each.id)]
        ]
        if as_json:
            rows = [
                each.as_json() | {"errors": [error.as_json() for error in errors]}
                for each, errors in found
            ]
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        for each, errors in found:
            self.stdout.write("\n".join(_lines(each, errors)))


def _webhooks(workspace: Workspace) -> list[Webhook]:
    return list(Webhook.objects.select_related("control").filter(workspace=workspace))


def _row(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.pk,
        "name": webhook.name,
        "host": urlsplit(webhook.url).netloc,
        "state": webhook.control.state,
        "reason": webhook.control.reason,
        "revision": webhook.revision,
    }


def _lines(each: Condition, errors: Sequence[ErrorSeen]) -> list[str]:
    reason = f": {answers.reason_sentence(each.reason)}" if each.reason else ""
    since = timezone.localtime(each.changed_at).strftime("%Y-%m-%d %H:%M")
    stopped = "; all sending of the workspace is stopped" if each.is_stopped else ""
    limit = f" of at most {each.rate_limit:,}" if each.rate_limit else ""
    by_class = ", ".join(f"{number:,} {name}" for name, number in each.requests.items())
    lines = [
        f"{each.name} ({each.workspace})",
        f"  state    {each.state} since {since}{reason}{stopped}",
        f"  breaker  {breaker_line(each)}",
        f"  queue    {_queue(each)}",
        f"  rate     {each.rate:,.1f} requests a second{limit}, {each.concurrency:,} open at most",
        f"  minute   {by_class or 'no request'}",
        "  errors   " + ("the last of each kind within a day:" if errors else "none for a day"),
    ]
    for error in errors:
        at = timezone.localtime(error.at).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"    {error.reason}: {error.sentence}")
        lines.append(f"      {at}  {error.delivery_id}  {error.answer[:ANSWER_SHOWN]}".rstrip())
    return lines


def _queue(each: Condition) -> str:
    told = f"{each.waiting:,} people wait"
    if each.retrying:
        told += f", {each.retrying:,} of them for another try"
    if each.held:
        told += f", {each.held:,} of them held back"
    if each.oldest_due:
        told += f"; the oldest should have gone out {ago(each.oldest_due_seconds)} ago"
    if each.next_due:
        told += f"; the next try is in {ago((each.next_due - each.now).total_seconds())}"
    return told
