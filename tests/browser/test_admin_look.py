"""The set-up looks and behaves as the console: measured and read in a real browser.

GALLERY=<folder> keeps the screenshots there.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, FloatRect, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.factories import NOW, make_administrator, make_member, make_workspace
from tests.identity.factories import (
    make_audience,
    make_data_source,
    make_event_type,
    make_profile,
    make_tag,
)
from tests.webhooks.factories import make_choice_list, make_use, make_webhook
from tests.webhooks.test_admin_records import make_deliveries, make_plan
from webhooks.choices import BreakerState
from webhooks.models import Attempt, Receipt, Webhook, WebhookControl
from workspaces import audit, members
from workspaces.choices import Preset
from workspaces.models import User, Workspace

pytestmark = pytest.mark.django_db(transaction=True)

PHONE: Final = {"width": 390, "height": 844}
DESK: Final = {"width": 1280, "height": 800}


class Setting(NamedTuple):
    """A workspace in which every kind of page has something to show."""

    workspace: Workspace
    administrator: User
    webhook: Webhook
    pages: dict[str, str]


@pytest.fixture
def setting() -> Setting:
    workspace = make_workspace(name="Music shop")
    administrator = make_administrator(workspace, name="Wang Lei")
    member = make_member(workspace, name="Li Mei")
    source = make_data_source(workspace, "shop")
    tag = make_tag(workspace, "nickname", data_source=source)
    event_type = make_event_type(workspace, "purchase")
    audience = make_audience(workspace, people=[make_profile(workspace)], name="All customers")
    choices = make_choice_list(workspace, "app", "mail")
    webhook = make_webhook(
        workspace, name="CRM coupons", parameters=[{"name": "content", "display_name": "Content"}]
    )
    delivery = make_deliveries(make_plan(webhook), 120)[0]
    role = workspace.roles.get(preset=Preset.MARKETER)
    membership = member.memberships.get()
    pages = {
        "index": "/admin/",
        "webhooks": "/admin/webhooks/webhook/",
        "deliveries": "/admin/webhooks/delivery/",
        "members": "/admin/workspaces/membership/",
        "audit": "/admin/workspaces/auditentry/",
        "receipts": "/admin/webhooks/receipt/",
        "attempts": "/admin/webhooks/attempt/",
        "id_types": "/admin/identity/idtype/",
        "nothing_matches": "/admin/workspaces/membership/?q=nobody",
        "nothing_yet": "/admin/webhooks/redelivery/",
        "webhook_add": "/admin/webhooks/webhook/add/",
        "webhook": f"/admin/webhooks/webhook/{webhook.pk}/change/",
        "webhook_guide": f"/admin/webhooks/webhook/{webhook.pk}/guide/",
        "webhook_history": f"/admin/webhooks/webhook/{webhook.pk}/history/",
        "webhook_delete": f"/admin/webhooks/webhook/{webhook.pk}/delete/",
        "delivery": f"/admin/webhooks/delivery/{delivery.pk.replace('_', '_5F')}/change/",
        "choice_list": f"/admin/webhooks/choicelist/{choices.pk}/change/",
        "audience": f"/admin/identity/audience/{audience.pk}/change/",
        "event_type": f"/admin/identity/eventtype/{event_type.pk}/change/",
        "tag": f"/admin/identity/tag/{tag.pk}/change/",
        "role_add": "/admin/workspaces/role/add/",
        "role": f"/admin/workspaces/role/{role.pk}/change/",
        "member_add": "/admin/workspaces/membership/add/",
        "member": f"/admin/workspaces/membership/{membership.pk}/change/",
        "api_key_add": "/admin/workspaces/apikey/add/",
        "workspace": f"/admin/workspaces/workspace/{workspace.pk}/change/",
    }
    return Setting(workspace, administrator, webhook, pages)


@pytest.fixture
def context(
    browser: Browser, client: Client, live_server: LiveServer, setting: Setting
) -> Iterator[BrowserContext]:
    client.force_login(setting.administrator)
    opened = browser.new_context(
        base_url=live_server.url,
        viewport=DESK,  # type: ignore[arg-type] # its own kind of dict
        reduced_motion="reduce",
    )
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    opened.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
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
        lambda line: problems.append(line.text) if line.type == "error" else None,
    )
    yield opened
    # axe writes styles of its own while it looks; nothing else may be refused.
    assert [line for line in problems if "style" not in line] == []


def test_header_and_navigation_are_the_console_s(page: Page, setting: Setting) -> None:
    page.goto(f"/w/{setting.workspace.slug}/journeys/")
    console = page.locator(".nav > .nav-list > li").all_inner_texts()
    switcher = page.locator(".switcher").first.inner_text()

    page.goto("/admin/webhooks/webhook/")

    assert page.locator(".nav > .nav-list > li").all_inner_texts() == console
    assert page.locator(".switcher").first.inner_text() == switcher
    expect(page.locator(".nav [aria-current=page]")).to_have_text("Webhooks")
    expect(page.locator("h1")).to_have_text("Webhooks")


def test_rows_are_chosen_before_something_is_done_with_them(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["deliveries"])
    expect(page.get_by_role("button", name="Apply")).to_be_hidden()

    page.locator("input.action-select").first.check()

    expect(page.get_by_role("button", name="Apply")).to_be_visible()
    expect(page.locator(".action-counter")).to_have_text("1 of 50 selected")


def test_a_list_is_as_wide_as_its_place_however_long_its_words(
    page: Page, setting: Setting
) -> None:
    audit.record(
        actor=make_administrator(setting.workspace, email=f"{'long' * 12}@example.com"),
        workspace=setting.workspace,
        action="webhook.usage_granted",
        obj=setting.webhook,
    )
    Receipt.objects.create(
        webhook=setting.webhook,
        delivery_id=f"dlv_{'W' * 24}",
        code="delivered",
        occurred_at=NOW,
        received_at=NOW,
    )
    Attempt.objects.create(
        day=NOW.date(),
        webhook=setting.webhook,
        delivery_id=f"dlv_{'W' * 24}",
        message_id="msg_1",
        number=2,
        at=NOW,
        outcome="answered",
        status_code=200,
        duration_ms=1_204,
    )
    lists = ("audit", "deliveries", "receipts", "attempts")
    for url in (setting.pages[each] for each in lists):
        page.goto(url)
        place = page.locator(".results")
        widths = place.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
        assert widths[0] <= widths[1], url


def test_the_names_of_rows_stay_on_one_line_beside_long_sentences(
    page: Page, setting: Setting
) -> None:
    now = timezone.now()
    WebhookControl.objects.filter(webhook=setting.webhook).update(
        breaker=BreakerState.OPEN,
        breaker_opened_at=now,
        breaker_until=now,
        breaker_reason="timeout",
    )
    page.set_viewport_size(PHONE)  # type: ignore[arg-type] # its own kind of dict
    page.goto(setting.pages["webhook"])
    heads = page.locator("#condition th[scope=row]")

    lines = heads.evaluate_all(
        """(cells) => cells.map((cell) => {
          const text = document.createRange();
          text.selectNodeContents(cell);
          return text.getClientRects().length;
        })"""
    )

    expect(page.locator("#condition")).to_contain_text("The next try is at")
    assert lines == [1] * 4


def test_a_row_of_a_list_leads_to_its_record(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["deliveries"])

    page.locator("#result_list tbody th a").first.click()

    expect(page.locator("h1")).to_contain_text("dlv_")
    expect(page.locator(".admin-record")).to_contain_text("Delivery ID")


def test_what_is_wrong_stands_at_its_field_and_success_in_a_toast(
    page: Page, setting: Setting
) -> None:
    page.goto(setting.pages["role_add"])
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("Nothing is saved yet.")
    expect(page.locator("#id_name_error")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")

    page.get_by_label("Name").fill("Campaign lead")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".toast")).to_contain_text("Campaign lead")
    assert setting.workspace.roles.filter(name="Campaign lead").exists()


def test_a_row_is_added_to_a_form_and_saved(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["choice_list"])
    rows = page.locator(".inline-group tbody tr.form-row:visible")
    before = rows.count()

    expect(page.locator(".add-row a")).to_have_text("Add another choice")
    page.locator(".add-row a").click()
    expect(rows).to_have_count(before + 1)
    for box in rows.last.locator("input[type=text]").all():
        box.fill("post")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".toast")).to_be_visible()
    assert setting.workspace.choice_lists.get().choices.count() == 3


def test_on_a_phone_rows_show_all_they_say_and_filters_are_a_sheet(
    page: Page, setting: Setting
) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type] # its own kind of dict
    page.goto(setting.pages["deliveries"])
    row = page.locator("#result_list tbody tr").first
    widths = page.locator(".results").evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert widths[0] <= widths[1]
    assert [
        cell.get_attribute("data-label") for cell in row.locator("td:not(.action-checkbox)").all()
    ] == ["Sent to", "Webhook", "Journey", "Outcome", "Status", "Attempts"]
    expect(row.locator("td").last).to_be_in_viewport()
    row.locator("input.action-select").check()
    expect(page.locator(".action-counter")).to_have_text("1 of 50 selected")

    expect(page.get_by_role("link", name="Accepted")).to_be_hidden()

    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="Accepted").click()

    page.wait_for_url("**/?state=*")
    expect(page.locator("#result_list")).to_be_visible()


def test_on_a_phone_related_rows_and_the_history_need_no_room_beside_them(
    page: Page, setting: Setting
) -> None:
    audit.record(
        actor=setting.administrator,
        workspace=setting.workspace,
        action="webhook.usage_granted",
        obj=setting.webhook,
        changes={"reason": ["", "For the autumn"]},
    )
    page.set_viewport_size(PHONE)  # type: ignore[arg-type] # its own kind of dict
    for url, place in (("choice_list", ".inline-group"), ("webhook_history", ".table-wrap")):
        page.goto(setting.pages[url])
        widths = page.locator(place).evaluate("(box) => [box.scrollWidth, box.clientWidth]")
        assert widths[0] <= widths[1], url


def test_the_type_of_a_parameter_is_read_whole(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["webhook"])
    box = page.locator("[data-card]:visible select[name$=-type]").first

    room = box.evaluate(
        """(box) => {
          const pen = document.createElement("canvas").getContext("2d");
          pen.font = getComputedStyle(box).font;
          return box.clientWidth - 43 - pen.measureText("Text (may hold variables)").width;
        }"""
    )

    assert room >= 0


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("chosen", ["", "light", "dark"])
def test_the_api_s_page_is_dark_where_the_product_is(
    context: BrowserContext, page: Page, live_server: LiveServer, system: Any, chosen: str
) -> None:
    page.emulate_media(color_scheme=system)
    if chosen:
        context.add_cookies([{"name": "theme", "value": chosen, "url": live_server.url}])
    ground = "(place) => getComputedStyle(document.querySelector(place)).backgroundColor"
    page.goto("/settings/")
    product = page.evaluate(ground, "body")

    page.goto("/api/v1/docs/")

    assert page.evaluate(ground, "html") == product
    is_dark = page.evaluate("document.documentElement.classList.contains('dark-mode')")
    assert is_dark == ((chosen or system) == "dark")


def _box(page: Page, place: str) -> FloatRect:
    box = page.locator(place).first.bounding_box()
    assert box is not None
    return box


def _gap(page: Page, upper: str, lower: str) -> float:
    above = _box(page, upper)
    return _box(page, lower)["y"] - above["y"] - above["height"]


SAID: Final = """document.body.dispatchEvent(
  new CustomEvent("toast", { detail: { text: "Saved.", tone: "error" } }))"""


def test_what_was_said_never_covers_the_bar_at_the_foot_of_the_window(
    page: Page, setting: Setting
) -> None:
    page.goto(setting.pages["webhook"])
    page.evaluate(SAID)
    assert _gap(page, ".toast", ".webhook-submit") >= 8

    page.goto(setting.pages["deliveries"])
    page.locator("input.action-select").first.check()
    page.evaluate(SAID)
    assert _gap(page, ".toast", ".actions") >= 8


def test_names_as_long_as_names_can_be_leave_the_bar_and_the_list_their_height(
    page: Page, setting: Setting
) -> None:
    long = ("Coupon for the holidays " * 9)[:200]
    for _number in range(4):
        make_use(setting.webhook, journey_name=long)
    Webhook.objects.filter(pk=setting.webhook.pk).update(name=long)

    page.goto(setting.pages["webhook"])
    bar = _box(page, ".webhook-submit")
    page.goto(setting.pages["webhooks"])
    row = _box(page, "#result_list tbody tr")

    assert bar["height"] <= 36 + 2 * 12 + 1
    assert row["height"] <= 112


def test_what_stands_below_something_keeps_off_it(
    context: BrowserContext, setting: Setting
) -> None:
    page = context.new_page()  # One of its answers is 422, which the console calls an error.
    page.goto(setting.pages["webhook"])
    page.locator("[data-remove]:visible").click()
    assert _gap(page, "[data-none]", "[data-add]") >= 12
    page.locator(".webhook-grant [type=submit]").click()
    assert _gap(page, ".webhook-grant > .webhook-error", ".webhook-grant legend") >= 12

    page.goto(setting.pages["webhook"])
    page.get_by_role("button", name="Set the AES key").click()
    assert _gap(page, "#content p", ".once") >= 12

    User.objects.filter(pk=setting.administrator.pk).update(is_superuser=True)
    page.goto(f"/admin/workspaces/user/{setting.administrator.pk}/change/")
    assert _gap(page, ".fieldset > legend", ".field-is_active .check") >= 12


def test_on_a_phone_what_is_done_with_a_parameter_stands_at_its_first_line(
    page: Page, setting: Setting
) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type] # its own kind of dict
    page.goto(setting.pages["webhook"])

    name, remove = _box(page, "[data-card] [name$=-name]"), _box(page, "[data-card] [data-remove]")
    key, reason = _box(page, "[name=given]"), _box(page, ".webhook-grant [name=reason]")

    assert (remove["y"], remove["height"]) == (name["y"], name["height"])
    assert remove["x"] >= name["x"] + name["width"]
    assert key["width"] == reason["width"]


def test_rows_are_removed_under_one_word_and_nothing_is_drawn_below_the_last(
    page: Page, setting: Setting
) -> None:
    page.goto(setting.pages["choice_list"])
    rows = page.locator(".inline-group tr.form-row:visible")

    said = [each.split("\n")[0] for each in rows.locator("td.delete").all_inner_texts()]
    assert said == ["Remove"] * rows.count()
    line = page.locator(".add-row > td").evaluate("(td) => getComputedStyle(td).borderBottomWidth")
    assert line == "0px"


def test_the_code_of_an_id_type_stands_below_its_name(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["id_types"])
    page.locator("#result_list tbody th a").first.click()

    assert page.locator(".form-row").first.get_attribute("class") == "form-row field-name"
    assert "field-code" in (page.locator(".form-row").nth(1).get_attribute("class") or "")


def test_an_invitation_stands_in_the_middle_of_its_buttons(page: Page, setting: Setting) -> None:
    elsewhere = make_workspace()
    members.add_member(
        workspace=elsewhere,
        email=setting.administrator.email,
        actor=make_administrator(elsewhere),
        now=NOW,
    )
    notice = "main .notice:not(#offline)"
    page.goto("/notices/")

    middles = [
        box["y"] + box["height"] / 2
        for box in (_box(page, f"{notice} .notice-body"), _box(page, f"{notice} form"))
    ]

    assert abs(middles[0] - middles[1]) <= 1


def test_what_cannot_be_changed_in_a_row_looks_so(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["event_type"])
    ground = "(box) => getComputedStyle(box).backgroundColor"
    row = page.locator(".inline-group .has_original").first

    code, kind, name = (
        row.locator(f"[name$=-{part}]").evaluate(ground) for part in ("code", "type", "name")
    )

    assert code == kind != name


def test_one_link_leads_to_what_a_field_names(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["tag"])

    expect(page.locator(".change-related").first).to_be_visible()
    expect(page.locator(".view-related").first).to_be_hidden()


def test_the_open_page_s_row_has_room_below_it_and_no_row_above_is_cut(
    page: Page, setting: Setting
) -> None:
    page.set_viewport_size({"width": 1280, "height": 640})
    page.goto(setting.pages["audit"])

    nav, row = _box(page, "#nav"), _box(page, ".nav-setup [aria-current=page]")
    assert nav["y"] + nav["height"] - row["y"] - row["height"] >= 8
    cut = """(nav) => {
      const { top } = nav.getBoundingClientRect();
      return [...nav.querySelectorAll(".nav-link, .nav-label")]
        .map((row) => row.getBoundingClientRect())
        .filter((box) => box.top < top && box.bottom > top).length;
    }"""
    assert page.locator("#nav").evaluate("(nav) => nav.scrollTop") > 0
    assert page.locator("#nav").evaluate(cut) == 0


def test_the_navigation_s_ground_goes_on_to_the_end_of_a_long_page(
    page: Page, setting: Setting
) -> None:
    page.goto(setting.pages["audit"])
    column = """() => {
      const style = getComputedStyle(document.body, "::before");
      return [style.height, style.width, style.backgroundColor];
    }"""

    height, width, ground = page.evaluate(column)

    whole = page.evaluate("document.body.offsetHeight")
    assert float(height.removesuffix("px")) == whole - 56
    assert width == "220px"
    assert ground == page.locator("#nav").evaluate("(nav) => getComputedStyle(nav).backgroundColor")


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_a_key_shown_once_is_read_whole_and_copied(
    page: Page, context: BrowserContext, setting: Setting, size: Any
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_viewport_size(size)
    page.goto("/admin/workspaces/apikey/add/")
    page.get_by_label("Name").fill("CRM")
    page.locator("[name=scopes]").first.check()
    page.get_by_role("button", name="Save", exact=True).click()

    once = page.locator("#once")
    widths = once.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert widths[0] <= widths[1]
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == once.inner_text()


def test_what_is_folded_in_a_record_has_the_fold_s_arrow(page: Page, setting: Setting) -> None:
    page.goto(setting.pages["delivery"])

    expect(page.locator("details.fold > summary > svg").last).to_be_visible()


def test_a_table_in_a_record_ends_in_one_rule_and_begins_on_its_label_s_line(
    page: Page, setting: Setting
) -> None:
    person = make_profile(setting.workspace, tags={"nickname": "San"})
    page.goto(f"/admin/identity/profile/{person.pk}/change/")

    last = page.locator(".readonly tbody > tr:last-child > *").first
    assert last.evaluate("(cell) => getComputedStyle(cell).borderBottomWidth") == "0px"
    record = ".admin-record .field:has(table)"
    label, head = (_box(page, f"{record} {part}") for part in (".field-label", "thead th"))
    first_line = label["y"] + 10  # Of 20 pixels.
    assert abs(head["y"] + head["height"] / 2 - first_line) <= 1


def test_on_a_phone_save_has_a_line_what_else_saves_the_next_and_boxes_their_words(
    page: Page, setting: Setting
) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type] # its own kind of dict
    page.goto("/admin/identity/eventtype/add/")
    expect(page.locator(".inline-group thead")).to_be_hidden()
    page.get_by_text("Add event attribute").click()

    save, another, on = (
        _box(page, f"[name={name}]") for name in ("_save", "_addanother", "_continue")
    )
    assert save["width"] == PHONE["width"] - 32
    assert another["y"] == on["y"] > save["y"]
    assert another["height"] == on["height"] == save["height"]
    box, words = (
        _box(page, f".form-row:not(.empty-form) > .column-required > label > {part}")
        for part in ("input", "span")
    )
    assert box["x"] < words["x"]
    assert abs(box["y"] + box["height"] / 2 - words["y"] - words["height"] / 2) <= 1


def test_on_a_phone_the_rows_of_the_first_page_are_of_one_height(
    page: Page, setting: Setting
) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type] # its own kind of dict
    page.goto(setting.pages["index"])

    heights = page.locator(".setup-list > li").evaluate_all(
        "(rows) => rows.map((row) => row.offsetHeight)"
    )
    assert set(heights) == {64}


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_api_s_page_is_in_the_product_s_type_and_leads_back(page: Page, size: Any) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme="dark")
    page.goto("/api/v1/docs/")
    page.locator(".model-box").last.wait_for()

    expect(page.locator(".opblock-tag").first).to_have_text("Events")
    font = page.locator(".opblock-tag").first.evaluate("(tag) => getComputedStyle(tag).fontFamily")
    assert font.startswith('"Inter')
    outer = _box(page, "section.models")
    for row in page.locator(".model-box").all():
        ground = row.evaluate("(box) => getComputedStyle(box).backgroundColor")
        assert ground == "rgba(0, 0, 0, 0)"
    for row in page.locator(".model-container").all():
        box = row.bounding_box()
        assert box
        assert box["x"] + box["width"] <= outer["x"] + outer["width"] - 20
    page.get_by_role("link", name="Back to the console").click()
    page.wait_for_url("**/admin/")
