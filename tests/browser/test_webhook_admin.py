"""Webhook management in a real browser: register, test and grant on one page, in few clicks.

GALLERY=<folder> keeps the screenshots there.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from pytest_django.live_server_helper import LiveServer
from pytest_httpserver import HTTPServer

from tests.webhooks.factories import (
    NOW,
    make_administrator,
    make_member,
    make_use,
    make_webhook,
    make_workspace,
    membership_of,
)
from webhooks import granting, grants
from webhooks.choices import ParameterType
from webhooks.granting import Grantees
from webhooks.models import Webhook
from workspaces.choices import Preset
from workspaces.models import Workspace

pytestmark = [pytest.mark.django_db(transaction=True)]

CLICKS: Final = 20
COUNT_CLICKS: Final = """
window.addEventListener("click", (event) => {
  if (!event.isTrusted) return;
  const clicks = Number(sessionStorage.getItem("clicks") ?? 0);
  sessionStorage.setItem("clicks", clicks + 1);
}, true);
"""


@pytest.fixture
def workspace() -> Workspace:
    cache.clear()
    return make_workspace(name="Member marketing")


@pytest.fixture
def context(
    browser: Browser,
    client: Client,
    live_server: LiveServer,
    workspace: Workspace,
) -> Iterator[BrowserContext]:
    client.force_login(make_administrator(workspace, name="Wang Lei"))
    opened = browser.new_context(
        base_url=live_server.url,
        viewport={"width": 1440, "height": 900},
        reduced_motion="reduce",
    )
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    opened.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    opened.add_init_script(COUNT_CLICKS)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose script errors and refusals by the security policy fail the test."""
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console",
        lambda message: (
            problems.append(f"{message.text} {message.location}")
            if message.type == "error"
            else None
        ),
    )
    yield opened
    assert problems == []


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("GALLERY"):
        page.screenshot(path=str(Path(folder) / f"webhook_admin_{name}.png"), full_page=True)


def test_register_test_and_grant_on_one_page(
    page: Page, workspace: Workspace, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/marketing").respond_with_json({"ok": True})
    make_member(workspace, Preset.MARKETER, name="Li Mei")

    page.goto("/admin/webhooks/webhook/add/")
    page.get_by_label("Name", exact=True).fill("CRM coupons")
    page.get_by_label("Request URL").fill(httpserver.url_for("/marketing"))
    page.get_by_label("MOBILE").click()
    page.get_by_role("button", name="Add a parameter").click()
    page.get_by_label("Parameter name").fill("content")
    page.get_by_text("Help, example and limits").click()
    page.get_by_label("Example").fill("Dear Zhang San Hello")
    preview = page.locator("#webhook-preview")
    expect(preview).to_contain_text('"content": "Dear Zhang San Hello"')
    keep(page, "add")
    page.get_by_role("button", name="Save and test").click()

    expect(page.locator("#new-key")).to_contain_text("whsec_")
    keep(page, "key")
    page.get_by_role("button", name="I have stored it").click()

    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Test ID").fill("13800000000")
    keep(page, "test")
    dialog.get_by_role("button", name="Send test").click()
    expect(dialog).to_contain_text("CRM coupons accepted the test (200,")
    expect(dialog).to_contain_text("138****0000 got the message.")
    keep(page, "verdict")
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator("#tests")).to_contain_text("138****0000")

    page.locator(".webhook-grant").get_by_label("Marketer", exact=True).click()
    page.get_by_role("button", name="Give usage permission").click()
    expect(page.locator("#who")).to_contain_text("Role Marketer")
    keep(page, "granted")

    webhook = Webhook.objects.get()
    li_mei = workspace.memberships.get(user__name="Li Mei").user
    assert grants.gate(li_mei, webhook).open
    assert int(page.evaluate("sessionStorage.getItem('clicks')")) <= CLICKS


def test_parameters_are_added_moved_and_removed_by_keyboard(
    page: Page, workspace: Workspace
) -> None:
    webhook = make_webhook(
        workspace,
        parameters=[
            {"name": "content", "type": ParameterType.TEXT},
            {"name": "amount", "type": ParameterType.NUMERIC},
        ],
    )
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")
    cards = page.locator("[data-card]:visible")

    expect(cards.nth(0).get_by_label("Maximum length")).to_be_hidden()
    cards.nth(1).get_by_role("button", name="Move up").press("Enter")
    cards.nth(1).get_by_role("button", name="Remove").press("Enter")
    page.get_by_role("button", name="Add a parameter").press("Enter")
    page.keyboard.type("until")
    cards.nth(1).get_by_label("Type").select_option("date")
    expect(page.locator("#webhook-preview")).to_contain_text('"until": "2026-12-31"')
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    expect(page.locator("#toasts")).to_contain_text("successfully")

    assert list(webhook.parameters.values_list("name", "type")) == [
        ("amount", "numeric"),
        ("until", "date"),
    ]


def test_an_edit_that_affects_journeys_asks_first(page: Page, workspace: Workspace) -> None:
    webhook = make_webhook(workspace, name="CRM coupons", parameters=[{"name": "content"}])
    make_use(webhook, live=1, journey_name="Welcome")
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")

    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Save", exact=True).click()
    effect = page.locator(".webhook-effect")
    expect(effect).to_contain_text("Affects 1 journey, 0 people waiting")
    expect(effect).to_contain_text("Update available")
    keep(page, "effect")
    page.get_by_role("button", name="Save anyway").click()

    expect(page.locator("#toasts")).to_contain_text("successfully")
    webhook.refresh_from_db()
    assert webhook.revision == 2


def test_whoever_leaves_the_dialog_calls_the_test_off(page: Page, workspace: Workspace) -> None:
    webhook = make_webhook(workspace, parameters=[{"name": "content"}])
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")
    page.get_by_role("link", name="Test send").click()
    dialog = page.locator("dialog[open]")
    expect(dialog.get_by_role("button", name="Back")).to_be_hidden()  # It is a phone's.
    dialog.get_by_label("Test ID").fill("13800000000")
    held: list[Route] = []
    page.route(
        "**/test/",
        lambda route: held.append(route) if route.request.method == "POST" else route.fallback(),
    )
    dialog.get_by_role("button", name="Send test").click()
    expect(dialog.get_by_role("button", name="Sending…")).to_be_visible()

    with page.expect_request("**/test/cancel/"):
        page.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    assert len(held) == 1


def test_on_a_phone_the_button_of_a_grant_keeps_eight_pixels_from_its_words(
    page: Page, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace)
    member = membership_of(make_member(workspace), workspace)
    granting.grant(webhook=webhook, grantees=Grantees(members=[member]), actor=None, now=NOW)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")
    given = page.locator(".webhook-standings tr", has=page.get_by_role("button", name="End now"))

    words = given.locator("td[data-label]").last.bounding_box()
    button = given.get_by_role("button").bounding_box()

    assert words is not None
    assert button is not None
    assert button["y"] - (words["y"] + words["height"]) == 8
