"""What may grow without breaking a page: its words, by two fifths, and its parts as they arrive."""

import re
from pathlib import Path
from typing import Any, Final

import polib
import pytest
from django.conf import settings as django_settings
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.pages import CONSOLE, SET_UP, Row, page
from tests.browser.shop import Shop
from tests.browser.states import STATES
from tests.browser.walk import SHIFT, Look, Walk
from workspaces.choices import Language

pytestmark = pytest.mark.django_db(transaction=True)

# -- Long words ------------------------------------------------------------------------------------

CATALOGUE: Final = Path(django_settings.BASE_DIR) / "locale/zh_Hans/LC_MESSAGES/django.po"
# What code fills in, and marks of HTML: they stay as they are.
_KEPT: Final = re.compile(
    r"(%\([a-z_]+\)[sd]|%[sd%]|\$?\{+[^}]*\}+|<[^>]+>|&\w+;|https?://\S+|/\S+)"
)
_VOWELS: Final = str.maketrans(
    {"a": "áa", "e": "ée", "i": "íi", "o": "óo", "u": "úu", "A": "ÁA", "E": "ÉE", "O": "ÓO"}
)
# Pages of the set-up; what they are made of is shared by all.
MODELS: Final = (
    page("admin:webhooks_webhook_changelist"),
    page("admin:webhooks_webhook_add"),
    page("admin:webhooks_webhook_change", "webhook"),
    page("admin:webhooks_delivery_changelist"),
    page("admin:identity_audience_change", "audience"),
    page("admin:workspaces_membership_changelist"),
    page("admin:workspaces_role_changelist"),
    page("admin:workspaces_auditentry_changelist"),
)
# The states that hold the most words beside each other, in the order of ``STATES``.
CROWDED: Final = {
    "test_wrong",
    "publish_wrong_number",
    "audience_upload_look",
    "panel_conflict",
    "audience_conflict",
    "journeys_list_full",
    "panel_full",
    "publish_full",
    "run_full",
}
PARTS: Final = {
    "console": (*CONSOLE, *(row for row in STATES if row.title in CROWDED)),
    "set_up": (*SET_UP, *MODELS),
}
LOOKS: Final = {
    Language.ENGLISH.value: (Look(1280, "light", None), Look(390, "light", None)),
}
# A word without room: its text goes beyond its box, or is cut there. A journey's name may be.
CLIPPED: Final = """() => {
  const wanted = "button, .button, label, legend, th, summary, .tab, .state, h1, h2, nav a, dt";
  const room = (node) => node.scrollWidth - node.clientWidth;
  return [...document.querySelectorAll(wanted)]
    .filter((node) => node.getClientRects().length > 0 && node.clientWidth > 1)
    .filter((node) => getComputedStyle(node).display !== "inline" && room(node) > 1)
    .filter((node) => node.tagName !== "H1" || getComputedStyle(node).textOverflow !== "ellipsis")
    .map((node) => `clipped by ${room(node)}: ${node.tagName}.${node.className} `
      + node.textContent.trim().replace(/\\s+/g, " ").slice(0, 60));
}"""


def longer(text: str) -> str:
    """Return the text with words as long as German ones: every vowel twice, in brackets."""
    pieces = _KEPT.split(text)
    grown = "".join(
        each if place % 2 else each.translate(_VOWELS) for place, each in enumerate(pieces)
    )
    space = len(text) - len(text.lstrip())
    return f"{text[:space]}[{grown[space:]}]"


@pytest.fixture
def pseudo_locale(settings: Any, tmp_path: Path) -> None:
    """English, with a catalogue that makes every text longer."""
    folder = tmp_path / "en/LC_MESSAGES"
    folder.mkdir(parents=True)
    made = polib.POFile()
    made.metadata = {
        "Content-Type": "text/plain; charset=utf-8",
        "Plural-Forms": "nplurals=2; plural=(n != 1);",
    }
    for entry in polib.pofile(str(CATALOGUE)):
        if entry.obsolete:
            continue
        plural = {0: longer(entry.msgid), 1: longer(entry.msgid_plural)}
        made.append(
            polib.POEntry(
                msgctxt=entry.msgctxt,
                msgid=entry.msgid,
                msgid_plural=entry.msgid_plural,
                msgstr="" if entry.msgid_plural else longer(entry.msgid),
                msgstr_plural=plural if entry.msgid_plural else {},
            )
        )
    made.save_as_mofile(str(folder / "django.mo"))
    settings.LOCALE_PATHS = [tmp_path]


def test_the_longer_text_keeps_its_places() -> None:
    text = longer("Of %(count)d people, <b>${name}</b> waits.")

    assert text == "[ÓOf %(count)d péeóoplée, <b>${name}</b> wáaíits.]"
    assert len(longer("Administrator")) / len("Administrator") > 1.4


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", list(PARTS))
def test_long_words_break_no_page(
    browser: Browser, live_server: LiveServer, pseudo_locale: None, shop: Shop, part: str
) -> None:
    walk = Walk(browser, live_server.url, shop, looks=LOOKS, also=[CLIPPED])
    for row in PARTS[part]:
        if row.name != "api_docs":
            walk.look_at(row)
    walk.close()

    assert walk.wrong == [], "\n" + "\n".join(walk.wrong)


# -- Parts that arrive later -----------------------------------------------------------------------

STEADY: Final = (
    page("journeys:list", "slug"),
    page("journeys:list", "new slug", visitor="starter", as_="first_use"),
    page("journeys:editor", "slug", "draft"),
    page("journeys:editor", "slug", "running", as_="running"),
    page("journeys:run", "slug", "running", "run"),
    page("journeys:versions", "slug", "running"),
    page("journeys:deliveries", "slug"),
    page("journeys:why", "slug", "finished", "finished run", "person"),
    page("journeys:people", "slug"),
    page("journeys:person_page", "slug", "person"),
    page("journeys:audiences", "slug"),
    page("journeys:audience", "slug", "audience"),
    page("journeys:audience", "slug", "rules", as_="audience_rules"),
    page("journeys:audience", "slug", "rules", visitor="marketer", as_="audience_read_only"),
    page("journeys:events", "slug"),
    page("journeys:audience_new", "slug"),
    page("workspaces:notices"),
    page("workspaces:settings"),
    page("admin:index"),
    page("admin:webhooks_webhook_changelist"),
    page("admin:webhooks_webhook_change", "webhook"),
    page("admin:webhooks_delivery_changelist"),
    page("admin:workspaces_membership_changelist"),
    page("admin:workspaces_auditentry_changelist"),
    page("admin:workspaces_role_add"),
)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_jumps_while_it_loads(
    browser: Browser, live_server: LiveServer, shop: Shop, width: int
) -> None:
    walk = Walk(browser, live_server.url, shop)
    moved = {row.title: _shift(walk, row, width) for row in STEADY}
    walk.close()

    assert {title: sum_ for title, sum_ in moved.items() if sum_ >= SHIFT} == {}


def _shift(walk: Walk, row: Row, width: int) -> float:
    opened: Page = walk.page_of(row.visitor)
    opened.set_viewport_size({"width": width, "height": 800})
    opened.goto(walk.address_of(row.name, row))
    opened.wait_for_load_state("networkidle")  # Half a second without anything that arrives.
    return round(float(opened.evaluate("window.shifted")), 4)
