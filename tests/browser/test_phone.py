"""The console on a phone: names have room, rows are short, edges stand below each other."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.pages import Row, Step, page, part
from tests.browser.shop import Shop
from tests.browser.states import gets_none_of_its_parts, is_full
from tests.browser.walk import SETTLED, Walk

pytestmark = pytest.mark.django_db(transaction=True)

LINE: Final = 24  # The highest line of a row; the others have 16.


@pytest.fixture
def walk(browser: Browser, live_server: LiveServer, shop: Shop) -> Iterator[Walk]:
    walk = Walk(browser, live_server.url, shop)
    yield walk
    walk.close()


def _open(walk: Walk, row: Row) -> Page:
    opened = walk.page_of(row.visitor)
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.goto(walk.address_of(row.on or row.name, row) + row.query)
    for step in row.steps:
        walk.do(opened, step, row)
        opened.locator(step.seen).first.wait_for()
    opened.wait_for_function(SETTLED)
    return opened


def _box(found: Locator) -> FloatRect:
    box = found.bounding_box()
    assert box is not None
    return box


# --- The header -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "act"),
    [
        (page("journeys:run", "slug", "paused", "paused run"), "Resume"),
        (page("journeys:audience", "slug", "audience"), "Upload a list"),
        (page("journeys:editor", "slug", "draft"), "Publish"),
    ],
)
def test_beside_what_is_done_to_it_a_name_has_more_than_half_of_the_header(
    walk: Walk, row: Row, act: str
) -> None:
    is_full(walk.shop)

    opened = _open(walk, row)

    header = opened.locator(".header")
    title = _box(header.locator(".header-title"))
    assert title["width"] > 390 / 2
    assert title["height"] <= 48  # Two lines.
    assert _box(header)["height"] == 56
    expect(header.locator(".button-primary")).to_have_accessible_name(act)


def test_the_header_says_that_a_journey_may_only_be_read(walk: Walk) -> None:
    opened = _open(walk, page("journeys:editor", "slug", "draft", visitor="analyst"))

    word = _box(opened.locator(".header-title").get_by_text("Read-only", exact=False).first)
    title = _box(opened.locator(".header-title"))
    assert word["x"] + word["width"] <= title["x"] + title["width"]
    assert word["y"] + word["height"] <= title["y"] + title["height"]


# --- Lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "lines"),
    [(page("journeys:events", "slug"), 3), (page("journeys:person_page", "slug", "person"), 2)],
)
def test_an_event_takes_few_lines_and_unfolds_over_the_width_of_its_row(
    walk: Walk, row: Row, lines: int
) -> None:
    opened = _open(walk, row)
    event = opened.locator("tr:has(.row-fold)").first
    assert _box(event)["height"] <= (lines + 1) * LINE

    summary = event.get_by_text("Details")
    target = _box(summary)
    assert (target["width"], target["height"]) == (44, 44)
    summary.click()

    assert _box(event.locator("dl"))["width"] == _box(event)["width"]


def test_a_row_that_could_not_be_counted_is_no_higher(walk: Walk) -> None:
    opened = _open(walk, page("journeys:audiences", "slug"))

    gets_none_of_its_parts(opened)

    failed = opened.locator("tr:has(.button-link)")
    counted = opened.locator("tbody tr:not(:has(.button-link))")
    assert _box(failed)["height"] == _box(counted.first)["height"]
    assert _box(failed.locator(".button-link"))["height"] == 44


def test_what_a_list_is_narrowed_to_stands_in_two_columns(walk: Walk) -> None:
    opened = _open(walk, page("journeys:deliveries", "slug"))

    fields = opened.locator("#deliveries-filter > :is(select, button)").all()
    boxes = [_box(field) for field in fields]
    assert len(boxes) == 5
    assert len({box["x"] for box in boxes}) == 2
    assert len({box["x"] + box["width"] for box in boxes}) == 2
    assert len({box["y"] for box in boxes}) == 3


@pytest.mark.parametrize(
    "row",
    [
        page("journeys:list", "new slug", visitor="starter"),
        page("admin:index", visitor="starter"),
        part(
            "journeys:publish",
            "journeys:editor",
            ("slug", "gaps"),
            Step("@journeys:publish", seen=".checklist .push"),
        ),
    ],
)
def test_the_way_to_what_is_missing_stands_below_its_sentence(walk: Walk, row: Row) -> None:
    opened = _open(walk, row)

    item = opened.locator(".checklist > li:has(> .push)").first
    sentence, way = _box(item.locator("> span")), _box(item.locator("> .push"))
    assert way["x"] == sentence["x"]
    assert way["y"] >= sentence["y"] + sentence["height"]


def test_in_the_set_up_filters_wait_behind_their_button(walk: Walk) -> None:
    opened = _open(walk, page("admin:webhooks_webhook_changelist"))

    filters = opened.locator("#changelist-filter")
    expect(filters).to_be_hidden()
    opened.get_by_role("button", name="Filter").click()
    expect(filters).to_be_visible()
