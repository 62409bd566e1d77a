"""manage.py: every command explains itself without starting anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

import manage
from qa_webhook import local

OURS = sorted(
    name
    for name, app in get_commands().items()
    if app in {"qa_webhook", "workspaces", "identity", "webhooks", "journeys"}
)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["migrate"], True),
        (["journeys", "list"], True),
        (["journeys", "--help"], False),
        (["import_tags", "-h"], False),
        (["help", "migrate"], False),
        (["compilemessages"], False),
        (["receiver", "--port", "8010"], False),
        ([], False),
    ],
)
def test_only_what_opens_the_database_starts_it(arguments: list[str], needed: bool) -> None:
    assert manage.needs_services(arguments) is needed


@pytest.mark.parametrize("command", OURS)
def test_help_teaches(command: str) -> None:
    parser = load_command_class(get_commands()[command], command).create_parser(
        "manage.py", command
    )

    # More than Django's own text: what it is for stands above the options.
    assert len((parser.description or "").split()) >= 5
    assert "usage:" in parser.format_help()


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("run", "exec {python} {root}/manage.py run --port 9"),
        ("demo", "exec {python} {root}/manage.py demo --port 9"),
        ("test", "cd {root} && exec {python} -m pytest --port 9"),
        ("bench", "exec {python} {root}/manage.py bench pipeline --port 9"),
        ("check", "cd {root} && BIN={root}/.venv/bin exec .ci/check"),
    ],
)
def test_make_calls_the_command_from_any_directory(tmp_path: Path, target: str, line: str) -> None:
    root = local.BASE_DIR
    make = ["make", "-n", "-f", f"{root}/Makefile", f"VENV={root}/.venv", target, "ARGS=--port 9"]
    told = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    expected = line.format(root=root, python=f"{root}/.venv/bin/python")
    # What installs the requirements, where they are not there yet, goes before it.
    assert told.splitlines()[-1] == expected


def test_help_starts_nothing(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, str(local.BASE_DIR / "manage.py"), "migrate", "--help"],
        env={
            **os.environ,
            "LOCAL_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "qa_webhook.settings",
        },
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr
    assert list(tmp_path.iterdir()) == []
