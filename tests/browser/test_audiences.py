"""An audience of rules in a real browser: built by keyboard, counted while it is typed."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, Dialog, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from identity.choices import TagType
from identity.models import Audience
from tests.factories import PASSWORD, make_administrator, make_workspace
from tests.identity.factories import make_audience, make_identifier, make_profile, make_tag
from workspaces.models import User, Workspace

pytestmark = [pytest.mark.django_db(transaction=True)]

# A count that another key has overtaken is let go; htmx writes that down.
NO_PROBLEM = (
    "422",
    "403",
    "ERR_INTERNET_DISCONNECTED",
    "htmx:afterRequest",
    "htmx:sendAbort",
    "htmx:sendError",
)


@pytest.fixture
def workspace() -> Workspace:
    cache.clear()
    workspace = make_workspace(name="Member marketing")
    make_tag(workspace, "city", name="City")
    make_tag(workspace, "orders", TagType.NUMBER, name="Orders")
    mobile = workspace.id_types.get(code="MOBILE")
    for number in range(3):
        person = make_profile(workspace, tags={"city": "Bath", "orders": number})
        source = workspace.data_sources.get()
        make_identifier(person, mobile, f"1380000000{number}", source=source)
    return workspace


@pytest.fixture
def page(
    browser: Browser, client: Client, live_server: LiveServer, workspace: Workspace
) -> Iterator[Page]:
    """A page whose script errors and refusals by the security policy fail the test."""
    client.force_login(make_administrator(workspace, name="Wang Lei"))
    context = browser.new_context(base_url=live_server.url)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
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
    context.close()


def focused(page: Page) -> str:
    found: str = page.evaluate("document.activeElement.id")
    return found


def test_an_audience_is_built_by_keyboard_and_counted_on_the_way(
    page: Page, workspace: Workspace
) -> None:
    said = page.locator("#rules-said")
    page.goto(f"/w/{workspace.slug}/audiences/")
    page.get_by_role("button", name="New audience").press("Enter")
    page.get_by_label("Name").press_sequentially("Buyers in Bath")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="New audience")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Buyers in Bath")
    expect(said).to_contain_text("Complete the conditions")
    page.locator("#subject-0").focus()
    page.keyboard.type("City")
    expect(page.locator("#operator-0")).to_be_visible()
    assert focused(page) == "subject-0"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert focused(page) == "value-0"
    page.keyboard.type("Bath")
    expect(said).to_contain_text("People where City is “Bath”.")
    expect(said).to_contain_text("3 people now")

    page.get_by_role("button", name="Add a condition").press("Enter")
    expect(page.locator("#subject-1")).to_be_focused()
    page.keyboard.type("Orders")
    expect(page.locator("#operator-1")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("is at least")
    expect(page.locator("#operator-1")).to_have_value("at_least")
    page.locator("#value-1").focus()
    page.keyboard.type("1")
    expect(said).to_contain_text("People where City is “Bath” and Orders is at least 1.")
    expect(said).to_contain_text("2 people now")
    expect(page.locator("#value-0")).to_have_value("Bath")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Buyers in Bath")).to_be_visible()
    saved = Audience.objects.get(name="Buyers in Bath")
    assert saved.rules is not None
    assert [each["tag"] for each in saved.rules["conditions"]] == ["city", "orders"]


RULES = {"match": "all", "conditions": [{"tag": "city", "operator": "equals", "value": "Bath"}]}


def rules_of(name: str) -> list[str]:
    rules = Audience.objects.get(name=name).rules
    assert rules is not None
    return [each["value"] for each in rules["conditions"]]


def test_leaving_changed_rules_asks_first(page: Page, workspace: Workspace) -> None:
    audience = make_audience(workspace, name="In Bath", rules=RULES)
    address = f"/w/{workspace.slug}/audiences/{audience.pk}/"
    question = page.locator("#confirm")
    cancel = page.get_by_role("link", name="Cancel")
    page.goto(address)

    cancel.click()
    expect(page.get_by_role("heading", name="Audiences")).to_be_visible()
    page.goto(address)
    page.locator("#value-0").fill("York")
    cancel.click()
    expect(question).to_contain_text("This audience has changes that are not saved.")
    question.get_by_role("button", name="Keep editing").click()
    expect(page.locator("#value-0")).to_have_value("York")
    cancel.click()
    question.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("heading", name="Audiences")).to_be_visible()
    assert rules_of("In Bath") == ["Bath"]

    page.goto(address)
    page.locator("#value-0").fill("York")
    page.get_by_role("link", name="Journeys", exact=True).first.click()
    question.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile("/journeys/$"))
    expect(page.get_by_text("“In Bath” is saved.")).to_be_visible()
    assert rules_of("In Bath") == ["York"]


def test_refused_rules_stay_and_are_asked_about(page: Page, workspace: Workspace) -> None:
    asked: list[str] = []
    page.goto(f"/w/{workspace.slug}/audiences/new/?name=Empty")
    page.get_by_role("button", name="Add a condition").click()
    expect(page.locator("#subject-1")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    page.locator("#confirm").get_by_role("button", name="Save").click()
    expect(page.get_by_label("Name")).to_have_value("Empty")
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.locator("#subject-0").focus()

    page.reload()

    assert asked == ["beforeunload"]
    assert not Audience.objects.exists()


def test_rules_outlast_a_lost_connection_and_a_lost_log_in(
    page: Page, workspace: Workspace
) -> None:
    audience = make_audience(workspace, name="In Bath", rules=RULES)
    page.goto(f"/w/{workspace.slug}/audiences/{audience.pk}/")
    expect(page.locator("#rules-said")).to_contain_text("3 people now")
    page.locator("#value-0").fill("York")
    expect(page.locator("#rules-said")).to_contain_text("0 people now")
    toast, save = page.locator("#toasts .toast-error"), page.get_by_role("button", name="Save")

    page.context.set_offline(True)
    save.click()
    expect(toast).to_contain_text("The server cannot be reached. Nothing you typed is lost.")
    page.context.set_offline(False)
    Session.objects.all().delete()
    toast.get_by_role("button", name="Try again").click()
    expect(toast).to_contain_text("You were logged out.")
    expect(page.locator("#value-0")).to_have_value("York")
    assert rules_of("In Bath") == ["Bath"]

    member = User.objects.get(name="Wang Lei")
    member.set_password(PASSWORD)
    member.save()
    with page.context.expect_page() as opened:
        toast.get_by_role("link", name="Log in").click()
    login = opened.value
    login.locator("[name=login]").fill(member.email)
    login.locator("[name=password]").fill(PASSWORD)
    login.keyboard.press("Enter")
    login.wait_for_url("**/admin/**")
    save.click()

    expect(page.get_by_text("“In Bath” is saved.")).to_be_visible()
    assert rules_of("In Bath") == ["York"]


def test_a_file_may_take_longer_to_arrive_than_other_requests(
    page: Page, workspace: Workspace, tmp_path: Path
) -> None:
    audience = make_audience(workspace, name="Spring")
    file = tmp_path / "people.csv"
    file.write_text("MOBILE\n13800000001\n")

    def late(route: Route) -> None:
        time.sleep(0.6)
        route.continue_()

    page.goto(f"/w/{workspace.slug}/audiences/{audience.pk}/upload/")
    page.route("**/look/", late)
    page.evaluate("htmx.config.timeout = 200")

    page.locator("#id_file").set_input_files(file)

    expect(page.locator("#look").get_by_role("cell", name="13800000001")).to_be_visible()


def test_a_file_is_looked_into_before_it_is_imported(
    page: Page, workspace: Workspace, tmp_path: Path
) -> None:
    audience = make_audience(workspace, name="Spring")
    file = tmp_path / "people.csv"
    file.write_text("MOBILE\n138 0000 0001\n13899999999\nx\n")
    page.goto(f"/w/{workspace.slug}/audiences/{audience.pk}/upload/")

    page.locator("#id_file").set_input_files(file)

    look = page.locator("#look")
    expect(look).to_contain_text("Its column “MOBILE” is the ID type")
    expect(look.get_by_role("cell", name="138 0000 0001")).to_be_visible()
    assert not audience.members.exists()
    page.get_by_label("Add unknown people").check()
    expect(look).to_contain_text("Lines of unknown IDs, of which people are made")
    page.get_by_role("button", name="Import").click()

    expect(page.get_by_role("heading", name="2 of 3 lines are in.")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the 1 line left out").click()
    assert "4,MOBILE" in Path(download.value.path()).read_text(encoding="utf-8-sig")


def test_what_takes_a_rule_away_stands_in_the_middle_of_its_row_under_its_like(
    page: Page, workspace: Workspace
) -> None:
    known = {"id_type": "MOBILE", "operator": "has"}
    rules = {"match": "all", "conditions": [*RULES["conditions"], known]}
    audience = make_audience(workspace, name="In Bath", rules=rules)
    page.goto(f"/w/{workspace.slug}/audiences/{audience.pk}/")

    lines = page.locator(".rule-line:has(select)")
    middles, lefts = [], []
    expect(lines).to_have_count(2)
    for line in lines.all():
        field = line.locator("select").first.bounding_box()
        remove = line.get_by_title("Remove").bounding_box()
        assert field is not None
        assert remove is not None
        middles.append((field["y"] + field["height"] / 2) - (remove["y"] + remove["height"] / 2))
        lefts.append(remove["x"])
    assert middles == [0, 0]
    assert lefts[0] == lefts[1]
