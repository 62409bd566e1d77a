"""The tests themselves, on a machine without chromium."""

import os
import re
import subprocess
import sys
from pathlib import Path

from qa_webhook import local


def test_one_line_says_how_to_get_the_browser_tests_to_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "tests/browser", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        command,
        env={**os.environ, "PATH": str(tmp_path)},
        cwd=local.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout
    skipped = [line for line in ended.stdout.splitlines() if line.startswith("SKIPPED")]
    assert len(skipped) == 1, ended.stdout
    number = re.search(r"(\d+) browser tests need chromium", skipped[0])
    assert number
    assert skipped[0].endswith("Install it with: apt-get install chromium")
    assert f"1 skipped, {int(number[1]) - 1} deselected" in ended.stdout
