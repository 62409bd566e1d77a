"""The tests themselves, on a machine that lacks what some of them drive."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qa_webhook import local
from tests.browser.test_chinese import lacks_fonts

SHELL = "tests/webhooks/test_guides.py::test_the_shell_line_sends_what_our_own_check_accepts"


def test_what_is_skipped_says_how_to_get_it_to_run_and_the_build_installs_it(
    tmp_path: Path,
) -> None:
    asked = ["tests/browser", SHELL]
    command = [sys.executable, "-m", "pytest", *asked, "-q", "-p", "no:cacheprovider"]
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
    assert len(skipped) == 2, ended.stdout
    number = re.search(r"(\d+) browser tests need chromium", ended.stdout)
    assert number
    assert f"2 skipped, {int(number[1]) - 1} deselected" in ended.stdout
    installed = [line.partition("Install it with: apt-get install ")[2] for line in skipped]
    assert sorted(installed) == ["chromium", "curl openssl"]
    build = (local.BASE_DIR / ".ci" / "run").read_text()
    for package in " ".join(installed).split():
        assert f"missing+=({package})" in build


def test_without_a_chinese_font_the_characters_are_skipped_but_in_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fc_list = tmp_path / "fc-list"
    fc_list.write_text("#!/bin/sh\n")
    fc_list.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REQUIRE_FONTS", raising=False)

    assert lacks_fonts()

    monkeypatch.setenv("REQUIRE_FONTS", "1")
    assert not lacks_fonts()
    assert "export REQUIRE_FONTS=1\n" in (local.BASE_DIR / ".ci" / "run").read_text()
