"""``bench pages`` asks for every page and part that the walk over all of them opens."""

import re
from pathlib import Path
from typing import Final

from django.conf import settings

from tests.browser.pages import CONSOLE, NO_PAGE, SET_UP, is_drawn_with

_NAME: Final = re.compile(r'"((?:admin|journeys|workspaces):\w+)"')
# Of accounts, where allauth and Django ask for one row; and what needs more than an address.
_ELSEWHERE: Final = re.compile(
    r"account_.*|mfa_.*|api_docs|admin:(auth_user_)?password_change.*|workspaces:(start|home)"
)
_NOT_ASKED: Final = {
    "admin:app_list": "The first page, cut short.",
    "admin:webhooks_webhook_key": "One key, shown once.",
    "journeys:audience_look": "A file that is read.",
    "journeys:test_send": "It waits for the other system.",
}


def test_every_page_and_part_is_measured_or_says_why_not() -> None:
    source = (Path(settings.BASE_DIR) / "benchmarks/addresses.py").read_text(encoding="utf-8")
    asked = set(_NAME.findall(source))
    shown = {row.name for row in (*CONSOLE, *SET_UP)} | set(filter(is_drawn_with, NO_PAGE))

    left = {name for name in shown - asked if not _ELSEWHERE.fullmatch(name)}

    # The lists of the set-up are asked for by their models.
    assert {name for name in left if not name.endswith("_changelist")} == set(_NOT_ASKED)
    assert "_lists_of_the_set_up()" in source
