"""The parts of the console in a real browser: look, keyboard, what scripts promise, and axe.

GALLERY=<folder> keeps the screenshots there.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from tests.browser import samples
from tests.browser.site import ORIGIN, Answer, Site

STATIC: Final = Path(settings.BASE_DIR) / "static"
SIZES: Final = {1280: 800, 390: 844}
LOOKS: Final = [(width, theme) for width in SIZES for theme in ("light", "dark")]

Opener = Callable[..., tuple[Page, Site]]


@pytest.fixture
def visit(browser: Browser) -> Any:
    """Open a mock page in a fresh window; whatever the console logs as an error fails the test."""
    pages: list[tuple[Page, Site]] = []

    def open_page(
        path: str, *, width: int = 1280, theme: str = "", language: str = "en"
    ) -> tuple[Page, Site]:
        page = browser.new_page(
            viewport={"width": width, "height": SIZES.get(width, 800)}, reduced_motion="reduce"
        )
        site = Site(page, language=language, theme=theme)
        serve_editor(site)
        page.goto(f"{ORIGIN}{path}")
        pages.append((page, site))
        return page, site

    yield open_page
    problems = [problem for _, site in pages for problem in site.problems]
    for page, _ in pages:
        page.close()
    assert problems == []


def serve_editor(site: Site) -> None:
    def panel(values: dict[str, str]) -> Answer:
        return Answer(template="mock/_panel.html", context=samples.context("panel"))

    def save(values: dict[str, str]) -> Answer:
        form = samples.StepForm(values)
        if form.is_valid():
            return Answer(status=204, events={"toast": {"text": "Saved.", "undo": "/undo/"}})
        context = samples.context("panel") | {"form": form}
        return Answer(status=422, template="mock/_panel.html", context=context)

    def test_send(values: dict[str, str]) -> Answer:
        context = samples.context("test_send") | {
            "result": samples.VERDICTS["failed" if values.get("test_id") == "1" else "accepted"],
            "request_text": samples.REQUEST,
            "answer_text": samples.ANSWER,
        }
        return Answer(template="mock/test_send.html", context=context)

    def insert(values: dict[str, str]) -> Answer:
        text = f"${{{values['variable']}}}"
        return Answer(status=204, events={"variable-insert": {"text": text, "field": "id_content"}})

    for key in ("start", "coupon", "call", "end"):
        site.on("GET", f"/panel/{key}/", panel)
        site.on("POST", f"/panel/{key}/", save)
    site.on("GET", "/variable/", lambda values: _mock("variable"))
    site.on("POST", "/variable/", lambda values: _mock("variable"))
    site.on("POST", "/variable/insert/", insert)
    site.on("GET", "/test/", lambda values: _mock("test_send"))
    site.on("POST", "/test/", test_send)
    site.on("GET", "/publish/", lambda values: _mock("publish"))
    site.on("POST", "/undo/", lambda values: Answer(status=204))
    site.on("GET", "/numbers/", lambda values: Answer(status=204))
    site.on("GET", "/running/", lambda values: _editor(numbers=True))
    site.on(
        "GET",
        "/branches/",
        lambda values: Answer(
            template="mock/editor.html", context=samples.branches() | {"journey": "Two branches"}
        ),
    )
    for act in ("add", "paste", "duplicate", "move", "delete"):
        site.on(
            "POST",
            f"/steps/{act}/",
            lambda values: Answer(
                template="mock/_canvas.html",
                context=samples.canvas(),
                events={"toast": {"text": "Done.", "undo": "/undo/"}},
            ),
        )


def _mock(name: str) -> Answer:
    return Answer(template=f"mock/{name}.html", context=samples.context(name))


def _editor(**more: Any) -> Answer:
    context = samples.canvas(**more) | {"journey": "Spring coupons"}
    return Answer(template="mock/editor.html", context=context)


def open_panel(page: Page) -> None:
    page.locator('.node[data-step="coupon"] .node-main:visible').click()
    expect(page.locator("#panel-title")).to_be_visible()


def open_variable(page: Page) -> None:
    open_panel(page)
    page.locator("[data-insert].button-icon").click()
    expect(page.locator("#dialog[open]")).to_be_visible()


def open_test(page: Page) -> None:
    open_panel(page)
    page.get_by_role("button", name="Test send").click()
    page.locator("#dialog-wide [type=submit]").click()
    expect(page.locator(".verdict")).to_be_visible()


def open_publish(page: Page) -> None:
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#dialog-wide[open]")).to_be_visible()


def open_errors(page: Page) -> None:
    open_panel(page)
    page.locator("#id_name").fill("")
    page.locator("#panel-slot [type=submit]").click()
    expect(page.locator("#id_name_error")).to_be_visible()


def open_guard(page: Page) -> None:
    open_panel(page)
    page.locator("#id_name").fill("Another name")
    page.locator("[data-close-panel]:visible").first.click()
    expect(page.locator("#confirm[open]")).to_be_visible()


def open_menu(page: Page) -> None:
    button = page.locator('[popovertarget="menu-1"]')
    button.click()
    expect(page.locator("#menu-1")).to_be_visible()


def nothing(page: Page) -> None:
    """The page as it comes."""


SCENES: Final[list[tuple[str, str, Callable[[Page], None]]]] = [
    ("journeys", "/journeys/", nothing),
    ("journeys-menu", "/journeys/", open_menu),
    ("editor", "/editor/", nothing),
    ("editor-running", "/running/", nothing),
    ("editor-branches", "/branches/", nothing),
    ("panel", "/editor/", open_panel),
    ("panel-errors", "/editor/", open_errors),
    ("panel-guard", "/editor/", open_guard),
    ("variable", "/editor/", open_variable),
    ("test-send", "/editor/", open_test),
    ("publish", "/editor/", open_publish),
    ("run", "/run/", nothing),
    ("parts", "/parts/", nothing),
    ("login", "/login/", nothing),
]


@pytest.mark.parametrize(("width", "theme"), LOOKS)
@pytest.mark.parametrize(("name", "path", "prepare"), SCENES, ids=[scene[0] for scene in SCENES])
def test_scene(
    visit: Opener, name: str, path: str, prepare: Callable[[Page], None], width: int, theme: str
) -> None:
    page, _ = visit(path, width=width, theme=theme)
    prepare(page)
    page.evaluate("document.fonts.ready")
    keep(page, f"{name}-{width}-{theme}")

    violations = Axe().run(page).response["violations"]
    told = [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in violations]
    assert told == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("GALLERY"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_chinese(visit: Opener, theme: str) -> None:
    page, _ = visit("/journeys/", theme=theme, language="zh-hans")
    keep(page, f"journeys-chinese-{theme}")
    assert page.get_by_role("link", name="旅程").is_visible()


def test_a_variable_goes_in_where_the_cursor_was(visit: Opener) -> None:
    page, _ = visit("/editor/")
    open_panel(page)
    box = page.locator("#id_content")
    box.fill("Hello , welcome")
    box.evaluate("box => box.setSelectionRange(6, 6)")
    page.locator("[data-insert].button-icon").click()
    page.locator("#id_variable_variable").press("Enter")

    expect(box).to_have_value("Hello ${name}, welcome")
    expect(box).to_be_focused()
    assert box.evaluate("box => box.selectionStart") == len("Hello ${name}")
    page.keyboard.press("Control+z")
    expect(box).to_have_value("Hello , welcome")


def test_changes_are_never_lost_without_a_question(visit: Opener) -> None:
    page, site = visit("/editor/")
    open_guard(page)
    page.get_by_role("button", name="Keep editing").click()
    expect(page.locator("#id_name")).to_have_value("Another name")

    page.locator('.node[data-step="start"] .node-main:visible').click()
    expect(page.locator("#confirm[open]")).to_be_visible()
    page.locator("#confirm").get_by_role("button", name="Save").click()

    expect(page.locator("#confirm")).to_be_hidden()
    expect(page.locator("#id_name")).to_have_value("Coupon for members")
    assert [path for path, _ in site.posts] == ["/panel/coupon/"]
    assert site.posts[0][1]["name"] == "Another name"


def test_discarding_closes_the_panel_and_focuses_the_step(visit: Opener) -> None:
    page, site = visit("/editor/")
    open_guard(page)
    page.get_by_role("button", name="Discard").click()

    expect(page.locator(".panel")).to_have_count(0)
    expect(page.locator('.node[data-step="coupon"] .node-main:visible')).to_be_focused()
    assert site.posts == []


def test_a_saved_panel_closes_with_a_toast(visit: Opener) -> None:
    page, site = visit("/editor/")
    open_panel(page)
    page.locator("#id_name").fill("Another name")
    page.locator("#panel-slot [type=submit]").click()

    expect(page.locator(".toast")).to_contain_text("Saved.")
    expect(page.locator(".panel")).to_have_count(0)
    page.keyboard.press("Control+z")
    # Sooner than it goes by itself.
    expect(page.locator(".toast")).to_have_count(0, timeout=4_000)
    assert [path for path, _ in site.posts] == ["/panel/coupon/", "/undo/"]


def test_the_canvas_by_keyboard(visit: Opener) -> None:
    page, site = visit("/editor/")
    stops = page.locator('[data-canvas] .node-main[tabindex="0"]:visible')
    expect(stops).to_have_count(1)

    stops.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator('.node[data-step="coupon"] .node-main:visible')).to_be_focused()
    page.keyboard.press("Control+c")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Control+v")
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator('.node[data-step="call"] .node-main:visible')).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator("#menu-add .menu-item").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_have_count(2)
    page.locator('.node[data-step="coupon"] .node-main:visible').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#panel-title")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator('.node[data-step="coupon"] .node-main:visible')).to_be_focused()

    assert site.posts == [
        ("/steps/paste/", {"revision": "7", "step": "call", "source": "coupon"}),
        ("/steps/add/", {"revision": "7", "after": "call", "kind": "webhook"}),
    ]


def test_arrows_walk_between_branches(visit: Opener) -> None:
    page, _ = visit("/branches/")
    page.locator('.node[data-step="left"] .node-main:visible').focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator('.node[data-step="right"] .node-main:visible')).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator('.node[data-step="judge"] .node-main:visible')).to_be_focused()


def test_an_unreachable_server_offers_to_try_again(visit: Opener) -> None:
    page, site = visit("/editor/")
    page.context.set_offline(True)
    page.route("**/panel/coupon/", lambda route: route.abort())
    page.locator('.node[data-step="coupon"] .node-main:visible').click()
    expect(page.locator(".toast-error")).to_contain_text("cannot be reached")

    page.context.set_offline(False)
    page.unroute("**/panel/coupon/")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#panel-title")).to_be_visible()
    site.problems.clear()


def test_an_open_menu_stays_at_its_button_when_the_window_changes(visit: Opener) -> None:
    page, _ = visit("/journeys/")
    open_menu(page)
    page.set_viewport_size({"width": 1000, "height": 700})

    page.wait_for_function(
        """() => {
          const box = (selector) => document.querySelector(selector).getBoundingClientRect();
          const [menu, button] = [box("#menu-1:popover-open"), box("[popovertarget=menu-1]")];
          return Math.abs(menu.right - button.right) <= 1 && menu.top - button.bottom === 4;
        }"""
    )


def test_an_open_menu_goes_when_the_window_has_no_room_for_its_button(visit: Opener) -> None:
    page, _ = visit("/journeys/")
    page.locator("[popovertarget=menu-user]").click()
    expect(page.locator("#menu-user")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})

    expect(page.locator("#menu-user")).to_be_hidden()


def test_icons_and_words_of_the_drawer_stand_below_each_other(visit: Opener) -> None:
    page, _ = visit("/journeys/", width=390)
    page.locator(".header-menu").click()
    expect(page.locator("#nav")).to_be_visible()

    lefts = page.evaluate(
        """() => {
          const left = (node) => {
            const range = document.createRange();
            range.selectNodeContents(node.querySelector("span") ?? node.lastChild);
            return Math.round(range.getBoundingClientRect().left);
          };
          const rows = [...document.querySelectorAll("#nav :is(.nav-link, .nav-foot .menu-item)")];
          return rows.map(left);
        }"""
    )
    assert len(lefts) > 5
    assert len(set(lefts)) == 1, lefts


def test_colours_stand_in_the_tokens_file_only() -> None:
    colour = re.compile(r"#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(", re.IGNORECASE)
    sheets = [sheet for sheet in (STATIC / "css").glob("*.css") if sheet.name != "tokens.css"]

    assert [sheet.name for sheet in sheets if colour.search(sheet.read_text())] == []


def test_own_css_and_js_stay_under_300_kb() -> None:
    files = [*(STATIC / "css").glob("*.css"), *(STATIC / "js").glob("*.js")]

    assert sum(file.stat().st_size for file in files) < 300_000


def test_every_icon_named_in_a_template_is_in_the_sprite() -> None:
    sprite = (STATIC / "img/icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    named = {
        name
        for folder in settings.TEMPLATES[0]["DIRS"]
        for template in Path(folder).rglob("*.html")
        for name in re.findall(r'_icon\.html" with name="([^"]+)"', template.read_text())
    }

    assert named - known == set()


def test_what_a_message_needs_without_a_connection_is_drawn_as_in_the_sprite() -> None:
    drawn = r'<symbol id="(?:icon-)?{}"(.+?)</symbol>'
    sprite = (STATIC / "img/icons.svg").read_text()
    page = (Path(settings.BASE_DIR) / "templates/includes/_texts.html").read_text()

    own = re.findall(r'<symbol id="icon-([^"]+)"', page)

    assert {"alert-circle", "x"} <= set(own)
    for name in own:
        of_both = [re.search(drawn.format(name), text, re.DOTALL) for text in (sprite, page)]
        assert all(of_both)
        assert len({found[1] for found in of_both if found}) == 1
