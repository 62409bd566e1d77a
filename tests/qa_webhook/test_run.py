"""``manage.py run``: the whole product on one machine, in the foreground."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from qa_webhook import local


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


def _start(environment: dict[str, str], port: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            str(local.BASE_DIR / "manage.py"),
            "run",
            "--no-demo",
            "--port",
            str(port),
        ],
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
