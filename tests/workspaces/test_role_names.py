"""The four roles that every workspace has are shown in the reader's language, and stored in one."""

import pytest
from django.test import Client
from django.utils import translation

from tests.webhooks.factories import (
    NOW,
    make_administrator,
    make_member,
    make_webhook,
    make_workspace,
    membership_of,
    role_of,
)
from webhooks import granting
from workspaces import members, roles
from workspaces.choices import Language, Preset
from workspaces.models import AuditEntry, Role, User, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db

MARKETER = "营销人员"


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace(language=Language.CHINESE)


@pytest.fixture
def administrator(workspace: Workspace) -> User:
    return make_administrator(workspace)


@pytest.fixture
def console(client: Client, administrator: User) -> Client:
    client.force_login(administrator)
    return client


def test_a_preset_is_named_in_the_readers_language_and_an_own_role_as_it_was_named(
    workspace: Workspace,
) -> None:
    own = roles.create_role(workspace=workspace, name="Analyst 2", points=[], actor=None)
    preset = role_of(workspace, Preset.MARKETER)

    with translation.override("zh-hans"):
        assert (str(preset), str(own)) == (MARKETER, "Analyst 2")
        assert MARKETER in granting.label_of(preset)
    assert str(preset) == "Marketer"


def test_every_page_with_roles_shows_them_in_chinese(console: Client, workspace: Workspace) -> None:
    li_mei = make_member(workspace, language=Language.CHINESE)
    membership = membership_of(li_mei, workspace)
    webhook = make_webhook(workspace)
    marketer = role_of(workspace, Preset.MARKETER)
    granting.grant(
        webhook=webhook, grantees=granting.Grantees(roles=[marketer]), actor=None, now=NOW
    )
    console_of_li_mei = Client()
    console_of_li_mei.force_login(li_mei)

    pages = {
        url: client.get(url).content.decode()
        for client, url in (
            (console, "/admin/workspaces/role/"),
            (console, f"/admin/workspaces/role/{marketer.pk}/change/"),
            (console, f"/admin/workspaces/role/{marketer.pk}/history/"),
            (console, "/admin/workspaces/membership/"),
            (console, "/admin/workspaces/membership/add/"),
            (console, f"/admin/workspaces/membership/{membership.pk}/change/"),
            (console, "/admin/webhooks/webhook/"),
            (console, f"/admin/webhooks/webhook/{webhook.pk}/change/"),
            (console_of_li_mei, "/settings/"),
        )
    }

    assert [url for url, page in pages.items() if MARKETER not in page] == []
    assert [url for url, page in pages.items() if "Marketer" in page] == []


def test_the_stored_names_and_the_audit_trail_stay_in_one_language(
    console: Client, workspace: Workspace
) -> None:
    webhook = make_webhook(workspace)
    marketer = role_of(workspace, Preset.MARKETER)
    before = AuditEntry.objects.latest("pk").pk

    console.post(f"/admin/workspaces/role/{marketer.pk}/change/", {"points": []})
    console.post(f"/admin/webhooks/webhook/{webhook.pk}/grant/", {"roles": [marketer.pk]})
    member = membership_of(make_member(workspace, None), workspace)
    with translation.override("zh-hans"):
        members.set_roles(membership=member, roles=[marketer], actor=None)

    entries = list(AuditEntry.objects.filter(pk__gt=before))
    assert {"role.points_changed", "webhook.usage_granted", "member.roles_changed"} <= {
        entry.action for entry in entries
    }
    assert not any(MARKETER in f"{entry.object_label} {entry.changes}" for entry in entries)
    assert Role.objects.get(pk=marketer.pk).name == "Marketer"


def test_permissions_are_listed_without_blanks_in_chinese() -> None:
    points = (Point.MANAGE_DATA, Point.MANAGE_MEMBERS)

    with translation.override("zh-hans"):
        said = roles.label_list(points)

    assert "、" in said
    assert " " not in said
