"""Every page in a real browser, in both languages, themes and sizes: axe, width, console, words.

**A new address needs a row** in ``pages.py``.
"""

from typing import Final

import pytest
from allauth.core.internal.ratelimit import handler429
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import get_resolver
from django.utils import translation
from django.views.csrf import csrf_failure
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from qa_webhook.errors import server_error
from tests.browser.pages import CONSOLE, NO_PAGE, SET_UP, Row, of_models
from tests.browser.shop import Shop
from tests.browser.states import SET_UP_STATES, STATES
from tests.browser.walk import Walk
from tests.test_permissions import _names, _pages_of_models
from workspaces.choices import Language

PARTS: Final[dict[str, tuple[Row, ...]]] = {
    "console": CONSOLE,
    "states": STATES,
    "records": (),
    "set_up": (*SET_UP, *SET_UP_STATES),
}
pytestmark = pytest.mark.django_db(transaction=True)


def _errors(language: str) -> dict[str, HttpResponse]:
    """Return the pages of errors that no address leads to, as Django and allauth ask for them."""
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    with translation.override(language):
        return {
            "error_403_csrf": csrf_failure(request),
            "error_429": handler429(request),
            "error_500": server_error(request),
        }


@pytest.mark.slow
@pytest.mark.parametrize("shop", [Language.ENGLISH, Language.CHINESE], indirect=True)
@pytest.mark.parametrize("part", list(PARTS))
def test_every_page_in_every_look(
    browser: Browser, live_server: LiveServer, shop: Shop, part: str
) -> None:
    walk = Walk(browser, live_server.url, shop)
    if part == "records":
        for row, address in of_models(shop):
            walk.look_at(row, address)
    else:
        for row in PARTS[part]:
            walk.look_at(row)
    if part == "console":
        for title, answer in _errors(shop.language).items():
            walk.look_at_answer(title, answer)
    walk.close()

    assert walk.wrong == [], "\n" + "\n".join(walk.wrong)
    # What nobody may add or delete; everything can be looked at.
    assert {name.rsplit("_", 1)[-1] for name in walk.refused} <= {"add", "delete"}


def test_every_address_is_walked_to_or_says_why_not() -> None:
    known = {row.name for row in (*CONSOLE, *SET_UP)} | set(NO_PAGE) | set(_pages_of_models())

    missing = sorted(set(_names(get_resolver())) - known)

    assert not missing, "No row and no reason in pages.py for:\n" + "\n".join(missing)
