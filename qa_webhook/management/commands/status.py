"""One screen: how the installation does at this moment."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from qa_webhook import condition
from qa_webhook.condition import Installation
from webhooks.management.base import ago, breaker_line
from workspaces.management.base import KeepLines, table

HELP = """Show how the installation does at this moment, on one screen.

Processes that are alive, by what each wrote last; people waiting, requests a second, whose people
wait longest; what stands still, and why: paused webhooks, open breakers, stopped workspaces.
Ends with 1 when no sender, planner or worker is alive, else with 0.

Examples:
  manage.py status
  manage.py status --json
  watch -n 2 manage.py status
"""
SHOWN = 10


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=KeepLines, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")

    def handle(self, *args: Any, as_json: bool = False, **options: Any) -> None:
        found = condition.read()
        if as_json:
            self.stdout.write(json.dumps(plain(found), ensure_ascii=False, indent=2))
        else:
            self.stdout.write("\n\n".join(screen(found)))
        if found.missing:
            sys.exit(1)


def screen(found: Installation) -> list[str]:
    return list(filter(None, [_processes(found), _queues(found), _overdue(found), _still(found)]))


def _processes(found: Installation) -> str:
    rows: list[list[Any]] = [["Process", "Host", "PID", "Up", "Last heard of"]]
    rows += [
        [
            each.role,
            each.host,
            str(each.pid),
            ago((found.now - each.started_at).total_seconds()),
            f"{ago(each.silent_seconds)} ago" + ("" if each.is_alive else ", silent"),
        ]
        for each in found.processes
    ]
    lines = [table(rows)]
    return "\n".join([*lines, *(f"No {role} is alive." for role in found.missing)])


def _queues(found: Installation) -> str:
    tick = "never" if found.tick_age is None else f"{ago(found.tick_age)} ago"
    return (
        f"{found.waiting:,} people wait; {found.rate:,.1f} requests a second.\n"
        f"The scheduler's last tick: {tick}. The oldest transaction: "
        f"{ago(found.oldest_transaction_seconds)}. Claims lost: {found.lease_losses:,}."
    )


def _overdue(found: Installation) -> str:
    if not found.overdue:
        return ""
    rows: list[list[Any]] = [["Waiting longest", "Workspace", "People", "Due for", "Requests/s"]]
    rows += [
        [
            each.name,
            each.workspace,
            each.waiting,
            ago(each.oldest_due_seconds),
            f"{each.rate:,.1f}",
        ]
        for each in found.overdue[:SHOWN]
    ]
    return table(rows)


def _still(found: Installation) -> str:
    lines = [
        f"Sending is stopped in {workspace}: {workspace.sending_stopped_reason}"
        for workspace in found.stopped
    ]
    for each in found.webhooks:
        name = f"{each.name} ({each.workspace})"
        if not each.is_active and (each.waiting or each.reason):
            reason = f", {each.reason}" if each.reason else ""
            lines.append(f"{name} is {each.state}{reason}: {each.waiting:,} people wait.")
        elif each.breaker_is_open:
            lines.append(
                f"{name}: the breaker is {breaker_line(each)}; {each.waiting:,} people wait."
            )
    return "\n".join(lines) or "Nothing stands still."


def plain(found: Installation) -> dict[str, Any]:
    """Return everything for a script, with times as text and ages in seconds."""
    return {
        "at": found.now.isoformat(),
        "missing": found.missing,
        "processes": [
            {
                "role": each.role,
                "host": each.host,
                "pid": each.pid,
                "started_at": each.started_at.isoformat(),
                "silent_seconds": round(each.silent_seconds, 1),
                "is_alive": each.is_alive,
                "lease_losses": each.lease_losses,
            }
            for each in found.processes
        ],
        "people_waiting": found.waiting,
        "requests_per_second": round(found.rate, 2),
        "scheduler_tick_age_seconds": found.tick_age,
        "oldest_transaction_seconds": round(found.oldest_transaction_seconds, 1),
        "stopped_workspaces": {each.slug: each.sending_stopped_reason for each in found.stopped},
        "webhooks": [each.as_json() for each in found.webhooks],
    }
