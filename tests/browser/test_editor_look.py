"""The measures of the real editor: canvas, panel and dialogs, to the pixel."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from identity.models import IdType
from journeys import previews
from journeys.component import Context
from journeys.components.webhook import WebhookConfig
from journeys.previews import Coverage
from tests.identity.factories import make_tag
from tests.journeys.factories import Scene, make_purchase, make_scene, take_point
from tests.webhooks.factories import make_webhook

pytestmark = [pytest.mark.django_db(transaction=True)]

HEADER: Final = 56
PANEL: Final = 400
# Of each edge: where it begins and ends on the screen.
ENDS: Final = """
() => [...document.querySelectorAll(".canvas-graph .edge")].map((edge) => {
  const onScreen = edge.getScreenCTM();
  return [0, edge.getTotalLength()].map((at) => {
    const { x, y } = edge.getPointAtLength(at).matrixTransform(onScreen);
    return [Math.round(x * 10) / 10, Math.round(y * 10) / 10];
  });
})
"""
# The buttons that are filled with the accent, in what is on top.
FILLED: Final = """
() => {
  const view = document.querySelector("dialog[open]") ?? document;
  const accent = document.createElement("i");
  accent.style.color = "var(--accent)";
  document.body.append(accent);
  const { color } = getComputedStyle(accent);
  accent.remove();
  return [...view.querySelectorAll("button, .button")]
    .filter((one) => one.getClientRects().length && getComputedStyle(one).backgroundColor === color)
    .map((one) => one.textContent.trim());
}
"""
# What lies between a panel's edge, its fields, and their labels, in pixels.
GAPS: Final = """
() => {
  const box = (node) => node.getBoundingClientRect();
  const body = document.querySelector(".panel-body");
  const fields = [...body.querySelectorAll(".fields > .field")];
  const labels = fields.map((field) => field.querySelector("label, legend"));
  const follow = fields.filter((field) => field.nextElementSibling?.matches(".field"));
  return {
    edge: fields.map((field) => box(field).left - box(body).left),
    label: labels.map((label) => box(label.nextElementSibling).top - box(label).bottom),
    field: follow.map((field) => box(field.nextElementSibling).top - box(field).bottom),
  };
}
"""
# The last children of <body> that are dialogs, in their order.
DIALOGS: Final = """
() => [...document.body.children].filter((node) => node.matches("dialog")).map(({ id }) => id)
"""
# What is drawn late is drawn as it is after so many milliseconds.
AT: Final = """
(milliseconds) => document.getAnimations().forEach((animation) => {
  animation.pause();
  animation.currentTime = milliseconds;
})
"""


@pytest.fixture
def scene() -> Scene:
    cache.clear()
    return make_scene()


@pytest.fixture
def page(browser: Browser, client: Client, live_server: LiveServer, scene: Scene) -> Iterator[Page]:
    """The editor of a journey whose second step has gaps, at 1280 × 800."""
    gaps = WebhookConfig(webhook=scene.webhook.pk).to_json()
    journey = scene.journey(steps=[scene.config(), gaps])
    client.force_login(scene.member)
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )
    name = settings.SESSION_COOKIE_NAME
    session = client.cookies[name].value
    context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
    opened = context.new_page()
    opened.clock.install()
    opened.goto(reverse("journeys:editor", args=[scene.workspace.slug, journey.pk]))
    yield opened
    context.close()


def box(locator: Locator) -> tuple[float, float, float, float]:
    found = locator.bounding_box()
    assert found is not None
    return found["x"], found["y"], found["width"], found["height"]


def boxes(locator: Locator) -> list[tuple[float, float, float, float]]:
    return [box(each) for each in locator.all()]


def style(locator: Locator, name: str) -> Any:
    return locator.evaluate("(node, name) => getComputedStyle(node)[name]", name)


def test_the_canvas_is_drawn_to_the_pixel(page: Page) -> None:
    nodes = page.locator(".canvas-graph .node")
    drawn = boxes(nodes)
    (left, _top, _width, _height) = drawn[0]
    middle = left + 120
    view = box(page.locator(".canvas-view"))

    assert box(page.locator(".header")) == (0, 0, 1280, HEADER)
    assert box(page.locator(".nav"))[:3] == (0, HEADER, 56)
    assert middle == view[0] + view[2] / 2
    assert drawn == [(left, HEADER + 32 + 112 * row, 240, 64) for row in range(4)]
    assert page.evaluate(ENDS) == [
        [[middle, top + 64], [middle, top + 112]] for _x, top, _w, _h in drawn[:-1]
    ]
    assert boxes(page.locator(".canvas-graph .add")) == [
        (middle - 12, top + 64 + 12, 24, 24) for _x, top, _w, _h in drawn[:-1]
    ]
    assert {box[2:] for box in boxes(page.locator(".canvas-graph .node-tile"))} == {(32, 32)}
    assert {style(edge, "strokeWidth") for edge in page.locator(".edge").all()} == {"1.5px"}
    assert style(page.locator(".canvas-graph .node-name").first, "font").startswith("600 14px")
    gap = nodes.nth(2).locator(".node-gap")
    expect(gap).to_have_text("2 things missing")
    expect(gap.locator("svg")).to_be_visible()
    assert page.evaluate(FILLED) == ["Publish"]
    tools = page.get_by_role("toolbar", name="Zoom").get_by_role("button")
    assert [tool.get_attribute("title") or "" for tool in tools.all()] == [
        "Fit",
        "Smaller",
        "Full size",
        "Larger",
    ]


def test_panel_and_dialogs_have_their_widths_and_one_filled_button(page: Page) -> None:
    node = page.locator(".canvas-graph .node").nth(1)
    node.locator(".node-main").click()
    panel = page.locator("aside.panel")
    expect(panel.locator("textarea").first).to_be_visible()

    assert box(panel) == (1280 - PANEL, HEADER, PANEL, 800 - HEADER)
    footer = box(panel.locator(".panel-footer"))
    assert footer[1] + footer[3] == 800
    assert footer[0] + footer[2] == 1280
    order = ["Test send", "Cancel", "OK"]
    shown = [panel.get_by_role("button", name=name, exact=True) for name in order]
    places = [box(each)[0] for each in shown]
    assert places == sorted(places)
    assert (style(node, "outlineStyle"), style(node, "outlineWidth")) == ("solid", "2px")
    assert page.evaluate(FILLED) == ["OK"]
    gaps = page.evaluate(GAPS)
    assert {name: set(found) for name, found in gaps.items()} == {
        "edge": {16},
        "label": {4},
        "field": {16},
    }

    panel.get_by_role("button", name="Insert variable into").first.click()
    dialog = page.get_by_role("dialog", name="Insert variable")
    expect(dialog).to_be_visible()
    assert box(dialog)[2] == 480
    assert page.evaluate(FILLED) == ["Insert"]
    page.keyboard.press("Escape")
    panel.get_by_role("button", name="Test send").click()
    test = page.get_by_role("dialog", name="Test send")
    expect(test).to_be_visible()
    assert box(test)[2] == 720
    columns = test.locator(".dialog-columns")
    assert style(columns, "borderTopWidth") == "1px"
    assert len(style(columns, "gridTemplateColumns").split()) == 2
    page.set_viewport_size({"width": 639, "height": 800})
    assert style(columns, "flexDirection") == "column"  # One below the other.
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate(DIALOGS)[:2] == ["dialog", "dialog-wide"]
    assert page.evaluate(FILLED) == ["Send test"]
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    assert page.evaluate(FILLED) == ["Publish"]


def test_success_goes_after_five_seconds_with_undo_after_ten_and_errors_stay(page: Page) -> None:
    page.clock.pause_at(timezone.now() + timedelta(minutes=1))
    for tone, undo in (("success", ""), ("success", "/undo/"), ("error", "")):
        page.evaluate(
            "(detail) => document.body.dispatchEvent(new CustomEvent('toast', { detail }))",
            {"text": f"{tone}{undo}", "tone": tone, "undo": undo},
        )
    toasts = page.locator("#toasts .toast")
    for milliseconds, left in ((4_900, 3), (200, 2), (4_800, 2), (200, 1), (60_000, 1)):
        page.clock.run_for(milliseconds)
        expect(toasts).to_have_count(left)
    expect(toasts).to_contain_text("error")


# --- What is slow ---------------------------------------------------------------------------------


def hold(page: Page, address: str) -> list[Route]:
    """Let the answers of an address wait until they are continued."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(address, keep)
    return held


def arrived(page: Page, held: list[Route]) -> Route:
    """Wait until a request is held, and hand it over."""
    while not held:
        page.wait_for_timeout(10)
    return held.pop()


def test_a_slow_panel_or_dialog_shows_its_outline(page: Page) -> None:
    panel = page.locator("aside.panel")
    skeleton = page.locator(".skeleton:visible")
    node = page.locator(".canvas-graph .node-main").nth(1)
    held = hold(page, "**/steps/*/")
    page.clock.pause_at(timezone.now() + timedelta(minutes=1))

    node.click()
    page.clock.run_for(250)
    expect(panel).to_have_count(0)
    page.clock.run_for(100)
    expect(panel.get_by_role("heading", name="Loading")).to_be_visible()
    expect(skeleton).to_have_count(1)
    assert box(panel)[2] == PANEL
    slow = panel.get_by_text("Still loading.")
    for milliseconds, note in [(2_990, 0), (3_010, 1)]:
        page.evaluate(AT, milliseconds)
        expect(slow.locator("visible=true")).to_have_count(note)
    held.pop().continue_()
    expect(panel.get_by_role("heading", name="Webhook", exact=True)).to_be_focused()
    expect(skeleton).to_have_count(0)

    # Whoever closes the outline does not want the answer any more.
    dialog = page.locator("dialog[open]")
    held = hold(page, "**/variable/")
    insert = panel.get_by_role("button", name="Insert variable into").first
    insert.click()
    page.clock.run_for(400)
    expect(dialog.get_by_role("heading", name="Loading")).to_be_visible()
    expect(skeleton).to_have_count(1)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    held.pop().abort()
    insert.click()
    page.clock.run_for(400)
    expect(skeleton).to_have_count(1)
    heading = box(dialog.get_by_role("heading"))[:2]
    held.pop().continue_()
    expect(dialog.get_by_role("radio").first).to_be_focused()
    assert box(dialog.get_by_role("heading").first)[:2] == heading
    page.keyboard.press("Escape")

    # What fails leaves no outline behind.
    held = hold(page, "**/test/")
    panel.get_by_role("button", name="Test send").click()
    page.clock.run_for(400)
    expect(skeleton).to_have_count(1)
    held.pop().abort()
    expect(dialog).to_have_count(0)
    expect(page.locator(".toast-error")).to_contain_text("cannot be reached")


def test_a_panel_is_filled_while_its_people_are_counted(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(context: Context, id_types: Sequence[IdType], at_most: timedelta) -> Coverage:
        if at_most == previews.AT_ONCE:
            return Coverage(0, {each.pk: 0 for each in id_types}, is_known=False)
        return previews.coverage(context, id_types)

    monkeypatch.setattr(previews, "coverage_within", later)
    held = hold(page, "**/coverage/")
    page.locator(".canvas-graph .node-main").nth(1).click()
    panel = page.locator("aside.panel")
    ways = panel.locator("#id_id_type_field")
    slow = ways.get_by_text("Still counting.")
    expect(ways).to_contain_text("Counting…")
    first = ways.get_by_text("Counting…", exact=True)
    assert box(first)[:2] == box(slow)[:2]
    for milliseconds, note in [(2_990, 0), (3_010, 1)]:
        page.evaluate(AT, milliseconds)
        expect(slow.locator("visible=true")).to_have_count(note)
        expect(first.locator("visible=true")).to_have_count(1 - note)
    text = panel.locator("textarea").first
    text.fill("Typed meanwhile")
    ways.get_by_label("Email").check()
    expect(ways.locator(".is-counting")).to_be_visible()

    arrived(page, held).continue_()
    for route in held:
        route.continue_()

    expect(ways.locator("label").first).to_contain_text("2 of 3")
    expect(ways.locator(".is-counting")).to_be_hidden()
    expect(ways).to_contain_text("1 person without it is skipped.")
    expect(ways.get_by_label("Email")).to_be_checked()
    expect(text).to_have_value("Typed meanwhile")


def test_a_count_that_failed_is_asked_for_again_in_its_place(page: Page) -> None:
    held = hold(page, "**/people/")
    page.locator(".canvas-graph .node-main").first.click()
    counted = page.locator("aside.panel .recount")
    expect(counted).to_contain_text("Counting…")
    arrived(page, held).abort()

    expect(counted).to_contain_text("This part could not be read. The rest of the page works.")
    expect(page.locator(".toast-error")).to_have_count(0)
    counted.get_by_role("button", name="Try again").click()
    expect(counted.locator(".is-counting")).to_be_visible()
    arrived(page, held).continue_()

    expect(counted).to_contain_text("3 people now")
    expect(counted.get_by_role("button", name="Try again")).to_have_count(0)


def test_a_long_count_says_so_after_three_seconds(page: Page) -> None:
    hold(page, "**/publish/?count")
    page.get_by_role("button", name="Publish").click()
    review = page.locator("#dialog-wide")
    slow = review.get_by_text("Still counting.")
    first = review.get_by_text("Counting who would be reached…", exact=True)
    expect(first).to_be_visible()

    for milliseconds, skeleton, note in [(290, 0, 0), (310, 1, 0), (2_990, 1, 0), (3_010, 1, 1)]:
        page.evaluate(AT, milliseconds)
        expect(review.locator(".skeleton:visible")).to_have_count(skeleton)
        expect(slow.locator("visible=true")).to_have_count(note)
        expect(first.locator("visible=true")).to_have_count(1 - note)


def test_a_step_that_is_added_while_the_canvas_is_drawn_anew_is_there(page: Page) -> None:
    nodes = page.locator(".canvas-graph .node")
    expect(nodes).to_have_count(4)
    held = hold(page, "**/canvas/")
    nodes.nth(1).locator(".node-main").click()
    panel = page.locator("aside.panel")
    panel.get_by_label("Step name").fill("Coupon")
    with page.expect_request("**/canvas/"):
        panel.get_by_role("button", name="OK", exact=True).click()
    page.get_by_role("button", name="Add a step after").first.click()
    page.get_by_role("button", name="Webhook", exact=True).click()

    held.pop().continue_()

    expect(nodes).to_have_count(5)
    expect(panel.get_by_label("Step name")).to_be_visible()


def test_what_cannot_be_changed_looks_alike_and_is_not_offered(page: Page, scene: Scene) -> None:
    take_point(scene)
    page.reload()
    page.locator(".canvas-graph .node-main").nth(1).click()
    panel = page.locator("aside.panel")
    text, webhook = panel.get_by_label("Step name"), panel.get_by_label("Webhook", exact=True)

    expect(text).to_have_attribute("readonly", "")
    expect(webhook).to_be_disabled()

    for name in ("color", "backgroundColor", "borderColor", "opacity", "backgroundImage"):
        assert style(webhook, name) == style(text, name)
    ways = panel.locator("#id_id_type_field .choices")
    for name in ("backgroundColor", "borderColor"):
        assert style(ways, name) == style(text, name)
    expect(panel.get_by_text("Reached by the same ID")).to_be_visible()
    expect(panel.get_by_text("Change", exact=True)).to_have_count(0)


def test_what_stands_below_a_field_keeps_four_pixels_from_it(page: Page, scene: Scene) -> None:
    make_webhook(scene.workspace, name="Somebody else’s")
    nodes = page.locator(".canvas-graph .node-main")
    panel = page.locator("aside.panel")

    nodes.first.click()
    people = panel.locator(".counted")
    expect(people).to_have_text("3 people now")
    choices = box(panel.locator("#id_audiences_field .choices"))
    assert box(people)[1] - (choices[1] + choices[3]) == 4
    nodes.nth(1).click()
    barred = panel.get_by_text("1 more webhook that you may not use")
    expect(barred).to_be_visible()
    control = box(panel.locator("#id_webhook_field .field-control"))
    assert box(panel.locator("#id_webhook_field .fold"))[1] - (control[1] + control[3]) == 4


def test_a_search_for_a_variable_says_when_nothing_matches(page: Page, scene: Scene) -> None:
    for number in range(7):
        make_tag(scene.workspace, f"tag_{number}")
    page.locator(".canvas-graph .node-main").nth(1).click()
    page.get_by_role("button", name="Insert variable into").first.click()
    dialog = page.get_by_role("dialog", name="Insert variable")
    search = dialog.get_by_label("Search tags and attributes")
    nothing = dialog.get_by_text("No tag or attribute matches what you typed.")

    expect(search).to_be_focused()
    expect(nothing).to_be_hidden()
    search.fill("nothing")
    expect(nothing).to_be_visible()
    expect(dialog.locator("#variable-sources")).to_be_hidden()
    search.fill("nick")
    expect(nothing).to_be_hidden()
    expect(dialog.locator("#variable-sources .choice:visible")).to_have_count(1)


def test_a_refused_dialog_goes_on_at_what_is_wrong(page: Page) -> None:
    page.locator(".canvas-graph .node-main").nth(1).click()
    page.get_by_role("button", name="Insert variable into").first.click()
    dialog = page.get_by_role("dialog", name="Insert variable")
    name = dialog.get_by_label("Variable name")
    name.fill("a{b")
    expect(dialog.get_by_text("Stands in the text as ${a{b}.")).to_be_visible()

    dialog.get_by_role("button", name="Insert", exact=True).click()

    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_be_focused()


def test_the_test_dialog_asks_once_for_an_id_that_also_reaches(page: Page, scene: Scene) -> None:
    page.locator(".canvas-graph .node-main").nth(1).click()
    panel = page.locator("aside.panel")
    panel.get_by_text("Reached by the same ID").click()
    panel.get_by_label("ID type to reach the user").select_option(label="Email")
    page.get_by_role("button", name="Test send").click()
    dialog = page.get_by_role("dialog", name="Test send")
    reach = dialog.get_by_label("Email to reach the user")

    expect(reach).to_be_visible()
    dialog.get_by_label("ID type", exact=True).select_option(str(scene.email.pk))
    expect(reach).to_be_hidden()
    dialog.get_by_label("ID type", exact=True).select_option(str(scene.mobile.pk))
    expect(reach).to_be_visible()


def test_a_condition_keeps_its_distance_from_what_stands_above_and_below_it(
    page: Page, scene: Scene
) -> None:
    listening = scene.event_journey(make_purchase(scene))
    page.goto(reverse("journeys:editor", args=[scene.workspace.slug, listening.pk]))
    page.locator(".canvas-graph .node-main").first.click()
    page.locator("aside.panel").get_by_role("button", name="Add a condition").click()
    expect(page.locator("[data-condition]")).to_have_count(1)

    _x, top, _width, height = box(page.locator("[data-condition]"))
    _x, above, _width, its_height = box(page.locator("#id_match"))
    _x, below, _width, _height = box(page.get_by_role("button", name="Add a condition"))
    assert top - (above + its_height) == 8
    assert below - (top + height) == 8
    first, second, third = boxes(page.locator("[data-condition] > :is(select, input)"))
    assert (second[0] - (first[0] + first[2]), third[0] - (second[0] + second[2])) == (8, 8)
    expect(page.get_by_label("Comparison")).to_have_text("Choose …")


def test_an_open_panel_ends_with_the_window_and_the_zone_stands_beside_it(page: Page) -> None:
    zone = page.locator("footer.foot")
    tools = page.locator(".canvas-tools")
    assert box(zone)[2] == 1280 - 56
    assert box(tools)[1] + box(tools)[3] == box(zone)[1] - 16

    page.locator(".canvas-graph .node-main").first.click()
    expect(page.locator("aside.panel .counted")).to_have_text("3 people now")

    assert box(page.locator("aside.panel")) == (1280 - PANEL, HEADER, PANEL, 800 - HEADER)
    assert box(zone)[2] == 1280 - 56 - PANEL
    assert box(zone)[1] + box(zone)[3] == 800
    assert box(tools)[1] + box(tools)[3] == box(zone)[1] - 16


def test_a_long_name_on_a_node_leaves_what_stands_behind_it(page: Page, scene: Scene) -> None:
    scene.audience.name = "Members who ordered twice or more since spring"
    scene.audience.save()
    page.reload()
    summary = page.locator(".canvas-graph .node-summary").first
    expect(summary).to_have_text("Members who ordered twice or more since spring · Now")

    name, when = summary.locator("span").all()
    text = box(page.locator(".canvas-graph .node-text").first)
    assert name.evaluate("node => node.scrollWidth > node.clientWidth")
    assert not when.evaluate("node => node.scrollWidth > node.clientWidth")
    assert box(when)[0] + box(when)[2] <= text[0] + text[2]
