"""No installation can be told to fail on purpose."""

import os
import subprocess
import sys

import pytest

from tests.webhooks.processes import ROOT


@pytest.mark.parametrize(
    ("settings", "told", "complaint"),
    [
        ("qa_webhook.settings", "after_claim=kill", "is for the fault rig"),
        ("faults.settings", "somewhere=kill", "knows no “somewhere”"),
        ("faults.settings", "after_claim=explode", "knows no “explode”"),
    ],
)
def test_a_fault_is_refused_where_none_is_allowed_or_none_is_meant(
    settings: str, told: str, complaint: str
) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import django; django.setup(); import webhooks.engine"],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": settings, "FAULT_POINTS": told},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    assert complaint in answer.stderr
