"""What all machines of one installation must have in common, and two installations must not."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

_PRINTS = """
from django.conf import settings
print(settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
"""


def test_web_machines_of_one_installation_know_each_others_sessions(tmp_path: Path) -> None:
    """Over plain http too, whatever user they run as and wherever they keep their files."""
    ours = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
    assert _cookie_names(tmp_path, secret=settings.SECRET_KEY) == ours
    assert not set(_cookie_names(tmp_path, secret="another" * 8)) & set(ours)


def _cookie_names(directory: Path, *, secret: str) -> tuple[str, ...]:
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            _PRINTS,
        ],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "qa_webhook.settings",
            "LOCAL_DIR": str(directory),
            "SECRET_KEY": secret,
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(answer.stdout.split())
