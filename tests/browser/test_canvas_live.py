"""What renews itself while one works on the canvas: counts, the header; it disturbs nothing."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from journeys import publishing, runner
from journeys.models import Journey, Run
from tests.browser.shop import send_everything
from tests.identity.factories import make_audience
from tests.journeys.factories import Scene, make_scene
from webhooks import keys
from webhooks.receiver import Receiver
from webhooks.receiver.server import Options

pytestmark = [pytest.mark.django_db(transaction=True)]

COUNTS = ".canvas-graph .node-numbers a"
RENEWAL = 5_000


@pytest.fixture
def scene(settings: Any) -> Iterator[Scene]:
    """Three people, one of them without a mobile number, and a receiver that answers at once."""
    cache.clear()
    with Receiver() as receiver:
        settings.EGRESS_ALLOW = [f"127.0.0.1/32:{receiver.port}"]
        made = make_scene(url=receiver.url("/coupons"))
        secrets = keys.signing_secrets(made.webhook, now=timezone.now())
        receiver.configure({"/coupons": Options(secrets=secrets)})
        yield made


@pytest.fixture
def run(scene: Scene) -> Run:
    journey = scene.journey()
    published = publishing.publish(
        journey=journey, revision=journey.draft_revision, user=scene.member, now=timezone.now()
    )
    return published.run


@pytest.fixture
def page(browser: Browser, client: Client, live_server: LiveServer, scene: Scene) -> Iterator[Page]:
    client.force_login(scene.member)
    name = django_settings.SESSION_COOKIE_NAME
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )
    session = client.cookies[name].value
    context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    opened.clock.install()
    yield opened
    context.close()
    assert problems == []


def open_editor(page: Page, run: Run) -> None:
    page.goto(reverse("journeys:editor", args=[run.journey.workspace.slug, run.journey_id]))


def renew(page: Page) -> None:
    with page.expect_response("**/numbers/*"):
        page.clock.run_for(RENEWAL)


def test_the_counts_are_renewed_and_disturb_neither_panel_nor_focus(page: Page, run: Run) -> None:
    runner.sweep(now=timezone.now())
    open_editor(page, run)
    expect(page.locator(COUNTS)).to_have_text(["3", "0", "0", "0"])
    # Each has a dot of one size; a dash before a number reads as its sign.
    dots = page.locator(f"{COUNTS} .dot").evaluate_all(
        "dots => dots.map((dot) => [dot.offsetWidth, dot.offsetHeight])"
    )
    assert dots == [[6, 6]] * 4
    page.locator(".canvas-graph .node-main").filter(has_text="Step 1").click()
    content = page.locator("aside.panel textarea").first
    content.fill("Half a sentence")
    page.evaluate("document.querySelector('.canvas-graph .node').dataset.same = 'yes'")
    send_everything()

    renew(page)

    expect(page.locator(COUNTS)).to_have_text(["0", "2", "0", "1"])
    expect(page.locator("#journey-state")).to_have_text("Finished")
    expect(page.locator(".canvas-graph .node[data-same]")).to_have_count(1)
    expect(page.locator(".canvas-graph .node.is-selected")).to_contain_text("Step 1")
    expect(content).to_have_value("Half a sentence")
    expect(content).to_be_focused()
    expect(page.locator("#live[hx-get]")).to_have_count(0)


def test_arrows_walk_into_the_counts_and_a_renewal_keeps_the_focus(page: Page, run: Run) -> None:
    runner.sweep(now=timezone.now())
    open_editor(page, run)
    accepted = page.locator(f"{COUNTS}.is-accepted")
    node = page.locator(".canvas-graph .node-main").filter(has_text="Step 1")
    node.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{COUNTS}.is-waiting")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(accepted).to_be_focused()
    send_everything()

    renew(page)

    expect(accepted).to_have_text("2")
    expect(accepted).to_be_focused()
    page.keyboard.press("Delete")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(node).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".canvas-graph .node-main").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries/?*")


def test_the_counts_appear_when_the_run_begins(page: Page, run: Run) -> None:
    open_editor(page, run)
    expect(page.locator(COUNTS)).to_have_count(0)
    page.locator(".canvas-graph .node-main").filter(has_text="Step 1").click()
    page.locator("aside.panel textarea").first.fill("Half a sentence")
    runner.sweep(now=timezone.now())

    with page.expect_response("**/numbers/"):
        page.clock.run_for(RENEWAL)

    expect(page.locator(COUNTS)).to_have_text(["3", "0", "0", "0"])
    counted = page.locator(".canvas-graph .node:has(.node-numbers)")
    assert {box["height"] for each in counted.all() if (box := each.bounding_box())} == {88}
    expect(page.locator(".canvas-graph .node.is-selected")).to_contain_text("Step 1")
    expect(page.locator("aside.panel textarea").first).to_have_value("Half a sentence")
    expect(page.locator("#live[hx-get$='drawn']")).to_have_count(1)


def test_the_counts_are_read_out_at_most_every_half_minute(page: Page, run: Run) -> None:
    runner.sweep(now=timezone.now())
    open_editor(page, run)
    send_everything()

    renew(page)
    expect(page.locator(f"{COUNTS}.is-accepted")).to_have_text("2")
    expect(page.locator("#announcer")).to_have_text("")
    expect(page.locator("#live[hx-get]")).to_have_count(0)
    # Nothing is renewed any more, and the end is read out all the same.
    page.clock.run_for(31_000)
    expect(page.locator("#announcer")).to_contain_text("Finished. ")
    expect(page.locator("#announcer")).to_contain_text("2 Accepted")


def test_without_a_connection_the_numbers_say_how_old_they_are(page: Page, run: Run) -> None:
    runner.sweep(now=timezone.now())
    open_editor(page, run)
    told = page.locator("#offline")
    expect(told).to_be_hidden()
    hour = timezone.localtime(timezone=run.workspace.zone).strftime("%H")

    page.context.set_offline(True)
    expect(told).to_contain_text(f"Numbers from {hour}:")
    # Nothing is asked for meanwhile, so nothing fails either.
    page.clock.run_for(2 * RENEWAL)
    expect(told).to_be_visible()
    page.context.set_offline(False)

    expect(told).to_be_hidden()
    renew(page)
    expect(page.locator(COUNTS)).to_have_text(["3", "0", "0", "0"])


@pytest.mark.parametrize("way", ["panel", "key"])
def test_the_header_says_when_it_was_saved_last(page: Page, run: Run, way: str) -> None:
    before = timezone.now().replace(hour=3, minute=7) - timedelta(days=1)
    Journey.objects.update(changed_at=before)
    open_editor(page, run)
    saved = page.locator("#saved")
    expect(saved).to_contain_text(":07")
    began = timezone.now()
    node = page.locator(".canvas-graph .node-main").filter(has_text="Step 1")

    if way == "panel":
        node.click()
        page.locator("aside.panel textarea").first.fill("Hello")
        page.get_by_role("button", name="OK", exact=True).click()
        expect(page.locator("aside.panel")).to_have_count(0)
    else:
        node.focus()
        page.keyboard.press("Control+d")
        expect(page.locator(".canvas-graph .node")).to_have_count(4)

    shown = {f"{began:%M}", f"{timezone.now():%M}"}
    expect(saved).to_contain_text(re.compile("|".join(f":{each}" for each in shown)))
    expect(saved).to_have_count(1)


def test_the_chosen_audiences_are_counted_and_leave_the_panel_unchanged(
    page: Page, run: Run, scene: Scene
) -> None:
    make_audience(scene.workspace, name="More", people=[scene.people[0], scene.person()])
    open_editor(page, run)
    page.locator(".canvas-graph .node-main").first.click()
    panel = page.locator("aside.panel")
    counted = panel.locator(".recount > .is-counted")

    expect(counted).to_have_text("3 people now")
    page.get_by_role("button", name="Cancel").click()
    expect(panel).to_have_count(0)

    page.locator(".canvas-graph .node-main").first.click()
    expect(counted).to_have_text("3 people now")
    more = panel.get_by_role("checkbox", name="More")
    more.check()
    expect(counted).to_have_text("4 people now")
    expect(more).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#confirm")).to_be_visible()
