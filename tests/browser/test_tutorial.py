"""The stations of docs/tutorial that no other browser test passes: the form, publishing, the run.

SCREENSHOTS=<folder> keeps their pictures for the documentation.
"""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from journeys.models import Run
from tests.browser.test_step_editor import assert_accessible, picture
from tests.journeys.factories import Scene, make_scene
from tests.journeys.test_whole_way import work
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
    return make_scene(url=receiver.url("/first"))


@pytest.fixture
def page(
    request: pytest.FixtureRequest,
    browser: Browser,
    client: Client,
    live_server: LiveServer,
    scene: Scene,
) -> Iterator[Page]:
    """A page of the marketer, or of an administrator; script errors fail the test."""
    is_administrator = getattr(request, "param", "") == "administrator"
    client.force_login(make_administrator(scene.workspace) if is_administrator else scene.member)
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


@pytest.mark.parametrize("page", ["administrator"], indirect=True)
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


def test_publish_and_watch(page: Page, scene: Scene, receiver: Receiver) -> None:
    journey = scene.journey()
    page.goto(f"/w/{scene.workspace.slug}/journeys/{journey.pk}/")

    page.get_by_role("button", name="Publish").click()
    send = page.get_by_role("button", name="Send to 2 people")
    expect(send).to_be_visible()
    picture(page, "publish")
    assert_accessible(page)
    send.click()
    page.wait_for_url("**/runs/*/")
    work(Run.objects.get())
    page.reload()

    expect(page.get_by_text("Finished").first).to_be_visible()
    page.get_by_label("Mobile number, e-mail or another ID").fill("13800000001")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#person-answer .verdict")).to_be_visible()
    page.evaluate("window.scrollTo(0, 0)")
    picture(page, "run")
    assert_accessible(page)
    assert sorted(
        person["params"]["content"]
        for entry in receiver.entries("/first")
        for person in entry.recipients
    ) == ["Dear Member Hello", "Dear Zhang San Hello"]
