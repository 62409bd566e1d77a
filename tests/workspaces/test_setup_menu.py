"""The set-up's pages, grouped by what an administrator does."""

import pytest
from django.contrib import admin
from django.test import Client

from tests.factories import make_administrator, make_member, make_operator, make_workspace
from workspaces import setup_menu
from workspaces.choices import Preset
from workspaces.models import User
from workspaces.setup_menu import Group

pytestmark = pytest.mark.django_db


def groups_of(user: User, path: str = "/admin/") -> dict[str, Group]:
    client = Client()
    client.force_login(user)
    found: list[Group] = client.get(path).context["setup_groups"]
    return {group.key: group for group in found}


def test_an_operator_finds_every_page_once() -> None:
    make_workspace()

    shown = [page.url for group in groups_of(make_operator()).values() for page in group.pages]

    assert len(shown) == len(set(shown)) == len(admin.site._registry)


def test_an_administrator_meets_no_page_without_a_word_about_it() -> None:
    found = groups_of(make_administrator(make_workspace()))

    assert setup_menu.OPERATOR_KEY not in found
    assert all(page.about for group in found.values() for page in group.pages)


def test_a_group_without_a_page_for_the_visitor_is_left_out() -> None:
    found = groups_of(make_member(make_workspace(), Preset.DEVELOPER))

    assert "systems" in found
    assert "access" not in found


def test_the_page_that_is_open_is_marked_and_the_set_up_above_it_is_not() -> None:
    administrator = make_administrator(make_workspace())
    client = Client()
    client.force_login(administrator)

    answer = client.get("/admin/workspaces/role/add/")

    current = [
        page.url for group in answer.context["setup_groups"] for page in group.pages if page.current
    ]
    assert current == ["/admin/workspaces/role/"]
    assert not any(item["current"] for item in answer.context["frame"].nav)
