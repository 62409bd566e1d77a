"""Audiences in a real browser: rules that are counted while they are typed, and an uploaded file.

GALLERY=<folder> keeps the screenshots there.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.factories import make_administrator, make_workspace
from tests.identity.factories import make_identifier, make_profile, make_tag
from workspaces.models import Workspace

pytestmark = [pytest.mark.django_db(transaction=True)]

RULES = '{"match": "all", "conditions": [{"tag": "city", "operator": "equals", "value": "%s"}]}'


@pytest.fixture
def workspace() -> Workspace:
    cache.clear()
    workspace = make_workspace(name="Member marketing")
    make_tag(workspace, "city")
    person = make_profile(workspace, tags={"city": "Bath"})
    mobile = workspace.id_types.get(code="MOBILE")
    make_identifier(person, mobile, "13800000001", source=workspace.data_sources.get())
    return workspace


@pytest.fixture(params=[False, True], ids=["strict", "axe"])
def context(
    request: pytest.FixtureRequest,
    browser: Browser,
    client: Client,
    live_server: LiveServer,
    workspace: Workspace,
) -> Iterator[BrowserContext]:
    client.force_login(make_administrator(workspace, name="Wang Lei"))
    # axe writes styles of its own while it looks.
    opened = browser.new_context(base_url=live_server.url, bypass_csp=request.param)
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
        lambda message: (
            problems.append(f"{message.text} {message.location}")
            if message.type == "error" and "status of 422" not in message.text
            else None
        ),
    )
    yield opened
    assert problems == []


def look_at(page: Page, name: str, *, axe: bool) -> None:
    if folder := os.environ.get("GALLERY"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"audience-{name}.png", full_page=True)
    if axe:
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in {"serious", "critical"}]
        assert serious == [], [(each["id"], each["nodes"][0]["html"]) for each in serious]


def test_rules_are_counted_while_they_are_typed(page: Page, request: pytest.FixtureRequest) -> None:
    axe = "axe" in request.node.name
    page.goto("/admin/identity/audience/add/")
    page.get_by_label("Name").fill("Bath")
    page.get_by_label("Kind").select_option("rules")

    page.get_by_label("Rules", exact=False).fill(RULES % "Bath")
    expect(page.get_by_text("1 person now.")).to_be_visible()
    page.get_by_label("Rules", exact=False).fill("{")
    expect(page.get_by_text("This is not JSON.")).to_be_visible()
    look_at(page, "rules", axe=axe)
    page.get_by_label("Rules", exact=False).fill(RULES % "Rome")
    expect(page.get_by_text("0 people now.")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("link", name="Bath", exact=True).first).to_be_visible()
    look_at(page, "list", axe=False)


def test_a_list_is_uploaded_and_says_what_was_left_out(
    page: Page, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    axe = "axe" in request.node.name
    file = tmp_path / "people.csv"
    file.write_text("MOBILE\n138 0000 0001\nx\n")
    page.goto("/admin/identity/audience/add/")
    page.get_by_label("Name").fill("Spring")
    page.get_by_role("button", name="Save", exact=True).click()

    page.get_by_label("File").set_input_files(file)
    look_at(page, "upload", axe=axe)
    page.get_by_role("button", name="Upload").click()

    expect(page.get_by_role("heading", name="1 of 2 lines are in.")).to_be_visible()
    expect(page.get_by_role("cell", name="A mobile number has 5 to 15 digits")).to_be_visible()
    look_at(page, "uploaded", axe=axe)
