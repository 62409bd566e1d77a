"""One browser that opens page after page and says what is wrong with them; see ``pages.py``.

GALLERY=<folder> keeps a picture of each page in each look, and has axe read all of them;
SCREENSHOTS=docs/images keeps those of the documentation.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as django_settings
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import NoReverseMatch, reverse
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize
from playwright.sync_api import TimeoutError as TookTooLong

from tests.browser.chinese import foreign_words, spaces
from tests.browser.pages import ASKS, PARTLY_ENGLISH, Row, Step, key_of
from tests.browser.shop import CHINESE, CODES, Shop
from tests.factories import PASSWORD, make_user
from tests.workspaces.test_second_step import log_in, turn_on
from webhooks.admin.pages import SHOWN_ONCE
from workspaces.choices import Language

GALLERY: Final = os.environ.get("GALLERY")
Scheme = Literal["light", "dark"]


class Look(NamedTuple):
    width: int
    scheme: Scheme
    options: dict[str, Any] | None  # axe's; None: it has read the page at this size


# Contrast takes most of axe's time, so that it is asked by itself, of what is not drawn like
# anything before.
EVERYTHING: Final = {
    "resultTypes": ["violations"],
    "rules": {"color-contrast": {"enabled": False}},
}
# What another theme can spoil.
COLOURS: Final = {"resultTypes": ["violations"], "runOnly": ["link-in-text-block"]}
LOOKS: dict[str, tuple[Look, ...]] = {
    Language.ENGLISH: (
        Look(1280, "light", EVERYTHING),
        Look(1280, "dark", COLOURS),
        Look(390, "dark", None),
        Look(390, "light", None),
    ),
    Language.CHINESE: (
        Look(1280, "light", None),
        Look(1280, "dark", None),
        Look(390, "dark", COLOURS),
        Look(390, "light", EVERYTHING),
    ),
}
if GALLERY:  # Who keeps the pictures has the time to read every page in every look.
    LOOKS = {
        language: tuple(look._replace(options=EVERYTHING) for look in looks)
        for language, looks in LOOKS.items()
    }
# The documentation's pictures.
DOCUMENTED: Final = {
    "journeys_list_1280_light_en": "journeys",
    "journeys_run_1280_dark_en": "run-dark",
}
HEIGHTS: Final = {1280: 800, 390: 844}
# Text is drawn alike where it has the same colour, size and weight, and all that it lies in the
# same ground and whatever hides. Of each kind one is asked about, until axe has judged one.
RUN_AXE: Final = """
async ([options, judged]) => {
  const PLAIN = "rgba(0, 0, 0, 0),none,1,none,normal,static,visible,auto,none,none";
  const style = (node, ...names) => {
    const all = getComputedStyle(node);
    return names.map((name) => all[name]).join();
  };
  const grounds = new Map([[null, ""]]);
  const ground = (node) => {
    if (!grounds.has(node)) {
      const own = style(node, "backgroundColor", "backgroundImage", "opacity", "filter",
        "mixBlendMode", "position", "overflow", "clip", "clipPath", "transform");
      grounds.set(node, ground(node.parentElement) + (own === PLAIN ? "" : `>${own}`));
    }
    return grounds.get(node);
  };
  const kind = (node) => [
    node.localName, node.type, !!node.closest(":disabled, [aria-disabled=true]"),
    !!node.closest("label")?.control?.disabled,
    style(node, "color", "fontSize", "fontWeight", "visibility", "textShadow", "textIndent",
      "webkitTextStrokeWidth", "webkitTextStrokeColor"),
    ground(node),
  ].join();
  const hasText = (node) => node.matches("input, select, textarea")
    || [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
  const fresh = new Map();
  for (const node of document.querySelectorAll("body *"))
    if (hasText(node) && node.checkVisibility() && !judged.includes(kind(node))
      && !fresh.has(kind(node))) fresh.set(kind(node), node);
  const { violations } = await axe.run(options);
  const seen = [];
  if (fresh.size) {
    const contrast = await axe.run({ include: [...fresh.values()] },
      { resultTypes: ["violations", "passes"], runOnly: ["color-contrast"], elementRef: true });
    violations.push(...contrast.violations);
    for (const { nodes } of [...contrast.violations, ...contrast.passes])
      seen.push(...nodes.map(({ element }) => kind(element)));
  }
  return [seen, violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`
  )];
}
"""
# How far parts of the page jumped while it came, beside what somebody's key or click moved.
WATCH: Final = """
if (window.shifted === undefined) {  // The page is asked to do this again before each address.
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!entry.hadRecentInput) window.shifted += entry.value;
    }
  }).observe({ type: "layout-shift", buffered: true });
}
"""
SHIFT: Final = 0.02
# What is still counted says so: its request may begin a little later.
SETTLED: Final = """
() => !document.querySelector(".htmx-request, [aria-busy=true], #swagger-ui:not(:has(.opblock))")
  && ![...document.querySelectorAll(".slow-note")].some((note) => note.getClientRects().length)
  && document.fonts.ready.then(() => true)
"""
# What stands in the window, whatever the length of the page behind it.
IN_WINDOW: Final = "dialog[open], :is(.menu, .nav):popover-open, aside.panel"
# Whoever looks through the pictures sees the hosts of an installation, not those of the walk.
NAME_HOSTS: Final = """
(hosts) => {
  const named = (text) => hosts.reduce((said, [from, to]) => said.replaceAll(from, to), text);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data } = walker.currentNode;
    if (named(data) !== data) walker.currentNode.data = named(data);
  }
  for (const field of document.querySelectorAll("input:not([type=file]), textarea"))
    if (named(field.value) !== field.value) field.value = named(field.value);
}
"""
LOCALES: Final = {Language.ENGLISH: "en-GB", Language.CHINESE: "zh-CN"}
CLOSED: Final = """() => !document.querySelector(".menu:popover-open")"""
UNREACHED: Final = re.compile(r"net::ERR_|console: (htmx:|Response Status Error)")
TOO_WIDE: Final = """
() => document.documentElement.scrollWidth > innerWidth ? ["scrolls sideways"] : []
"""


# What a rule of the look says, asked of every page at once.
BROKEN_RULES: Final = """() => {
  const broken = [];
  const seen = (node) => node.getClientRects().length > 0;
  const all = [...document.querySelectorAll("body *")].filter(seen);
  const style = (node) => getComputedStyle(node);
  const name = (node) => `${node.tagName}.${node.className}#${node.id}`;
  for (const node of all) {
    if (style(node).letterSpacing !== "normal") broken.push(`letter-spacing: ${name(node)}`);
    if (style(node).textTransform === "uppercase" && !node.matches(".avatar"))
      broken.push(`capitals: ${name(node)}`);
    const isCode = node.closest("pre, code, svg, textarea");
    if (!isCode && !style(node).fontFamily.includes("Inter"))
      broken.push(`font: ${name(node)}`);
    const size = parseFloat(style(node).fontSize);
    const says = [...node.childNodes].filter((one) => one.nodeType === 3)
      .map((one) => one.data).join(" ").trim();
    // 0: an icon stands for the words on a phone.
    if (says && ![0, 12, 14, 16, 20].includes(size)) broken.push(`size: ${name(node)} ${size}`);
    if (says && !["400", "500", "600"].includes(style(node).fontWeight))
      broken.push(`weight: ${name(node)} ${style(node).fontWeight}`);
    if (!isCode && /[!！]|\\p{Extended_Pictographic}/u.test(says)) broken.push(`shouts: ${says}`);
    if (style(node).boxShadow !== "none" && !node.closest("dialog, .menu, .toast, .nav"))
      broken.push(`shadow: ${name(node)}`);
    if (node.matches(".button-icon") && !(node.title && node.ariaLabel))
      broken.push(`no tooltip or name: ${name(node)}`);
  }
  const end = (place) => document.querySelector(place)?.getBoundingClientRect().bottom ?? 0;
  const hasLabel = document.querySelector(".header-title > .nowrap");
  if (hasLabel && end(".header-title") > end(".header") + 1)
    broken.push("a name reaches below the header");
  if (innerWidth >= 768) {
    const height = (node) => Math.round(node.getBoundingClientRect().height);
    const header = document.querySelector(".header");
    if (header && height(header) !== 56) broken.push(`header: ${height(header)}`);
    const boxes = "input:not([type=checkbox], [type=radio], [type=file]), select:not([multiple])";
    const buttons = ".button:not(.button-link, .button-icon)";
    for (const node of all.filter((one) => one.matches(`${boxes}, ${buttons}`)))
      if (height(node) !== (node.closest(".toolbar, .button-small") ? 32 : 36)
        && !(height(node) === 32 && node.closest(".search")))
        broken.push(`36 or 32: ${name(node)} ${height(node)}`);
    for (const row of all.filter((one) => one.matches(".table tbody tr")))
      if (height(row) < 40) broken.push(`row: ${height(row)}`);
  }
  const grounds = new Set(all.filter((one) => one.matches("#result_list tbody tr"))
    .map((row) => style(row).backgroundColor));
  if (grounds.size > 1) broken.push("zebra");
  for (const code of document.querySelectorAll("img[src^='data:image/svg']"))
    if (style(code).backgroundColor !== "rgb(255, 255, 255)")
      broken.push("a code that no camera reads on a dark page");
  const view = [...document.querySelectorAll("dialog[open]")].pop() ?? document;
  const accent = document.body.appendChild(document.createElement("i"));
  accent.style.color = "var(--accent)";
  const { color } = style(accent);
  accent.remove();
  const filled = all.filter((one) => one.matches("button, .button, input[type=submit]")
    && view.contains(one) && style(one).backgroundColor === color);
  if (filled.length > 1) broken.push("two filled buttons");
  if (document.documentElement.scrollWidth > innerWidth) broken.push("scrolls sideways");
  return broken;
}"""
# Swagger draws this page, for developers: English, and in its own markup it breaks these rules.
SWAGGER: Final = "api_docs"
SWAGGERS: Final = ("heading-order: ", "nested-interactive: ", "region: ")


class Walk:
    """One browser that opens page after page, and what was wrong with them."""

    def __init__(
        self,
        browser: Browser,
        address: str,
        shop: Shop,
        *,
        looks: Mapping[str, Sequence[Look]] = LOOKS,
        also: Sequence[str] = (),
    ) -> None:
        """Start nothing yet.

        Args:
            also: scripts that return what else is wrong, asked in each look.
        """
        self.browser, self.address, self.shop = browser, address, shop
        self.looks, self.also = looks, also
        self.wrong: list[str] = []
        self.refused: set[str] = set()
        self._clients = _clients(shop)
        shop.values |= key_of(shop.newcomer)
        self._judged: set[str] = set()  # Kinds of text whose contrast axe has judged.
        self._schemes: dict[Page, Scheme] = {}
        self._said: list[str] = []
        self._pages: dict[str, Page] = {}
        self._visitor = ""

    def look_at(self, row: Row, address: str = "") -> None:
        """Open the page, do its steps, and look at it in every way."""
        if row.before:
            row.before(self.shop)
        page = self.page_of(row.visitor)
        page.context.set_offline(False)
        page.unroute_all()
        self._said.clear()
        answer = page.goto((address or self.address_of(row.on or row.name, row)) + row.query)
        assert answer is not None
        if answer.status == 403 != row.status and address:
            self.refused.add(row.name)
            return
        if answer.status != row.status:
            self.wrong.append(f"{row.title}: {answer.status} at {page.url}")
            return
        if row.network:
            row.network(page)
        try:
            self.do_all(page, row.steps, row)
            self._look(page, row)
        except TookTooLong as error:
            self.wrong.append(f"{row.title}: {error.message}")

    def look_at_answer(self, title: str, answer: HttpResponse) -> None:
        page = self.page_of("anonymous")
        page.unroute_all()
        page.route(
            "**/error/",
            lambda route: route.fulfill(
                body=answer.content, status=answer.status_code, content_type="text/html"
            ),
        )
        page.goto("/error/")
        self._look(page, Row(title))

    def address_of(self, name: str, row: Row) -> str:
        """Return the address, which takes as many of the row's arguments as it has room for."""
        for count in range(len(row.arguments), -1, -1):
            try:
                return reverse(name, args=[self.shop.values[one] for one in row.arguments[:count]])
            except NoReverseMatch:
                continue
        raise AssertionError(f"No address for {name}.")

    def do_all(self, page: Page, steps: Sequence[Step], row: Row) -> None:
        for step in steps:
            self.do(page, step, row)
            page.locator(step.seen).first.wait_for()
            if not row.network:  # What is slow for good never settles.
                page.wait_for_function(SETTLED)
        page.mouse.move(0, 0)  # No button looks as if it were about to be pressed.

    def do(self, page: Page, step: Step, row: Row) -> None:
        for selector, value in step.fields:
            field = page.locator(selector)
            if selector.endswith("[type=file]"):
                content = value.encode()
                field.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": content})
            elif selector.startswith("select"):
                field.select_option(value)
            else:
                field.fill(self.shop.word(value) if value in CHINESE else value)
        if step.meanwhile:
            step.meanwhile(self.shop)
        click = step.click
        if click.startswith("@"):
            click = ASKS.format(self.address_of(click.removeprefix("@"), row))
        page.locator(click).first.click()

    def _look(self, page: Page, row: Row) -> None:
        if not row.network:
            page.wait_for_function(SETTLED)
        found: set[str] = set()
        if not row.steps and (shifted := page.evaluate("window.shifted")) >= SHIFT:
            found.add(f"jumps by {shifted:.3f} while it loads")
        if self.shop.language == Language.CHINESE and not PARTLY_ENGLISH.fullmatch(row.title):
            found |= {f"English: {word}" for word in foreign_words(page, names=CODES)}
            found |= {f"space: {where}" for where in spaces(page)}
        # What cannot be reached on purpose is written down too.
        found |= {each for each in self._said if not (row.network and UNREACHED.search(each))}
        for look in self.looks[self.shop.language]:
            if look.options is None and look.scheme == "dark" and not GALLERY:
                continue
            if look.width not in row.widths:
                continue
            before = page.viewport_size
            self._show(page, look.width, look.scheme)
            if row.narrow and before != page.viewport_size:
                page.wait_for_function(CLOSED)
                self.do_all(page, row.narrow, row)
            self._keep(page, f"{row.title}_{look.width}_{look.scheme}_{self.shop.language}")
            name = f"{look.width} {look.scheme}: "
            theirs = SWAGGERS if row.name == SWAGGER else ()
            if look.options:
                judged, broken = page.evaluate(RUN_AXE, [look.options, sorted(self._judged)])
                self._judged |= set(judged)
                found |= {name + each for each in broken if not each.startswith(theirs)}
            for script in self.also:
                found |= {name + each for each in page.evaluate(script)}
            rules = TOO_WIDE if row.name == SWAGGER else BROKEN_RULES
            found |= {name + each for each in page.evaluate(rules)}
        self.wrong += [f"{row.title}: {each}" for each in sorted(found)]

    def page_of(self, visitor: str) -> Page:
        """Return the visitor's page, which keeps what it has fetched; nobody else's asks on."""
        if visitor != self._visitor and self._visitor in self._pages:
            self._pages[self._visitor].goto("about:blank")
        self._visitor = visitor
        if visitor not in self._pages:
            self._pages[visitor] = self._new_page(visitor)
        page = self._pages[visitor]
        self._show(page, 1280, "light")
        return page

    def _show(self, page: Page, width: int, scheme: Scheme) -> None:
        """Change what is otherwise: each change waits for the page to be drawn anew."""
        if self._schemes.get(page) != scheme:
            page.emulate_media(color_scheme=scheme)
            self._schemes[page] = scheme
        size: ViewportSize = {"width": width, "height": HEIGHTS[width]}
        if page.viewport_size != size:
            page.set_viewport_size(size)

    def _new_page(self, visitor: str) -> Page:
        context = self.browser.new_context(
            base_url=self.address,
            reduced_motion="reduce",
            locale=LOCALES[Language(self.shop.language)],
        )
        cookies = {django_settings.LANGUAGE_COOKIE_NAME: self.shop.language}
        if visitor in self._clients:
            name = django_settings.SESSION_COOKIE_NAME
            cookies[name] = self._clients[visitor].cookies[name].value
        context.add_cookies(
            [{"name": name, "value": value, "url": self.address} for name, value in cookies.items()]
        )
        if any(look.options for look in self.looks[self.shop.language]):
            context.add_init_script(Axe().axe_script)  # The browser keeps it for every page.
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self._note(visitor, f"error: {error}"))
        page.on("console", lambda message: self._note_console(visitor, message))
        return page

    def _keep(self, page: Page, name: str) -> None:
        if (folder := os.environ.get("SCREENSHOTS")) and name in DOCUMENTED:
            page.screenshot(path=Path(folder) / f"{DOCUMENTED[name]}.png")
        if not GALLERY:
            return
        Path(GALLERY).mkdir(parents=True, exist_ok=True)
        ours, theirs = urlsplit(self.address).netloc, f"127.0.0.1:{self.shop.receiver.port}"
        hosts = [
            (f"http://{ours}", "https://beckon.example.com"),
            (f"http://{theirs}", "https://crm.example.com"),
            (ours, "beckon.example.com"),
            (theirs, "crm.example.com"),
        ]
        page.evaluate(NAME_HOSTS, hosts)
        window = page.viewport_size
        assert window is not None
        is_long = not page.locator(IN_WINDOW).count()
        height = page.evaluate("document.documentElement.scrollHeight")
        if is_long and height > window["height"]:
            # What sticks to the window's edge stands at the page's, and covers nothing.
            page.set_viewport_size({"width": window["width"], "height": height})
        page.screenshot(path=Path(GALLERY) / f"{name}.png", full_page=is_long)
        page.set_viewport_size(window)

    def close(self) -> None:
        for page in self._pages.values():
            page.context.close()

    def _note(self, visitor: str, text: str) -> None:
        if visitor == self._visitor:  # Whoever left a page is not answered for.
            self._said.append(text)

    def _note_console(self, visitor: str, message: ConsoleMessage) -> None:
        # The page's own status, asked for on purpose, is written down too.
        if message.type == "error" and "the server responded with a status" not in message.text:
            self._note(visitor, f"console: {message.text}")


def _clients(shop: Shop) -> dict[str, Client]:
    """Log every visitor in: by password where the page wants to know when that was."""
    secured = make_user(
        name=shop.word("Zhou Ting"), email="zhou.ting@example.com", language=shop.language
    )
    clients = {"administrator": log_in(shop.administrator)[0], "secured": log_in(secured)[0]}
    again = {"password": PASSWORD}
    clients["administrator"].post("/accounts/reauthenticate/", again)
    turn_on(clients["secured"])
    cache.clear()
    clients["half"] = log_in(secured)[0]
    for visitor, user in (
        ("operator", shop.operator),
        ("marketer", shop.scene.member),
        ("newcomer", shop.newcomer),
        ("starter", shop.starter),
        ("beginner", shop.beginner),
        ("analyst", shop.analyst),
        ("developer", shop.developer),
    ):
        clients[visitor] = Client()
        clients[visitor].force_login(user)
    session = clients["administrator"].session
    session[SHOWN_ONCE] = [shop.values["secret"]]
    session.save()
    return clients
