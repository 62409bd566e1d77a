"""The console for whoever enlarges it, wants nothing to move, uses the keyboard or a thumb."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.pages import PANEL, TEST, Row, asking, page, part
from tests.browser.shop import Shop
from tests.browser.walk import SETTLED, Walk

pytestmark = pytest.mark.django_db(transaction=True)

_DRAFT: Final = ("slug", "draft")
PAGES: Final = (
    page("journeys:list", "slug"),
    page("journeys:editor", *_DRAFT),
    part("journeys:panel", "journeys:editor", (*_DRAFT, "step"), PANEL),
    part("journeys:test", "journeys:editor", (*_DRAFT, "step"), PANEL, TEST),
    part("journeys:publish", "journeys:editor", _DRAFT, asking("journeys:publish")),
    page("journeys:run", "slug", "running", "run"),
    page("journeys:deliveries", "slug"),
    page("journeys:why", "slug", "finished", "finished run", "person"),
    page("journeys:audiences", "slug"),
    page("journeys:audience", "slug", "rules"),
    page("journeys:events", "slug"),
    page("journeys:people", "slug"),
    page("workspaces:notices"),
    page("workspaces:settings"),
    page("account_login", visitor="anonymous"),
    page("admin:index"),
    page("admin:webhooks_webhook_changelist"),
    page("admin:webhooks_webhook_change", "webhook"),
    page("admin:webhooks_delivery_changelist"),
    page("admin:workspaces_role_add"),
    page("admin:workspaces_membership_add"),
)
TABBED: Final = (
    page("journeys:list", "slug"),
    page("journeys:editor", *_DRAFT),
    page("journeys:deliveries", "slug"),
    page("admin:index"),
    page("admin:webhooks_webhook_changelist"),
    page("admin:webhooks_webhook_change", "webhook"),
)
TOO_WIDE: Final = "() => document.documentElement.scrollWidth > innerWidth"
# What comes late at once, in one step, does not move.
MOVES: Final = """() => [...document.querySelectorAll("*")].filter((node) => {
  const style = getComputedStyle(node);
  const lasts = (text) => text.split(",").some((each) => parseFloat(each) > 0.01);
  const steps = style.animationTimingFunction.startsWith("steps(1");
  return lasts(style.transitionDuration) || (lasts(style.animationDuration) && !steps);
}).map((node) => `${node.tagName}.${node.className}`)"""
# What a thumb has to hit; a link in a sentence is as high as its line.
SMALL: Final = """() => [...document.querySelectorAll(
  "button, .button, select, summary, input:not([type=checkbox], [type=radio], [type=hidden])"
)].filter((node) => node.checkVisibility({visibilityProperty: true}))
  .filter((node) => !node.matches(".visually-hidden, .visually-hidden *"))
  .filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width > 1 && (box.height < 43.5 || box.width < 43.5);
  }).map((node) => {
    const box = node.getBoundingClientRect();
    return `${node.tagName}.${node.className} ${Math.round(box.width)}x${Math.round(box.height)}`
      + ` ${node.textContent.trim().slice(0, 30)}`;
  })"""
# An icon alone has a tooltip; and every size is one of the scale.
UNNAMED: Final = """() => [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility({visibilityProperty: true}))
  .flatMap((node) => {
    const name = `${node.tagName}.${node.className}`;
    const writes = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    const size = getComputedStyle(node).fontSize;
    return [
      ...(node.matches(".button-icon:not([title])") ? [`no tooltip: ${name}`] : []),
      ...(writes && !["0px", "12px", "14px", "16px", "20px"].includes(size)
        ? [`size: ${name} ${size}`] : []),
    ];
  })"""
TELL: Final = """() => document.body.dispatchEvent(
  new CustomEvent("toast", {detail: {text: "Saved.", tone: "info"}})
)"""
PLACE: Final = """() => {
  const node = document.activeElement;
  if (node === document.body) return null;
  const box = node.getBoundingClientRect();
  const style = getComputedStyle(node);
  return {
    name: [node.getAttribute("aria-label"), node.textContent, node.name, node.value]
      .map((each) => each?.trim()).find(Boolean) ?? "",
    node: node.outerHTML.slice(0, 120),
    part: node.closest("header, nav, main, aside")?.tagName ?? "",
    seen: box.width > 0 && style.outlineStyle !== "none",
  };
}"""


@pytest.fixture
def walk(browser: Browser, live_server: LiveServer, shop: Shop) -> Iterator[Walk]:
    walk = Walk(browser, live_server.url, shop)
    yield walk
    walk.close()


def _open(walk: Walk, row: Row, *, width: int, height: int) -> Page:
    opened = walk.page_of(row.visitor)
    opened.set_viewport_size({"width": width, "height": height})
    opened.goto(walk.address_of(row.on or row.name, row))
    for step in row.steps:
        walk.do(opened, step, row)
        opened.locator(step.seen).first.wait_for()
    opened.wait_for_function(SETTLED)
    return opened


def test_enlarged_twice_no_page_scrolls_sideways_and_nothing_moves(walk: Walk) -> None:
    """A window of 1280 at 200 % has room for 640; the walk asks for reduced motion."""
    wrong = {}
    for row in PAGES:
        opened = _open(walk, row, width=640, height=400)
        found = opened.evaluate(MOVES)
        if opened.evaluate(TOO_WIDE):
            found.append("scrolls sideways")
        if found:
            wrong[row.title] = found

    assert wrong == {}


def test_on_a_phone_everything_can_be_hit_with_a_thumb(walk: Walk) -> None:
    wrong = {}
    for row in PAGES:
        opened = _open(walk, row, width=390, height=844)
        opened.evaluate(TELL)
        if found := opened.evaluate(SMALL) + opened.evaluate(UNNAMED):
            wrong[row.title] = sorted(set(found))

    assert wrong == {}


def test_on_a_phone_the_drawer_changes_the_appearance(walk: Walk) -> None:
    opened = _open(walk, PAGES[0], width=390, height=844)

    opened.get_by_role("button", name="Menu").click()
    assert opened.evaluate(SMALL) == []
    dark = opened.locator("#nav").get_by_role("radio", name="Dark")
    dark.click()
    expect(dark).to_be_checked()
    assert opened.evaluate("document.documentElement.dataset.theme") == "dark"


def test_tab_goes_from_the_skip_link_through_the_page_and_is_always_seen(walk: Walk) -> None:
    for row in TABBED:
        opened = _open(walk, row, width=1280, height=800)
        stops: list[dict[str, Any]] = []
        while len(stops) < 120:
            opened.keyboard.press("Tab")
            if (place := opened.evaluate(PLACE)) is None:
                break
            stops.append(place)

        parts = list(dict.fromkeys(stop["part"] for stop in stops))
        assert "Skip to" in stops[0]["name"], row.title
        assert [stop for stop in stops if not stop["name"]] == [], row.title
        assert [stop for stop in stops if not stop["seen"]] == [], row.title
        assert parts.index("HEADER") < parts.index("NAV") < parts.index("MAIN"), row.title
