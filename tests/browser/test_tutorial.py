"""The webhook that docs/tutorial registers, as its form draws it.

SCREENSHOTS=<folder> keeps the picture for the documentation.
"""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.test_step_editor import picture
from tests.journeys.factories import Scene, make_scene
from tests.webhooks.factories import make_administrator
from webhooks.choices import ParameterType
from webhooks.receiver import Receiver

pytestmark = [pytest.mark.django_db(transaction=True)]

TEMPLATE = "Discount activity at {parameter 1 character}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        started.ledger("/first")
        yield started


@pytest.fixture
def scene(receiver: Receiver) -> Scene:
    cache.clear()
    made = make_scene(url=receiver.url("/first"))
    made.workspace.name = "Member marketing"
    made.workspace.save()
    made.workspace.organization.name = "Lakeside Retail"
    made.workspace.organization.save()
    return made


@pytest.fixture
def page(
    browser: Browser,
    client: Client,
    live_server: LiveServer,
    scene: Scene,
) -> Iterator[Page]:
    """A page of an administrator; script errors fail the test."""
    client.force_login(make_administrator(scene.workspace, name="Wang Lei"))
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert problems == []


def test_the_form_draws_the_request_while_it_is_filled(page: Page, receiver: Receiver) -> None:
    page.goto("/admin/webhooks/webhook/add/")
    page.get_by_label("Name", exact=True).fill("My coupons")
    page.get_by_label("Request URL").fill(receiver.url("/first"))
    page.get_by_label("MOBILE").click()
    page.get_by_label("Content template").fill(TEMPLATE)
    page.get_by_role("button", name="Add a parameter").click()
    page.get_by_label("Parameter name").fill("parameter 1 character")
    page.get_by_label("Display name").fill("Content")
    page.get_by_label("Type").select_option(ParameterType.TEXT)

    expect(page.locator("#webhook-preview")).to_contain_text('"parameter 1 character"')
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    picture(page, "webhook-form")
