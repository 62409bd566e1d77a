"""Look at deliveries, and send again what failed."""

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from webhooks import answers, ledger, redelivery
from webhooks.choices import DeliveryState
from webhooks.models import Delivery, Plan, Webhook
from workspaces import permissions
from workspaces.management.base import ConsoleCommand, find_workspace
from workspaces.models import User, Workspace
from workspaces.points import Point

ASK_ABOVE = 1_000

HELP = """Look at deliveries, and send again what failed.

  list       the latest first, narrowed by --state, --webhook, --run-plan, --qaid
  show       one delivery: every try, and the exact body that was sent
  redeliver  send again, each under its own id, so that the other side can tell repetitions

Examples:
  manage.py deliveries list --workspace acme --state dead
  manage.py deliveries show dlv_2h0…
  manage.py deliveries redeliver --workspace acme --webhook Coupons --reason status_503 --dry-run
"""


class _Formatter(RawDescriptionHelpFormatter):
    """Keep the help's own lines."""


class Command(ConsoleCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=_Formatter, **kwargs)

    def add_options(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("action", choices=["list", "show", "redeliver"])
        add("id", nargs="*", help="delivery ids, for show and redeliver")
        add("--workspace", help="the workspace's short name")
        add("--webhook", help="the webhook's name")
        add("--run-plan", type=int, metavar="ID", help="the plan of one step of one run")
        add("--state", action="append", choices=DeliveryState.values, help="may be given again")
        add("--reason", help="the reason of those to send again, like status_503")
        add("--qaid", type=int, help="one person's deliveries")
        add("--limit", type=int, default=50, help="how many to list (default 50)")
        add("--json", action="store_true", dest="as_json", help="one JSON object a line")
        add("--dry-run", action="store_true", help="say how many would be sent again")
        add("--yes", action="store_true", help="do not ask when many people are affected")

    def run(self, *, actor: User | None, action: str = "list", **options: Any) -> None:
        if action == "show":
            self._show(actor, options)
            return
        if not options["workspace"]:
            raise CommandError("Say which workspace with --workspace.")
        workspace = find_workspace(options["workspace"])
        webhook = self._webhook(workspace, options["webhook"])
        plan = self._plan(workspace, options["run_plan"])
        if action == "list":
            self._list(actor, workspace, webhook, plan, options)
        else:
            self._redeliver(actor, workspace, webhook, plan, options)

    # --- Looking ----------------------------------------------------------------------------------

    def _list(
        self,
        actor: User | None,
        workspace: Workspace,
        webhook: Webhook | None,
        plan: Plan | None,
        options: dict[str, Any],
    ) -> None:
        _require_view(actor, workspace)
        found = ledger.page(
            workspace,
            plan=plan,
            webhook=webhook,
            states=options["state"] or (),
            qaids=[options["qaid"]] if options["qaid"] else (),
            limit=options["limit"],
        )
        for delivery in found.deliveries:
            self.stdout.write(
                json.dumps(_plain(delivery)) if options["as_json"] else _line(delivery)
            )
        if found.following and not options["as_json"]:
            self.stdout.write(
                f"… and more than {options['limit']}; narrow the list or set --limit."
            )

    def _show(self, actor: User | None, options: dict[str, Any]) -> None:
        if not options["id"]:
            raise CommandError("Say which delivery: dlv_…")
        for delivery_id in options["id"]:
            delivery = ledger.find(delivery_id)
            if delivery is None or not _may(actor, delivery.workspace, Point.VIEW_DELIVERIES):
                raise CommandError(f"There is no delivery “{delivery_id}”.")
            shown = _plain(delivery) | {
                "tries": [each._asdict() for each in ledger.tries_of(delivery)]
            }
            # IDs stand in the body in clear, so that it is for whoever may see them.
            if actor is None or permissions.has_point(
                actor, delivery.workspace, Point.VIEW_PROFILES
            ):
                body = ledger.body_of(delivery)
                shown["body"] = body.decode() if body else None
            indent = None if options["as_json"] else 2
            self.stdout.write(json.dumps(shown, indent=indent, default=str, ensure_ascii=False))

    # --- Sending again ----------------------------------------------------------------------------

    def _redeliver(
        self,
        actor: User | None,
        workspace: Workspace,
        webhook: Webhook | None,
        plan: Plan | None,
        options: dict[str, Any],
    ) -> None:
        chosen = redelivery.selection(
            plan_ids=[plan.pk] if plan else None,
            webhook=webhook,
            reason=options["reason"],
            delivery_ids=options["id"] or None,
            states=options["state"] or (DeliveryState.DEAD,),
        )
        number = redelivery.count(workspace, chosen)
        if options["dry_run"]:
            self.stdout.write(f"{number} deliveries would be sent again.")
            return
        if number > ASK_ABOVE and not options["yes"] and not self._is_agreed(number):
            raise CommandError("Nothing was sent. Run it with --yes to send without being asked.")
        job = redelivery.order(workspace=workspace, actor=actor, chosen=chosen, now=timezone.now())
        self.stdout.write(
            self.style.SUCCESS(f"{job.total} deliveries are being sent again (order {job.pk}).")
        )

    def _is_agreed(self, number: int) -> bool:
        if not sys.stdin.isatty():
            return False
        return input(f"Send {number} deliveries again? Type yes: ").strip().lower() == "yes"

    @staticmethod
    def _webhook(workspace: Workspace, name: str | None) -> Webhook | None:
        if not name:
            return None
        found = Webhook.objects.filter(workspace=workspace, name=name).first()
        if found is None:
            raise CommandError(f"No webhook of this workspace is called “{name}”.")
        return found

    @staticmethod
    def _plan(workspace: Workspace, number: int | None) -> Plan | None:
        if number is None:
            return None
        found = Plan.objects.filter(workspace=workspace, pk=number).first()
        if found is None:
            raise CommandError(f"This workspace has no plan {number}.")
        return found


def _may(actor: User | None, workspace: Workspace, point: Point) -> bool:
    return actor is None or permissions.has_point(actor, workspace, point)


def _require_view(actor: User | None, workspace: Workspace) -> None:
    if actor is not None:
        permissions.require(actor, workspace, Point.VIEW_DELIVERIES)


def _plain(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.pk,
        "state": delivery.state,
        "reason": delivery.reason,
        "webhook": delivery.webhook.name,
        "plan": delivery.plan_id,
        "qaid": delivery.qaid,
        "message_id": delivery.message_id,
        "attempts": delivery.attempts,
        "status_code": delivery.status_code,
        "first_attempt_at": delivery.first_attempt_at and delivery.first_attempt_at.isoformat(),
        "updated_at": delivery.updated_at.isoformat(),
    }


def _line(delivery: Delivery) -> str:
    reason = f" {answers.reason_sentence(delivery.reason)}" if delivery.reason else ""
    status = f" {delivery.status_code}" if delivery.status_code else ""
    moment = timezone.localtime(delivery.updated_at).strftime("%Y-%m-%d %H:%M:%S")
    return f"{moment} {delivery.pk} {delivery.state}{status}{reason}"
