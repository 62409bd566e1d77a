"""Logs tell what happened, and never to whom or with which secret."""

import json
import os
import subprocess
import sys

from qa_webhook import local
from qa_webhook.logs import strike_personal_data

FAILING = """
import logging
import os
import structlog
from qa_webhook import logs
logs.configure(level="INFO", form={form!r})
def fail(secret):
    raise ValueError("Key (value)=(13800000000) of li.lei@example.com exists in line 12")
try:
    fail(os.environ["SECRET"])
except ValueError:
    structlog.get_logger("ours").exception("refused", webhook=7)
    logging.getLogger("theirs").exception("refused too")
"""


def _logged(form: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", FAILING.format(form=form)],
        cwd=local.BASE_DIR,
        env={**os.environ, "NO_COLOR": "1", "SECRET": "whsec_canary"},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stderr


def test_an_error_is_logged_without_variables_and_people() -> None:
    lines = [json.loads(line) for line in _logged("json").splitlines()]

    assert [(line["event"], line["level"]) for line in lines] == [
        ("refused", "error"),
        ("refused too", "error"),
    ]
    for line in lines:
        (link,) = line["exception"]
        assert link["exc_type"] == "ValueError"
        assert link["exc_value"] == "Key (value)=([struck out]) of [struck out] exists in line 12"
        assert [frame["name"] for frame in link["frames"]] == ["<module>", "fail"]
        assert "canary" not in json.dumps(line)


def test_the_console_shows_no_variables_either() -> None:
    logged = _logged("console")

    assert "ValueError" in logged
    assert "canary" not in logged


def test_a_key_that_carries_a_person_is_struck_out() -> None:
    event = {"event": "sent", "email": "li.lei@example.com", "value": "13800000000", "count": 3}

    struck = strike_personal_data(None, "info", event)

    assert struck == {
        "event": "sent",
        "email": "[struck out]",
        "value": "[struck out]",
        "count": 3,
    }
