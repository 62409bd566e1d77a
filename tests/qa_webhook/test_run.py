"""``manage.py run``: the whole product on one machine, in the foreground."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests
from django.utils import timezone

from qa_webhook import local

# The demo's customers; its audience journey sends to each of them.
PEOPLE = 23_570


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A checkout that has never been started, with no server named."""
    elsewhere = ("DATABASE_URL", "CELERY_BROKER_URL", "DATABASE_ROLE", "SITE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
    return {
        **kept,
        "LOCAL_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "qa_webhook.settings",
        "LOG_FORMAT": "console",
    }


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.slow
def test_it_comes_up_and_stops_whole(
    environment: dict[str, str], taken_port: int, tmp_path: Path
) -> None:
    run = _start(environment, taken_port)
    try:
        said = _read_until(run, "Ctrl-C stops everything.")
        url = re.search(r"is ready: (http://127\.0\.0\.1:(\d+)/)", said)
        assert url, said
        assert f"Port {taken_port} is taken; trying {taken_port + 1}." in said
        assert int(url[2]) > taken_port
        assert requests.get(f"{url[1]}health/ready", timeout=5).json() == {"status": "ok"}
        assert "sessionid" not in requests.get(f"{url[1]}accounts/login/", timeout=10).cookies
        second = _start(environment, taken_port)
        assert f"It already runs, as process {run.pid}." in second.communicate(timeout=60)[0]
        assert second.returncode == 1
    finally:
        run.send_signal(signal.SIGINT)
        rest = run.communicate(timeout=60)[0]

    assert run.returncode == 0
    assert "Stopped. Everything is kept for the next start." in rest
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
    assert (tmp_path / "keys.json").exists()


@pytest.mark.slow
def test_the_demo_is_loaded_once_and_goes_on_where_it_was_stopped(
    environment: dict[str, str], taken_port: int
) -> None:
    """Stopped in full flight: what both starts' receivers saw is everybody, once."""
    environment["RECEIVER_PORT"] = str(taken_port)
    first, seen = _run_demo(environment, taken_port, until_delivered=500, slowly=True)
    assert "Customers of the shop (mobile numbers and e-mail addresses are invented)" in first
    assert "Customers with tags (nicknames are invented" in first
    assert 500 <= seen["delivered"] < PEOPLE
    second, more = _run_demo(environment, taken_port, until_delivered=PEOPLE - seen["delivered"])
    assert "Customers of the shop" not in second

    assert seen["delivered"] + more["delivered"] == PEOPLE
    for ledger in (seen, more):
        assert ledger["duplicates"] == 0
        assert ledger["signatures_verified"] == ledger["delivered"]
        assert ledger["receipts"] == ledger["delivered"] + ledger["besides"]
    tables = (
        "identity_profile",
        "journeys_journey",
        "webhooks_webhook w JOIN webhooks_delivery d ON d.webhook_id = w.id AND w.name LIKE 'CRM%'",
        "webhooks_receipt",
    )
    receipts = PEOPLE + seen["besides"] + more["besides"]
    assert _counts(environment, tables) == [PEOPLE, 5, PEOPLE, receipts]


def _run_demo(
    environment: dict[str, str], port: int, *, until_delivered: int, slowly: bool = False
) -> tuple[str, dict[str, int]]:
    """Start it, stop it after so many deliveries; return what it said and its receiver's ledger."""
    run = _start(environment, port, demo=True)
    try:
        # The pages may take longer to come up than it takes to send to everybody.
        with _held(run):
            if slowly:
                _answer_slowly(Path(environment["LOCAL_DIR"]) / "receiver.json")
            said = _read_until(run, "Ctrl-C stops everything.")
        receiver = re.search(r"receiver \| Listening at (\S+)/", said)
        assert receiver, said
        deadline = time.monotonic() + 120
        while _delivered(f"{receiver[1]}/stats") < until_delivered:
            assert time.monotonic() < deadline, "not everybody was sent to in time"
            time.sleep(0.05)
        if not slowly:  # Nothing is to be cut short any more.
            parameters = _coupon(f"{receiver[1]}/requests?limit=100000")
            assert parameters["amount"] == 20
            assert date.fromisoformat(parameters["valid until"]) > timezone.localdate()
    finally:
        run.send_signal(signal.SIGINT)
        said += run.communicate(timeout=60)[0]
    assert run.returncode == 0, said
    assert re.search(r"is ready: http://127\.0\.0\.1:\d+/", said), said
    for role in ("administrator", "marketer", "operator"):
        assert re.search(rf"^ +{role} +\w+@demo\.example$", said, re.MULTILINE), said
    last = re.search(r"receiver \| (\{.*\})", said)
    assert last, said
    stats = json.loads(last[1])
    coupons, others = stats["ledgers"].pop("/coupons"), stats["ledgers"]
    assert set(others) <= {"/cards", "/calls"}
    besides = sum(ledger["delivered"] for ledger in others.values())
    return said, coupons | {"receipts": stats["receipts"]["sent"], "besides": besides}


def _answer_slowly(configuration: Path) -> None:
    """Let 64 requests at a time take a minute for everybody; the next start forgets it."""
    told = json.loads(configuration.read_text())
    told["ledgers"]["/coupons"]["delay"] = 0.15
    configuration.write_text(json.dumps(told))


@contextmanager
def _held(run: "subprocess.Popen[str]") -> Iterator[None]:
    """Freeze what sends among its children as soon as they are there, before they open anything.

    A request that is open meanwhile would be given up on, and sent again.
    """
    deadline = time.monotonic() + 240
    sending: set[int] = set()
    while len(sending) < 2:
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
        for child in _children(run.pid) - sending:
            if {b"sender", b"celery"} & set(_arguments(child)):
                os.kill(child, signal.SIGSTOP)
                sending.add(child)
    try:
        yield
    finally:
        for child in sending:
            os.kill(child, signal.SIGCONT)


def _children(pid: int) -> set[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for each in threads for child in each.read_text().split()}


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []  # It has ended.


def _delivered(stats_url: str) -> int:
    ledgers: dict[str, Any] = requests.get(stats_url, timeout=10).json()["ledgers"]
    coupons: int = ledgers.get("/coupons", {"delivered": 0})["delivered"]
    return coupons


def _coupon(requests_url: str) -> dict[str, Any]:
    """Return the parameters of a coupon that the receiver got."""
    kept = requests.get(requests_url, timeout=10).json()
    body = next(each["body"] for each in kept if each["path"] == "/coupons")
    parameters: dict[str, Any] = json.loads(body)["recipients"][0]["params"]
    return parameters


def _counts(environment: dict[str, str], tables: Sequence[str]) -> list[int]:
    query = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    command = [sys.executable, str(local.BASE_DIR / "manage.py"), "dbshell", "--", "-Atc", query]
    answer = subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, check=True, timeout=60
    )
    return [int(number) for number in answer.stdout.split("|")]


def _start(
    environment: dict[str, str], port: int, *, demo: bool = False
) -> "subprocess.Popen[str]":
    arguments = ["run", "--port", str(port), *([] if demo else ["--no-demo"])]
    return subprocess.Popen(
        [sys.executable, str(local.BASE_DIR / "manage.py"), *arguments],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _read_until(run: "subprocess.Popen[str]", words: str) -> str:
    """Read what it says up to a line with these words; the test's own time limit ends a silence."""
    assert run.stdout
    said = ""
    for line in run.stdout:
        said += line
        if words in line:
            break
    return said
