"""Look at deliveries, send again what failed, and decide about who waits."""

import json
import signal
import sys
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from webhooks import answers, engine, holding, ledger, monitoring, progress, redelivery
from webhooks.choices import DeliveryState, PlanState
from webhooks.management.base import find_webhook
from webhooks.models import Chunk, Delivery, Message, Plan, Webhook
from workspaces import permissions
from workspaces.management.base import AskingCommand, KeepLines, find_workspace
from workspaces.models import User, Workspace
from workspaces.points import Point

HELP = """Look at deliveries, send again what failed, and decide about who waits.

  list       the latest first, narrowed by --state, --webhook, --run, --run-plan, --qaid
  show       one delivery: every try, and the exact body that was sent
  redeliver  send again, each under its own id, so that the other side can tell repetitions
  drain      send in this process what is due of --webhook, or of one --run or --run-plan and
             nobody else, until nothing is due
  hold       let those who wait wait until they are released; it counts against no expiry
  release    let them go on, each at the place where they were
  expire     end those who wait as too late, for good, held or not

hold, release and expire choose by --webhook, --run, --run-plan (one step of one run) and
--reason (how the last try ended; without it also who was not tried yet). Who is in a sender's
hands at that moment is left alone: they are sent to, or come back and can be chosen then.
drain ends with 1 when somebody is still due: the webhook is paused, its breaker open, or the
time over.

Examples:
  manage.py deliveries list --workspace acme --state dead
  manage.py deliveries show dlv_2h0…
  manage.py deliveries redeliver --workspace acme --webhook Coupons --reason status_503 --dry-run
  manage.py deliveries drain --workspace acme --webhook Coupons --seconds 300
  manage.py deliveries hold --workspace acme --run 31 --as li@acme.example
  manage.py deliveries expire --workspace acme --webhook Coupons --reason status_503 --dry-run
"""
# How often a drain tells how far it is, on a terminal and else.
TELL_SECONDS = (1.0, 10.0)
_WAITING = {
    "hold": ("would be held back", "are held back. “deliveries release” lets them go on"),
    "release": ("would go on", "go on"),
    "expire": ("would end as too late", "ended as too late"),
}


class Command(AskingCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=KeepLines, **kwargs)

    def add_options(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("action", choices=["list", "show", "redeliver", "drain", *_WAITING])
        add("id", nargs="*", help="delivery ids, for show and redeliver")
        add("--workspace", help="the workspace's short name")
        add("--webhook", help="the webhook's name or number")
        add("--run", type=int, metavar="ID", help="everybody of one run")
        add("--run-plan", type=int, metavar="ID", help="the plan of one step of one run")
        add("--state", action="append", choices=DeliveryState.values, help="may be given again")
        add("--reason", help="how the last try ended, like status_503")
        add("--qaid", type=int, help="one person's deliveries")
        add("--limit", type=int, default=50, help="how many to list (default 50)")
        add("--seconds", type=float, help="drain for so long at most")
        add("--json", action="store_true", dest="as_json", help="one JSON object a line")
        add("--dry-run", action="store_true", help="say how many it would be, and change nothing")
        self.add_yes(parser)

    def run(self, *, actor: User | None, action: str = "list", **options: Any) -> None:
        if action == "show":
            self._show(actor, options)
            return
        if not options["workspace"]:
            raise CommandError("Say which workspace with --workspace.")
        workspace = find_workspace(options["workspace"])
        webhook = find_webhook(workspace, options["webhook"]) if options["webhook"] else None
        plans = self._plans(workspace, options)
        if action == "list":
            self._list(actor, workspace, webhook, plans, options)
        elif action == "redeliver":
            self._redeliver(actor, workspace, webhook, plans, options)
        elif action == "drain":
            self._drain(actor, workspace, webhook, plans, options)
        else:
            self._decide(action, actor, workspace, webhook, plans, options)

    # --- Looking ----------------------------------------------------------------------------------

    def _list(
        self,
        actor: User | None,
        workspace: Workspace,
        webhook: Webhook | None,
        plans: list[Plan] | None,
        options: dict[str, Any],
    ) -> None:
        _require_view(actor, workspace)
        if plans is not None and len(plans) > 1:
            numbers = ", ".join(str(plan.pk) for plan in plans)
            raise CommandError(f"That run has several steps; say --run-plan with one of: {numbers}")
        found = ledger.page(
            workspace,
            plan=plans[0] if plans else None,
            webhook=webhook,
            states=options["state"] or (),
            qaids=[options["qaid"]] if options["qaid"] else (),
            limit=options["limit"],
        )
        statuses = ledger.last_statuses(found.deliveries)
        for delivery in found.deliveries:
            status = statuses[delivery.pk]
            self.stdout.write(
                json.dumps(_plain(delivery, status))
                if options["as_json"]
                else _line(delivery, status)
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
            # IDs stand in the body in clear, and an answer may repeat them.
            in_clear = _may(actor, delivery.workspace, Point.VIEW_PROFILES)
            tries = [each._asdict() for each in ledger.tries_of(delivery)]
            if not in_clear:
                tries = [each | {"answer": None} for each in tries]
            (status,) = ledger.last_statuses([delivery]).values()
            shown = _plain(delivery, status) | {"tries": tries}
            if in_clear:
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
        plans: list[Plan] | None,
        options: dict[str, Any],
    ) -> None:
        chosen = redelivery.selection(
            plan_ids=[plan.pk for plan in plans] if plans is not None else None,
            webhook=webhook,
            reason=options["reason"],
            delivery_ids=options["id"] or None,
            states=options["state"] or (DeliveryState.DEAD,),
        )
        number = redelivery.count(workspace, chosen)
        if options["dry_run"]:
            self._tell({"would": number}, f"{number} deliveries would be sent again.", options)
            return
        self.confirm(people=number, what="Sending again", yes=options["yes"])
        job = redelivery.order(workspace=workspace, actor=actor, chosen=chosen, now=timezone.now())
        told = f"{job.total} deliveries are being sent again (order {job.pk})."
        self._tell({"people": job.total, "order": job.pk}, self.style.SUCCESS(told), options)

    # --- Who waits --------------------------------------------------------------------------------

    def _decide(
        self,
        action: str,
        actor: User | None,
        workspace: Workspace,
        webhook: Webhook | None,
        plans: list[Plan] | None,
        options: dict[str, Any],
    ) -> None:
        chosen = holding.selection(
            webhook=webhook,
            plan_ids=[plan.pk for plan in plans] if plans is not None else None,
            reason=options["reason"],
        )
        waiting = holding.count(workspace, chosen)
        would, done = _WAITING[action]
        number = {
            "hold": waiting.people - waiting.held - waiting.in_hands,
            "release": waiting.held,
            "expire": waiting.people - waiting.in_hands,
        }[action]
        if options["dry_run"]:
            told = f"{number:,} people {would}; {waiting.in_hands:,} are in a sender's hands."
            self._tell({"would": number, "in_hands": waiting.in_hands}, told, options)
            return
        if action != "release":
            self.confirm(people=number, what=f"This ({action})", yes=options["yes"])
        act = {"hold": holding.hold, "release": holding.release, "expire": holding.expire}[action]
        people = act(workspace=workspace, actor=actor, chosen=chosen)
        self._tell({"people": people}, self.style.SUCCESS(f"{people:,} people {done}."), options)

    def _drain(
        self,
        actor: User | None,
        workspace: Workspace,
        webhook: Webhook | None,
        plans: list[Plan] | None,
        options: dict[str, Any],
    ) -> None:
        if actor is not None:
            permissions.require(actor, workspace, Point.WEBHOOK_MANAGEMENT)
        if plans is None and webhook is None:
            raise ValidationError("Choose a run or a webhook.")
        if plans is not None and webhook is not None:
            plans = [plan for plan in plans if plan.webhook_id == webhook.pk]
        sender = engine.Sender(
            webhook_id=webhook.pk if webhook else None,
            plan_ids=[plan.pk for plan in plans] if plans is not None else None,
        )

        def stop(number: int, frame: FrameType | None) -> None:
            sender.stop()

        before = [signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)]
        sender.is_wanted = _Progress(self, sender).tell
        try:
            settled = sender.drain(seconds=options["seconds"] or float("inf"))
        finally:
            for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
                signal.signal(each, handler)
        waiting, due = _left(webhook, plans)
        why = "".join(f" {_why(each)}" for each in due)
        told = f"{settled:,} people settled; {waiting:,} wait.{why}"
        self._tell({"settled": settled, "waiting": waiting, "due": bool(due)}, told, options)
        if due:
            sys.exit(1)

    def _tell(self, plain: dict[str, Any], text: str, options: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(plain) if options["as_json"] else text)

    @staticmethod
    def _plans(workspace: Workspace, options: dict[str, Any]) -> list[Plan] | None:
        """Return the plans of the run or the step that was named; None when none was."""
        number, run = options["run_plan"], options["run"]
        if number is None and run is None:
            return None
        found = Plan.objects.filter(workspace=workspace)
        found = found.filter(pk=number) if number is not None else found.filter(run_id=run)
        if not found:
            what = f"plan {number}" if number is not None else f"run {run}"
            raise CommandError(f"This workspace has no {what}.")
        return list(found.order_by("pk"))


class _Progress:
    """Tells how many people a drain has settled; asked by the sender once a second."""

    def __init__(self, command: Command, sender: engine.Sender) -> None:
        self._command, self._sender = command, sender
        self._is_terminal = sys.stderr.isatty()
        self._tell_at = time.monotonic()

    def tell(self) -> bool:
        if time.monotonic() >= self._tell_at:
            self._tell_at += TELL_SECONDS[0 if self._is_terminal else 1]
            settled = self._sender.settled
            end = "\r" if self._is_terminal else "\n"
            self._command.stderr.write(f"{settled:,} people settled", ending=end)
            self._command.stderr.flush()
        return True


def _left(
    webhook: Webhook | None, plans: list[Plan] | None
) -> tuple[int, list[monitoring.Condition]]:
    """Return how many of those drained still wait, and the webhooks that some are due of."""
    if plans is None:
        found = monitoring.conditions([webhook.pk] if webhook else [])
        return sum(each.waiting for each in found), [each for each in found if each.oldest_due]
    numbers, now = [plan.pk for plan in plans], timezone.now()
    due = {
        pk
        for rows in (Chunk.objects.filter(unsent__gt=0), Message.objects.all())
        for pk in rows.filter(
            plan__in=numbers, plan__state=PlanState.ACTIVE, due_at__lte=now
        ).values_list("webhook", flat=True)
    }
    waiting = sum(counts.queued for counts in progress.counts(numbers).values())
    return waiting, monitoring.conditions(sorted(due))


def _why(each: monitoring.Condition) -> str:
    """Return why people of a webhook are due and were not sent to."""
    if not each.is_active:
        return f"{each.name} is {each.state}: “manage.py webhook resume” lets it go on."
    if each.is_stopped:
        return "All sending of the workspace is stopped."
    if each.breaker_is_open:
        return f"The breaker of {each.name} is {each.breaker}."
    return f"Some of {each.name} are still due."


def _may(actor: User | None, workspace: Workspace, point: Point) -> bool:
    return actor is None or permissions.has_point(actor, workspace, point)


def _require_view(actor: User | None, workspace: Workspace) -> None:
    if actor is not None:
        permissions.require(actor, workspace, Point.VIEW_DELIVERIES)


def _plain(delivery: Delivery, status: int | None) -> dict[str, Any]:
    return {
        "id": delivery.pk,
        "state": delivery.state,
        "reason": delivery.reason,
        "webhook": delivery.webhook.name,
        "plan": delivery.plan_id,
        "qaid": delivery.qaid,
        "message_id": delivery.message_id,
        "attempts": delivery.attempts,
        "status_code": status,  # Of the last try.
        "first_attempt_at": delivery.first_attempt_at and delivery.first_attempt_at.isoformat(),
        "updated_at": delivery.updated_at.isoformat(),
    }


def _line(delivery: Delivery, status: int | None) -> str:
    reason = f" {answers.reason_sentence(delivery.reason)}" if delivery.reason else ""
    moment = timezone.localtime(delivery.updated_at).strftime("%Y-%m-%d %H:%M:%S")
    return f"{moment} {delivery.pk} {delivery.state}{f' {status}' if status else ''}{reason}"
