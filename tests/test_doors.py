"""What may be called in one place alone: the door out, and who may use a webhook."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
APPS: Final = ("workspaces", "identity", "webhooks", "journeys", "qa_webhook")

# Whoever fetches an address that a tenant can name goes through webhooks.egress.
CLIENTS: Final = frozenset(
    {"requests", "httpx", "urllib3", "aiohttp", "pycurl", "http.client", "urllib.request"}
)
MAY_FETCH: Final = {
    "webhooks/transport.py",
    "webhooks/receiver/receipts.py",  # Receiver and demo: processes of their own, for one machine.
    "journeys/demo/latency.py",
    "journeys/demo/running.py",
    "qa_webhook/management/commands/run.py",
}
# Guardian knows no end of a permission; what it answers about a webhook is wrong.
GUARDIAN: Final = frozenset(
    {"has_perm", "has_perms", "get_perms", "get_objects_for_user", "get_users_with_perms"}
)
MAY_ASK: Final = {"workspaces/permissions.py"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name


def test_nothing_but_the_transport_opens_a_way_out() -> None:
    found = {name for name, tree in sources() if CLIENTS.intersection(imported(tree))}

    assert found == MAY_FETCH


def test_nobody_but_the_permissions_asks_guardian() -> None:
    found = {name for name, tree in sources() if GUARDIAN.intersection(named(tree))}

    assert found == MAY_ASK


@pytest.mark.parametrize(
    "source",
    ["import requests", "from urllib import request", "from http.client import HTTPConnection"],
)
def test_the_check_sees_every_way_to_import(source: str) -> None:
    assert CLIENTS.intersection(imported(ast.parse(source)))
