"""The seven steps, done by the marketer in a real browser, down to the request at a receiver.

SCREENSHOTS=<folder> keeps pictures of the stations for the documentation.
"""

import json
import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, Route, expect
from pytest_django.live_server_helper import LiveServer

from identity.models import Profile
from journeys.components.webhook import WebhookConfig
from journeys.models import Journey, Run
from tests.browser.shop import CROWD, half_way, make_crowd
from tests.journeys.factories import NICKNAME, Scene, grant, make_scene
from tests.webhooks.factories import make_webhook
from webhooks import keys
from webhooks.choices import ParameterType
from webhooks.models import Webhook
from webhooks.receiver import Receiver
from webhooks.receiver.ledger import VERIFIED
from webhooks.receiver.server import Options

pytestmark = [pytest.mark.django_db(transaction=True)]

CLICKS: Final = 17
COUNT_CLICKS: Final = """
window.addEventListener("click", (event) => {
  if (!event.isTrusted || event.detail === 0) return;  // A key that presses a button is no click.
  sessionStorage.setItem("clicks", Number(sessionStorage.getItem("clicks") ?? 0) + 1);
}, true);
"""
# Refused forms, and what a dialog that was closed still asked for: normal answers.
NO_PROBLEM: Final = ("409", "422", "htmx:afterRequest", "htmx:sendAbort")
FIRST: Final = "parameter 1 character"


@pytest.fixture
def scene() -> Scene:
    cache.clear()
    return make_scene()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def webhook(scene: Scene, receiver: Receiver, settings: Any) -> Webhook:
    """A webhook like the seed's, at a real receiver that knows its key."""
    settings.EGRESS_ALLOW = [f"127.0.0.1/32:{receiver.port}"]
    made = make_webhook(
        scene.workspace,
        name="Coupon engine",
        url=receiver.url("/coupons"),
        content_template="Discount activity at {parameter 1 character}",
        id_types=[scene.mobile, scene.email],
        parameters=[
            {"name": FIRST, "display_name": "Content", "type": ParameterType.TEXT, "order": 0},
            {
                "name": "amount",
                "display_name": "Coupon worth",
                "type": ParameterType.NUMERIC,
                "required": False,
                "order": 1,
            },
        ],
    )
    grant(scene.member, made)
    receiver.configure(
        {
            "/coupons": Options(
                secrets=keys.signing_secrets(made, now=timezone.now()),
                template=made.content_template,
            )
        }
    )
    return made


@pytest.fixture
def context(
    browser: Browser, client: Client, live_server: LiveServer, scene: Scene
) -> Iterator[BrowserContext]:
    client.force_login(scene.member)
    opened = browser.new_context(
        base_url=live_server.url, viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
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
            problems.append(message.text)
            if message.type == "error" and not any(each in message.text for each in NO_PROBLEM)
            else None
        ),
    )
    yield opened
    assert problems == []


def clicks(page: Page) -> int:
    return int(page.evaluate("Number(sessionStorage.getItem('clicks') ?? 0)"))


def editor_url(scene: Scene, journey: Journey) -> str:
    return f"/w/{scene.workspace.slug}/journeys/{journey.pk}/"


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.evaluate("document.getElementById('toasts').replaceChildren()")
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


def draft(scene: Scene) -> Journey:
    """A journey whose start is set and which has no step yet."""
    return scene.journey(steps=[])


def open_step(page: Page, scene: Scene, journey: Journey) -> None:
    page.goto(editor_url(scene, journey))
    page.get_by_role("button", name="Add a step after").first.click()
    page.get_by_role("button", name="Webhook", exact=True).click()
    expect(page.get_by_role("heading", name="Webhook")).to_be_visible()


def test_the_seven_steps_end_at_the_receiver(
    page: Page, scene: Scene, webhook: Webhook, receiver: Receiver
) -> None:
    journey = draft(scene)

    # 1 to 3: the component, its name, the webhook.
    open_step(page, scene, journey)
    page.get_by_label("Step name").fill("Coupon for members")
    page.get_by_role("combobox", name="Webhook").select_option(label="Coupon engine")
    # 4: a value with a variable at the cursor.
    content = page.get_by_label("Content", exact=True)
    content.fill("Dear  Hello")
    content.evaluate("box => box.setSelectionRange(5, 5)")
    page.get_by_role("button", name="Insert variable into Content").click()
    dialog = page.get_by_role("dialog", name="Insert variable")
    expect(dialog.get_by_text("66% filled")).to_be_visible()
    dialog.get_by_role("radio", name="Nickname").click()
    dialog.get_by_label("Variable name").fill("name")
    dialog.get_by_text("Send a default value").click()
    dialog.get_by_role("textbox", name="Default value").fill("Member")
    expect(dialog.locator(".defaulted")).to_have_text("Member")
    dialog.get_by_role("button", name="Insert", exact=True).click()
    expect(content).to_have_value("Dear ${name} Hello")
    expect(content).to_be_focused()
    expect(page.get_by_text("Discount activity at Dear ${name} Hello")).to_be_visible()
    # 6, before the test as the panel has it: the ID type.
    page.get_by_role("radio", name="Mobile").click()
    page.get_by_text("Reached by the same ID, not encrypted").click()
    page.get_by_label("ID type to reach the user").select_option(label="Email")
    page.get_by_label("Encryption").select_option(label="SHA-256")
    # 5: the test send, with the person's own nickname.
    page.get_by_role("button", name="Test send").click()
    test = page.get_by_role("dialog", name="Test send")
    test.get_by_label("Test ID").fill("13800000001")
    test.get_by_label("Email to reach the user").fill("san@example.com")
    test.get_by_label("${name}").click()
    expect(test.get_by_label("${name}")).to_have_value("Zhang San")
    test.get_by_role("button", name="Send test", exact=True).click()
    expect(test.get_by_text("accepted the test")).to_be_visible()
    test.get_by_role("button", name="Close").last.click()
    expect(page.locator("#last-test")).to_contain_text("Last test: accepted, ")
    # 7: OK.
    page.get_by_role("button", name="OK", exact=True).click()
    expect(page.get_by_text("Coupon engine · Mobile").first).to_be_visible()

    (entry,) = receiver.entries("/coupons")
    sent = json.loads(entry.body)
    assert entry.signature == VERIFIED
    assert sent["test"] is True
    hashed = [sha256(each).hexdigest() for each in (b"13800000001", b"san@example.com")]
    assert [sent["recipients"][0][name] for name in ("id", "reach_id")] == hashed
    assert (sent["id_type"], sent["reach_id_type"]) == ("MOBILE", "EMAIL")
    assert sent["recipients"][0]["params"][FIRST] == "Dear Zhang San Hello"
    assert clicks(page) <= CLICKS
    journey.refresh_from_db()
    config = journey.draft["steps"][0]["config"]
    assert config["values"][FIRST] == "Dear ${name} Hello"
    assert (config["reach_id_type"], config["encryption"]) == (scene.email.pk, "sha256")


def test_the_first_example_reads_as_in_the_original(
    page: Page, scene: Scene, webhook: Webhook, receiver: Receiver
) -> None:
    open_step(page, scene, draft(scene))
    page.get_by_label("Step name").fill("Discount")
    page.get_by_role("combobox", name="Webhook").select_option(label="Coupon engine")
    page.get_by_label("Content", exact=True).fill("ab")
    page.get_by_role("radio", name="Mobile").click()
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "/preview/" in each.url else None)
    summary = page.get_by_text("The request for a real person")
    summary.click()
    preview = page.locator("#live-preview")
    expect(preview.locator("pre")).to_contain_text("POST /coupons HTTP/1.1\nhost: ")
    preview.get_by_role("button", name="Another person").click()
    expect(preview).to_contain_text("For 138****0002")
    # The same person's request, while one types.
    page.get_by_label("Content", exact=True).fill("abc")
    expect(page.locator("#content-preview")).to_have_text("ContentDiscount activity at abc")
    expect(preview.locator("pre")).to_contain_text(f'"{FIRST}": "abc"')
    expect(preview.locator(".preview")).to_contain_text("Discount activity at abc")
    expect(preview).to_contain_text("For 138****0002")
    # Nothing is asked for while it is folded away.
    before = len(asked)
    summary.click()
    page.get_by_label("Content", exact=True).fill("abcd")
    page.wait_for_timeout(900)
    page.get_by_label("Content", exact=True).fill("abc")
    page.wait_for_timeout(900)
    assert (before, len(asked)) == (3, 3)
    page.get_by_role("button", name="Test send").click()
    test = page.get_by_role("dialog", name="Test send")
    test.get_by_label("Test ID").fill("13800000001")
    # A second click sends nothing twice.
    label = test.get_by_role("button", name="Send test", exact=True).evaluate(
        "ok => { ok.click(); const label = ok.textContent; ok.click(); return label; }"
    )
    assert label == "Sending…"
    expect(test.get_by_text("accepted the test")).to_be_visible()

    (entry,) = receiver.entries("/coupons")
    assert entry.contents(webhook.content_template) == ["Discount activity at abc"]


def test_a_step_is_built_tested_and_saved_by_keyboard_alone(
    page: Page, scene: Scene, webhook: Webhook, receiver: Receiver
) -> None:
    journey = draft(scene)
    page.goto(editor_url(scene, journey))
    page.locator(".canvas-graph .node-main").first.focus()
    page.keyboard.press("a")
    expect(page.locator("#menu-add").get_by_role("button", name="Webhook")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Webhook", exact=True)).to_be_focused()
    page.get_by_label("Step name").focus()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    expect(page.get_by_role("combobox", name="Webhook")).to_be_focused()
    page.keyboard.press("End")  # The last of the list.
    expect(page.get_by_role("combobox", name="Webhook")).to_have_value(str(webhook.pk))
    content = page.get_by_label("Content", exact=True)
    expect(content).to_be_visible()
    content.focus()
    page.keyboard.type("Dear ")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Insert variable")
    expect(dialog).to_be_visible()
    page.keyboard.press("Enter")
    expect(content).to_have_value("Dear ${Nickname}")
    expect(content).to_be_focused()
    # Its chip opens it again, and Enter changes it.
    page.get_by_role("button", name="${Nickname}").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Change variable")
    dialog.get_by_label("Variable name").fill("name")
    page.keyboard.press("Enter")
    expect(content).to_have_value("Dear ${name}")
    expect(page.locator("[data-token]")).to_have_count(1)
    expect(page.get_by_role("button", name="${name}")).to_contain_text("Nickname")
    page.get_by_role("button", name="${name}").focus()
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Remove").focus()
    page.keyboard.press("Enter")
    expect(content).to_have_value("Dear ")
    expect(page.locator("[data-token]")).to_have_count(0)
    page.get_by_role("radio", name="Mobile").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Test send").focus()
    page.keyboard.press("Enter")
    test = page.get_by_role("dialog", name="Test send")
    expect(test).to_be_visible()
    test.get_by_label("Test ID").focus()
    page.keyboard.type("13800000001")
    page.keyboard.press("Enter")
    expect(test.get_by_text("accepted the test")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Step name").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Coupon engine · Mobile").first).to_be_visible()

    assert clicks(page) == 0
    assert len(receiver.entries("/coupons")) == 1


def test_enter_right_after_the_test_id_waits_for_the_values_of_the_person(
    page: Page, scene: Scene, webhook: Webhook, receiver: Receiver
) -> None:
    texts = {"values": {FIRST: "Dear ${name} Hello"}, "variables": {FIRST: (NICKNAME,)}}
    step = scene.config(webhook=webhook.pk, **texts)
    page.goto(editor_url(scene, scene.journey(steps=[step])))
    page.locator(".canvas-graph .node-main").nth(1).click()
    page.get_by_role("button", name="Test send").click()
    test = page.get_by_role("dialog", name="Test send")

    def later(route: Route) -> None:
        page.wait_for_timeout(500)
        route.continue_()

    page.route("**/test/values/", later)
    test.get_by_label("Test ID").focus()
    page.keyboard.type("13800000001")
    page.keyboard.press("Enter")
    expect(test.get_by_text("accepted the test")).to_be_visible()

    (entry,) = receiver.entries("/coupons")
    assert json.loads(entry.body)["recipients"][0]["params"][FIRST] == "Dear Zhang San Hello"


def test_a_test_send_that_waits_for_values_is_not_sent_once_its_dialog_is_left(
    page: Page, scene: Scene, webhook: Webhook, receiver: Receiver
) -> None:
    step = scene.config(
        webhook=webhook.pk, values={FIRST: "Dear ${name}"}, variables={FIRST: (NICKNAME,)}
    )
    page.goto(editor_url(scene, scene.journey(steps=[step])))
    page.locator(".canvas-graph .node-main").nth(1).click()
    page.get_by_role("button", name="Test send").click()
    test = page.get_by_role("dialog", name="Test send")
    held: list[Route] = []
    page.route("**/test/values/", lambda route: held.append(route))  # noqa: PLW0108 # asked for its code
    test.get_by_label("Test ID").focus()
    page.keyboard.type("13800000001")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    page.keyboard.press("Escape")
    expect(test).not_to_be_visible()
    (route,) = held
    with page.expect_response("**/test/values/"):
        route.continue_()
    page.wait_for_timeout(500)

    assert receiver.entries("/coupons") == []


def tab_to(page: Page, wanted: Locator) -> None:
    """Go there as whoever has no mouse does."""
    for _press in range(60):
        if wanted.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    expect(wanted).to_be_focused()


@pytest.fixture
def first(scene: Scene, receiver: Receiver, settings: Any) -> Webhook:
    """The tutorial's webhook, and its names for everything else; a shop's crowd of people."""
    settings.EGRESS_ALLOW = [f"127.0.0.1/32:{receiver.port}"]
    made = make_webhook(
        scene.workspace,
        name="My coupons",
        url=receiver.url("/first"),
        content_template="Discount activity at {parameter 1 character}",
        id_types=[scene.mobile],
        parameters=[{"name": FIRST, "display_name": "Content", "type": ParameterType.TEXT}],
    )
    grant(scene.member, made)
    secrets = keys.signing_secrets(made, now=timezone.now())
    receiver.configure({"/first": Options(secrets=secrets, template=made.content_template)})
    workspace = scene.workspace
    workspace.time_zone = "Asia/Shanghai"
    for thing, name in (
        (workspace.organization, "Lakeside Retail"),
        (workspace, "Member marketing"),
        (scene.member, "Li Mei"),
        (scene.audience, "Spent 500 dollars or more"),
        (scene.mobile, "Mobile number"),
        (workspace.tags.get(code="orders"), "Number of orders"),
    ):
        thing.name = name
        thing.save()
    make_crowd(scene)
    Profile.objects.filter(tags__has_key="nickname").exclude(pk=scene.people[0].pk).update(
        tags={"nickname": "Li Si", "orders": 2}
    )
    return made


def test_the_whole_way_from_the_list_to_a_tested_step_takes_17_clicks(
    page: Page, scene: Scene, first: Webhook, receiver: Receiver
) -> None:
    """Typing is not counted, nor the Tab or Enter that belong to it; a list to choose from is 2."""
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))
    page.get_by_role("button", name="New journey").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("Coupon for the holidays")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Coupon for the holidays")
    panel = page.locator("aside.panel")
    page.locator(".canvas-graph .node-main").first.click()
    expect(panel.get_by_role("heading").first).to_be_focused()
    tab_to(page, panel.get_by_label("Step name"))
    page.keyboard.press("Control+a")
    page.keyboard.type("Big spenders")
    panel.get_by_role("checkbox", name=scene.audience.name).click()
    with page.expect_response("**/canvas/"):
        panel.get_by_role("button", name="OK", exact=True).click()
    expect(page.locator(".canvas-graph").get_by_text("Big spenders")).to_be_visible()
    page.get_by_role("button", name="Add a step after").first.click()
    page.get_by_role("button", name="Webhook", exact=True).click()
    expect(page.get_by_role("heading", name="Webhook", exact=True)).to_be_focused()
    tab_to(page, page.get_by_label("Step name"))
    page.keyboard.press("Control+a")
    page.keyboard.type("Discount")
    panel.get_by_role("combobox", name="Webhook").select_option(label="My coupons")
    lists_chosen_from = 1
    content = page.get_by_label("Content", exact=True)
    content.click()
    page.keyboard.type("abc")
    expect(page.locator("#content-preview")).to_have_text("ContentDiscount activity at abc")
    expect(panel).to_contain_text("people without it are skipped")
    picture(page, "step")
    page.keyboard.press("Control+a")
    page.keyboard.type("Dear  Hello")
    for _letter in " Hello":
        page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Insert variable into Content").click()
    dialog = page.get_by_role("dialog", name="Insert variable")
    dialog.get_by_role("radio", name="Nickname").click()
    page.keyboard.press("Tab")
    expect(dialog.get_by_label("Variable name")).to_be_focused()
    page.keyboard.type("name")
    dialog.get_by_text("Send a default value").click()
    page.keyboard.press("Tab")
    page.keyboard.type("Member")
    expect(dialog.locator(".defaulted")).to_have_text("Member")
    picture(page, "insert-variable")
    dialog.get_by_role("button", name="Insert", exact=True).click()
    expect(content).to_have_value("Dear ${name} Hello")
    expect(page.get_by_role("radio", name="Mobile number")).to_be_checked()
    page.get_by_role("button", name="Test send").click()
    test = page.get_by_role("dialog", name="Test send")
    expect(test.get_by_label("Test ID")).to_be_focused()
    page.keyboard.type("13800000001")
    page.keyboard.press("Tab")
    expect(test.get_by_label("${name}")).to_have_value("Zhang San")
    page.keyboard.press("Enter")
    expect(test.get_by_text("accepted the test")).to_be_visible()
    picture(page, "test-send")
    test.get_by_role("button", name="Close").last.click()
    panel.get_by_role("button", name="OK", exact=True).click()
    expect(page.get_by_text("My coupons · Mobile").first).to_be_visible()

    assert clicks(page) + 2 * lists_chosen_from <= CLICKS
    (entry,) = receiver.entries("/first")
    assert entry.signature == VERIFIED
    assert entry.contents(first.content_template) == ["Discount activity at Dear Zhang San Hello"]
    (step,) = Journey.objects.get().draft["steps"]
    assert (step["name"], step["config"]["values"][FIRST]) == ("Discount", "Dear ${name} Hello")

    # The rest of the tutorial: the saved step, the review, and the run.
    page.locator(".canvas-graph .node-main").filter(has_text="Discount").click()
    expect(panel).to_contain_text("people without it are skipped")
    picture(page, "editor")
    panel.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Publish").click()
    review = page.locator("#dialog-wide")
    send = review.get_by_role("button", name="Send to")
    number = re.search(r"[\d,]+", send.inner_text())
    assert number is not None
    picture(page, "publish")
    review.get_by_label("to confirm").fill(number[0])
    send.click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    half_way(Run.objects.get(), parameter=FIRST)
    expect(page.get_by_text(f"of {CROWD:,} people done")).to_be_visible()
    expect(page.locator("#numbers")).to_contain_text("“Member”")
    picture(page, "run")


def test_the_whole_way_from_the_list_to_a_tested_step_by_keyboard_alone(
    page: Page, scene: Scene, webhook: Webhook, receiver: Receiver
) -> None:
    press = page.keyboard.press
    page.goto(reverse("journeys:list", args=[scene.workspace.slug]))
    tab_to(page, page.get_by_role("button", name="New journey"))
    press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("By keyboard")
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("By keyboard")
    panel = page.locator("aside.panel")
    start = page.locator(".canvas-graph .node-main").first
    tab_to(page, start)
    press("Enter")
    expect(panel.get_by_role("heading").first).to_be_focused()
    tab_to(page, panel.get_by_role("checkbox", name=scene.audience.name))
    press("Space")
    tab_to(page, panel.get_by_role("button", name="OK", exact=True))
    with page.expect_response("**/canvas/"):
        press("Enter")
    expect(page.locator(".canvas-graph").get_by_text("Members · Now")).to_be_visible()
    expect(start).to_be_focused()
    press("a")
    expect(page.locator("#menu-add").get_by_role("button", name="Webhook")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("heading", name="Webhook", exact=True)).to_be_focused()
    tab_to(page, page.get_by_label("Step name"))
    page.keyboard.type("Discount")
    tab_to(page, page.get_by_role("combobox", name="Webhook"))
    press("End")  # The last of the list.
    content = page.get_by_label("Content", exact=True)
    expect(content).to_be_visible()
    expect(page.get_by_role("combobox", name="Webhook")).to_be_focused()
    tab_to(page, content)
    page.keyboard.type("Dear ")
    tab_to(page, page.get_by_role("button", name="Insert variable into Content"))
    press("Enter")
    dialog = page.get_by_role("dialog", name="Insert variable")
    expect(dialog.get_by_role("radio", name="Nickname")).to_be_focused()
    tab_to(page, dialog.get_by_label("Variable name"))
    page.keyboard.type("name")
    press("Enter")
    expect(content).to_have_value("Dear ${name}")
    expect(content).to_be_focused()
    tab_to(page, page.get_by_role("radio", name="Mobile"))
    press("Space")
    tab_to(page, page.get_by_role("button", name="Test send"))
    press("Enter")
    test = page.get_by_role("dialog", name="Test send")
    expect(test.get_by_label("Test ID")).to_be_focused()
    page.keyboard.type("13800000001")
    press("Tab")
    expect(test.get_by_label("${name}")).to_have_value("Zhang San")
    press("Enter")
    expect(test.get_by_text("accepted the test")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("button", name="Test send")).to_be_focused()
    tab_to(page, panel.get_by_role("button", name="OK", exact=True))
    press("Enter")
    expect(page.get_by_text("Coupon engine · Mobile").first).to_be_visible()

    assert clicks(page) == 0
    (entry,) = receiver.entries("/coupons")
    assert entry.contents(webhook.content_template) == ["Discount activity at Dear Zhang San"]
    (step,) = Journey.objects.get(name="By keyboard").draft["steps"]
    assert step["config"]["values"][FIRST] == "Dear ${name}"


def test_a_cancelled_test_send_is_not_sent(
    page: Page, client: Client, scene: Scene, webhook: Webhook, receiver: Receiver
) -> None:
    values = {FIRST: "Hello"}
    config = scene.config(webhook=webhook.pk, values=values, variables={})
    page.goto(editor_url(scene, scene.journey(steps=[config])))
    page.locator(".canvas-graph .node-main").filter(has_text="Step 1").click()
    page.get_by_role("button", name="Test send").click()
    test = page.get_by_role("dialog", name="Test send")
    test.get_by_label("Test ID").fill("13800000001")
    held: list[Request] = []
    page.route("**/test/send/", lambda route: held.append(route.request))

    test.get_by_role("button", name="Send test", exact=True).click()
    expect(test.get_by_role("button", name="Sending…")).to_be_visible()
    test.get_by_role("button", name="Cancel").click()

    expect(test).to_have_count(0)
    expect(page.get_by_text("The test was cancelled; nothing was sent.").first).to_be_visible()
    # What the browser had asked for arrives late.
    (late,) = held
    answer = client.post(late.url, late.post_data, "application/x-www-form-urlencoded")
    assert answer.status_code == 422
    assert receiver.entries("/coupons") == []


def test_text_and_variables_survive_undo_esc_and_a_refused_save(
    page: Page, scene: Scene, webhook: Webhook
) -> None:
    values = {FIRST: "Dear ${name} Hello"}
    config = scene.config(webhook=webhook.pk, values=values, variables={FIRST: (NICKNAME,)})
    journey = scene.journey(steps=[config])
    page.goto(editor_url(scene, journey))
    page.locator(".canvas-graph .node-main").filter(has_text="Step 1").click()
    content = page.get_by_label("Content", exact=True)
    chip = page.locator(".chips .chip")
    expect(chip).to_contain_text("${name}")

    # Esc leads back to the same cursor.
    content.evaluate("box => { box.focus(); box.setSelectionRange(4, 4); }")
    page.get_by_role("button", name="Insert variable into Content").click()
    expect(page.get_by_role("dialog", name="Insert variable")).to_be_visible()
    page.keyboard.press("Escape")
    expect(content).to_be_focused()
    assert content.evaluate("box => box.selectionStart") == 4

    # With its last place the variable goes, and comes back with it.
    content.evaluate("box => box.setSelectionRange(5, 12)")
    page.keyboard.press("Delete")
    expect(content).to_have_value("Dear  Hello")
    expect(chip).to_be_hidden()
    page.keyboard.press("Control+z")
    expect(content).to_have_value("Dear ${name} Hello")
    expect(chip).to_be_visible()

    # A refused save keeps what was typed, and it still counts as changed.
    content.press("End")
    page.keyboard.type(" ${x}")
    page.get_by_role("button", name="OK", exact=True).click()
    expect(content).to_be_focused()
    expect(page.get_by_text("“x” is not a variable here.")).to_be_visible()
    expect(content).to_have_value("Dear ${name} Hello ${x}")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Keep editing").click()
    content.fill("Dear ${name} Goodbye")
    page.get_by_role("button", name="OK", exact=True).click()
    expect(page.locator("aside.panel")).to_have_count(0)

    journey.refresh_from_db()
    kept = WebhookConfig.from_json(journey.draft["steps"][0]["config"])
    assert kept.values[FIRST] == "Dear ${name} Goodbye"
    assert kept.variables[FIRST] == (NICKNAME,)
