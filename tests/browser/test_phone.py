"""The console on a phone: names have room, rows are short, edges stand below each other."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.pages import CONSOLE, Row, Step, page, part
from tests.browser.shop import Shop
from tests.browser.states import STATES, gets_none_of_its_parts, is_full
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
    if row.network:
        row.network(opened)
    for step in row.steps:
        walk.do(opened, step, row)
        opened.locator(step.seen).first.wait_for()
    if not row.network:
        opened.wait_for_function(SETTLED)
    return opened


def _row(title: str) -> Row:
    return next(row for row in (*CONSOLE, *STATES) if row.title == title)


def _style(found: Locator, name: str, pseudo: str = "") -> str:
    value = found.evaluate(
        "(node, [name, pseudo]) => getComputedStyle(node, pseudo).getPropertyValue(name)",
        [name, pseudo],
    )
    return str(value)


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


def test_what_a_row_says_stands_out_from_what_it_is_called(walk: Walk) -> None:
    opened = _open(walk, page("journeys:list", "slug"))
    cells = opened.locator("td[data-label]:visible")

    assert cells.count()
    assert _style(cells.first, "color") != _style(cells.first, "color", "::before")
    assert _style(cells.first, "color") == _style(opened.locator("tbody th a").first, "color")
    assert "–" not in "".join(cells.all_inner_texts())


def test_digits_of_one_width_are_for_numbers_alone(walk: Walk) -> None:
    opened = _open(walk, page("journeys:people", "slug"))
    opened.locator("td.number").first.wait_for()

    assert _style(opened.locator("td.number").first, "font-variant-numeric") == "tabular-nums"
    for words in ("tbody th", ".meta", "input[type=search]"):
        assert _style(opened.locator(words).first, "font-variant-numeric") == "normal"


def test_a_bar_of_states_goes_on_at_the_edge_and_one_alone_is_left_out(walk: Walk) -> None:
    opened = _open(walk, page("journeys:list", "slug"))
    assert _style(opened.locator(".segments"), "border-radius") == "0px"

    opened = _open(walk, page("journeys:list", "slug", query="?q=nothing"))
    expect(opened.locator(".segments")).to_be_hidden()


def test_five_figures_leave_no_place_empty(walk: Walk) -> None:
    opened = _open(walk, _row("run_finished"))

    figures = opened.locator(".figure").all()
    widths = [_box(figure)["width"] for figure in figures]
    assert len(widths) == 5
    assert widths[0] == pytest.approx(2 * widths[1], abs=1)
    assert len({round(width) for width in widths[1:]}) == 1


# --- Messages, menus and sheets -------------------------------------------------------------------


def test_a_message_covers_no_button_of_a_sheet_and_not_the_foot_of_a_page(walk: Walk) -> None:
    opened = _open(walk, _row("panel_no_webhook"))
    message, buttons = _box(opened.locator(".toast").last), _box(opened.locator(".panel-footer"))
    assert message["y"] + message["height"] <= buttons["y"]

    opened = _open(walk, _row("panel_failed"))
    message, foot = _box(opened.locator(".toast").last), _box(opened.locator(".foot"))
    assert message["y"] + message["height"] <= foot["y"]


def test_a_message_has_its_icons_when_nothing_can_be_fetched(walk: Walk) -> None:
    opened = _open(walk, _row("panel_failed"))

    icons = opened.locator(".toast-error use")
    assert icons.count() == 2
    for icon in icons.all():
        assert (icon.get_attribute("href") or "").startswith("#icon-")
        assert icon.evaluate("(node) => node.getBBox().width > 0")


def test_a_menu_is_not_seen_before_it_has_its_place(walk: Walk) -> None:
    opened = _open(walk, page("journeys:list", "slug"))
    menu = opened.locator(".menu[id^=menu-]").last
    button = opened.locator(f"[popovertarget={menu.get_attribute('id')}]").first

    seen = button.evaluate(
        "(button) => { button.click(); return button.popoverTargetElement.checkVisibility("
        "{ visibilityProperty: true }); }"
    )

    assert not seen
    expect(menu).to_be_visible()
    assert _box(menu)["y"] > 0


def test_a_menu_tells_no_keys_where_there_is_no_keyboard(walk: Walk) -> None:
    opened = _open(walk, _row("menu_step"))

    keys = opened.locator("#menu-step .menu-keys")
    assert keys.count()
    for each in keys.all():
        expect(each).to_be_hidden()
    opened.locator("[data-step-action=copy]").click()
    expect(opened.locator(".toast")).to_contain_text("Paste it from the menu of a +.")


def test_the_zone_of_a_sheet_stands_above_its_buttons(walk: Walk) -> None:
    opened = _open(walk, _row("panel_no_webhook"))

    zone, buttons = _box(opened.locator(".sheet-zone")), _box(opened.locator(".panel-footer"))
    assert zone["y"] + zone["height"] == pytest.approx(buttons["y"] - 16, abs=1)


def test_words_after_numbers_begin_where_the_row_begins(walk: Walk) -> None:
    opened = _open(walk, page("journeys:events", "slug"))

    row = opened.locator(".table-figures tbody tr").first
    name, words = _box(row.locator("th")), _box(row.locator("td").last)
    assert words["x"] == name["x"]
    assert _style(row.locator("td").last, "padding-left") == "0px"


def test_one_line_stands_in_the_middle_of_its_box(walk: Walk) -> None:
    opened = _open(walk, _row("journeys_panel"))

    text = opened.locator("aside.panel textarea").first
    assert _box(text)["height"] == 44
    assert _style(text, "padding-top") == _style(text, "padding-bottom") == "11px"


def test_an_icon_stands_beside_the_first_line_of_what_it_remarks(walk: Walk) -> None:
    opened = _open(walk, _row("people_first_use"))
    notice = opened.locator(".notice:visible").first
    box, icon, words = (_box(notice.locator(each)) for each in ("xpath=.", ".icon", ".notice-body"))
    assert icon["y"] - words["y"] == 2
    way = _box(notice.locator(".button-link"))
    # Its target is 44 high, its words are a line.
    assert box["y"] + box["height"] - way["y"] - way["height"] == pytest.approx(13 - 12, abs=0.5)

    opened = _open(walk, _row("publish_gaps"))
    for item in opened.locator(".checklist > li").all():
        icon, words = _box(item.locator(".icon").first), _box(item.locator("> span"))
        assert icon["y"] - words["y"] == 2


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
