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
from playwright.sync_api import (
    Browser,
    BrowserContext,
    FloatRect,
    Locator,
    Page,
    Route,
    ViewportSize,
    expect,
)
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
from tests.webhooks.test_admin_records import make_attempt, make_deliveries, make_plan
from webhooks import granting, grants
from webhooks.choices import ParameterType
from webhooks.granting import Grantees
from webhooks.models import TestSend, Webhook
from workspaces.choices import Preset
from workspaces.models import Workspace

pytestmark = [pytest.mark.django_db(transaction=True)]

CLICKS: Final = 20
PHONE: Final = ViewportSize(width=390, height=844)
COUNT_CLICKS: Final = """
window.addEventListener("click", (event) => {
  if (!event.isTrusted) return;
  const clicks = Number(sessionStorage.getItem("clicks") ?? 0);
  sessionStorage.setItem("clicks", clicks + 1);
}, true);
"""
DRAWN: Final = """(node) => {
  const { borderTopWidth, borderBottomWidth, borderBottomColor, outlineOffset } =
    getComputedStyle(node);
  return [borderTopWidth, borderBottomWidth, borderBottomColor, outlineOffset];
}"""


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


def box_of(place: Locator) -> FloatRect:
    found = place.bounding_box()
    assert found is not None
    return found


def end_of(place: Locator) -> float:
    box = box_of(place)
    return box["y"] + box["height"]


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

    expect(page.locator("#once")).to_contain_text("whsec_")
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


def test_each_part_of_the_page_has_one_rule_and_its_tables_none_at_their_end(
    page: Page, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace, parameters=[{"name": "content"}])
    member = membership_of(make_member(workspace), workspace)
    granting.grant(webhook=webhook, grantees=Grantees(members=[member]), actor=None, now=NOW)
    TestSend.objects.create(
        workspace=workspace,
        webhook=webhook,
        revision=1,
        sent_at=NOW,
        accepted=True,
        outcome="delivered",
        request_text="",
    )
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")

    parts = page.locator(".webhook-section")
    rules = [each.evaluate(DRAWN)[:2] for each in parts.all()]
    assert rules == [["1px", "1px"], *[["0px", "1px"]] * (parts.count() - 2), ["0px", "0px"]]
    last = page.locator(".webhook-section tbody > tr:last-child > :is(th, td)")
    assert last.count() >= 12
    assert {each.evaluate(DRAWN)[1] for each in last.all()} == {"0px"}

    page.locator("#condition").scroll_into_view_if_needed()
    receipts, bar = page.locator(".webhook-group").last, page.locator(".webhook-submit")
    assert box_of(bar)["y"] - end_of(receipts) == 24
    assert box_of(page.locator("#condition"))["y"] - end_of(bar) == 24


def test_the_bar_never_hides_the_field_that_is_typed_into(page: Page, workspace: Workspace) -> None:
    parameters = [{"name": f"p_{number}"} for number in range(6)]
    webhook = make_webhook(workspace, parameters=parameters)
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")
    page.locator("#id_name").focus()
    bar = page.locator(".webhook-submit")

    for _field in range(40):
        page.keyboard.press("Tab")
        focused = page.locator("#webhook_form .webhook-field :focus")
        if focused.count():
            assert end_of(focused) <= box_of(bar)["y"]


def test_a_field_that_is_typed_into_has_one_ring_and_a_wrong_one_is_red(
    page: Page, workspace: Workspace
) -> None:
    page.emulate_media(color_scheme="dark")
    webhook = make_webhook(workspace)
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")

    name = page.locator("#id_name")
    name.focus()
    ring = name.evaluate("(node) => getComputedStyle(node).outlineColor")
    assert name.evaluate(DRAWN)[2:] == [ring, "-1px"]
    page.get_by_role("link", name="Test send").click()
    typed = page.locator("dialog[open]").get_by_label("Test ID")
    typed.focus()
    assert typed.evaluate(DRAWN)[2:] == [ring, "-1px"]
    page.keyboard.press("Escape")

    name.fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    wrong = page.locator("#id_name[aria-invalid=true]")
    assert wrong.evaluate(DRAWN)[2] == "rgb(255, 138, 130)"


def test_help_stands_as_near_to_what_is_ticked_as_to_what_is_typed(
    page: Page, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace, parameters=[{"name": "content"}])
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")
    near = """(help) => {
      const words = document.createRange();
      const labels = help.previousElementSibling.matches("label")
        ? [help.previousElementSibling] : help.previousElementSibling.querySelectorAll("label");
      words.selectNodeContents([...labels].pop());
      return help.getBoundingClientRect().top - words.getBoundingClientRect().bottom;
    }"""

    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        helps = page.locator(":is(.webhook-check, fieldset) + .webhook-help:visible")
        assert helps.count() == 4
        assert all(2 <= each.evaluate(near) <= 8 for each in helps.all())


def test_who_can_use_it_and_who_shall_begin_in_one_line_and_short_words_are_whole(
    page: Page, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace)
    member = membership_of(make_member(workspace), workspace)
    granting.grant(webhook=webhook, grantees=Grantees(members=[member]), actor=None, now=NOW)
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")

    heads = [page.locator("#who-title"), page.get_by_role("heading", name="Give usage permission")]
    assert box_of(heads[0])["y"] == box_of(heads[1])["y"]
    font = "(node) => getComputedStyle(node).font"
    assert heads[0].evaluate(font) == heads[1].evaluate(font)
    told = page.locator(".webhook-standings > .meta")
    assert box_of(page.locator(".webhook-standings table").first)["y"] - end_of(told) == 8
    assert box_of(page.get_by_role("cell", name="Own").first)["width"] >= 80

    labels = page.locator(".webhook-row > form .webhook-label")
    buttons = page.locator(".webhook-row > form .button")
    for places in (labels.all(), buttons.all()):
        assert len({box_of(each)["y"] for each in places}) == 1


def test_on_a_phone_the_page_s_buttons_and_sentences_have_their_places(
    page: Page, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace)
    make_use(webhook)
    page.set_viewport_size(PHONE)
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")

    acts = [box_of(each) for each in page.locator(".webhook-header .button").all()]
    assert len({(act["width"], act["height"]) for act in acts}) == 1
    assert len({act["x"] for act in acts}) == len({act["y"] for act in acts}) == 2
    assert box_of(page.locator(".webhook-submit > p"))["x"] == 16
    summary = page.locator("summary", has=page.get_by_role("heading", name="Delivery", exact=True))
    assert box_of(summary.locator(".meta"))["y"] >= end_of(summary.locator("h2"))
    assert box_of(summary.locator(".meta"))["width"] == 358


def test_a_list_of_members_ends_below_a_name(page: Page, workspace: Workspace) -> None:
    for number in range(12):
        make_member(workspace, [Preset.MARKETER, Preset.ANALYST][number % 2], name=f"Li {number}")
    webhook = make_webhook(workspace)
    page.set_viewport_size(PHONE)
    page.goto(f"/admin/webhooks/webhook/{webhook.pk}/change/")

    for place in page.locator(".webhook-choices").all():
        end = end_of(place)
        rows = [box_of(each) for each in place.locator("label").all()]
        assert not [row for row in rows if row["y"] < end - 1 < row["y"] + row["height"]]


def test_in_a_list_journeys_times_and_ids_have_their_room(page: Page, workspace: Workspace) -> None:
    webhook = make_webhook(workspace, name="CRM coupons")
    for name in ("Call about open baskets", "Coupon for the holidays"):
        make_use(webhook, journey_name=name)
    make_attempt(webhook, f"dlv_{'W' * 24}", NOW)
    page.set_viewport_size({"width": 1280, "height": 800})

    page.goto("/admin/webhooks/webhook/")
    assert box_of(page.locator("tbody .field-used_in"))["width"] >= 144
    link = page.get_by_role("link", name="Test send")
    colour = "(node) => getComputedStyle(node).color"
    assert link.evaluate(colour) == page.locator(".filter [aria-current]").first.evaluate(colour)
    page.set_viewport_size(PHONE)
    expect(link).to_be_hidden()

    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto("/admin/webhooks/attempt/")
    delivery = page.locator("tbody .field-delivery > span")
    for one in (page.locator("tbody .field-tried > a"), delivery):
        assert box_of(one)["height"] == 20  # One line.
    expect(delivery).to_have_attribute("title", f"dlv_{'W' * 24}")


def test_on_a_phone_what_came_later_to_a_delivery_stands_in_rows(
    page: Page, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace)
    (delivery,) = make_deliveries(make_plan(webhook), 1)
    make_attempt(webhook, delivery.pk, NOW)
    page.set_viewport_size(PHONE)
    page.goto(f"/admin/webhooks/delivery/{delivery.pk.replace('_', '_5F')}/change/")

    row = page.locator(".field-tries tbody tr")
    expect(row.locator("thead")).to_be_hidden()
    assert box_of(row.locator("th"))["width"] >= 300
    assert box_of(row.locator("td").first)["width"] <= 72  # As long as its words.
    assert row.evaluate(DRAWN)[1] == "0px"

    page.set_viewport_size({"width": 1280, "height": 800})
    request = box_of(page.locator(".field-part .code"))
    assert request["width"] == box_of(page.locator(".field-part .readonly"))["width"]


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
