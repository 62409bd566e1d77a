"""Log-in, the frame's pages and the set-up's lists in a real browser: axe, policy, both themes."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from tests.factories import (
    NOW,
    PASSWORD,
    make_administrator,
    make_member,
    make_organization,
    make_workspace,
)
from workspaces import members, notices
from workspaces.choices import Preset

pytestmark = pytest.mark.django_db(transaction=True)

LOG_IN = (
    "/accounts/login/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/inactive/",
)
MEMBERS_PAGES = (
    "/settings/",
    "/notices/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/logout/",
    "/admin/",
)
SET_UP = (
    "/admin/",
    "/admin/workspaces/membership/",
    "/admin/workspaces/membership/add/",
    "/admin/workspaces/role/",
    "/admin/workspaces/role/add/",
    "/admin/workspaces/membergroup/add/",
    "/admin/workspaces/apikey/add/",
    "/admin/workspaces/auditentry/",
    "/admin/workspaces/workspace/",
)


def log_in(page: Page, address: str, email: str) -> None:
    page.goto(f"{address}/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "login" not in url)


def problems_of(page: Page) -> list[str]:
    found = Axe().run(page)
    return [
        f"{page.url}: {violation['id']} at {[node['target'] for node in violation['nodes']]}"
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_on_any_page(live_server: LiveServer, page: Page, theme: str) -> None:
    workspace = make_workspace(make_organization(name="Acme Retail"), name="Acme China")
    administrator = make_administrator(workspace, name="Wang Lei")
    member = make_member(workspace, name="Li Mei")
    elsewhere = make_workspace()
    members.add_member(
        workspace=elsewhere, email=member.email, actor=make_administrator(elsewhere), now=NOW
    )
    notices.register("test_frame", "Journey “%(journey)s” is paused. Resume it to take it over.")
    notices.tell(workspace=workspace, kind="test_frame", params={"journey": "Welcome"}, to=[member])
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type] # one of its literals
    refused: list[str] = []
    page.on("console", lambda line: refused.append(line.text) if "Policy" in line.text else None)
    problems: list[str] = []

    def look(paths: tuple[str, ...]) -> None:
        for path in paths:
            page.goto(live_server.url + path)
            problems.extend(problems_of(page))

    look(LOG_IN)
    log_in(page, live_server.url, member.email)
    look(MEMBERS_PAGES)
    page.context.clear_cookies()
    log_in(page, live_server.url, administrator.email)
    marketer = workspace.roles.get(preset=Preset.MARKETER)
    look((*SET_UP, f"/admin/workspaces/role/{marketer.pk}/change/"))

    assert not problems, "\n".join(problems)
    # axe writes styles of its own while it looks; nothing else may be refused.
    assert not [line for line in refused if "style" not in line]
