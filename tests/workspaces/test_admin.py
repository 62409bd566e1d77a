"""The set-up as its users meet it: forms, lists, choices and history keep to the tenant."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from tests.factories import (
    NOW,
    make_administrator,
    make_head,
    make_member,
    make_operator,
    make_organization,
    make_role,
    make_user,
    make_workspace,
    membership_of,
    role_of,
)
from workspaces import api_keys, audit, member_groups, members, permissions, roles
from workspaces.choices import Preset, Scope, Via
from workspaces.models import (
    ApiKey,
    AuditEntry,
    MemberGroup,
    Membership,
    Organization,
    OrganizationMember,
    Role,
    User,
    Workspace,
)
from workspaces.points import Point

pytestmark = pytest.mark.django_db

MEMBER_MANAGER = [Point.MANAGE_MEMBERS, Point.VIEW_DELIVERIES]


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(answer: Any) -> str:
    return str(answer.content.decode())


# -- Index and lists


def test_an_administrator_without_any_django_permission_sees_a_filled_index() -> None:
    administrator = make_administrator(make_workspace())

    assert not administrator.get_all_permissions()
    listed = {
        model["object_name"]
        for app in logged_in(administrator).get("/admin/").context["app_list"]
        for model in app["models"]
    }
    assert {"Workspace", "Membership", "Role", "MemberGroup", "ApiKey", "AuditEntry"} <= listed
    assert {"User", "Group", "EmailAddress"}.isdisjoint(listed)


def test_a_developer_sees_only_what_the_points_open() -> None:
    developer = make_member(make_workspace(), Preset.DEVELOPER)

    app_list = logged_in(developer).get("/admin/").context["app_list"]

    listed = {model["object_name"] for app in app_list for model in app["models"]}
    assert "Webhook" in listed
    assert {"Membership", "Role", "ApiKey", "AuditEntry", "Workspace"}.isdisjoint(listed)


def test_a_list_holds_what_the_visitors_workspaces_hold() -> None:
    home, away = make_workspace(), make_workspace()
    theirs = make_member(away, email="theirs@example.com")
    ours = make_member(home, email="ours@example.com")
    client = logged_in(make_administrator(home))

    listed = page(client.get("/admin/workspaces/membership/"))
    searched = page(client.get("/admin/workspaces/membership/?q=theirs"))

    assert ours.email in listed
    assert theirs.email not in listed
    assert theirs.email not in searched


def test_a_filter_offers_no_role_of_another_tenant() -> None:
    home, away = make_workspace(), make_workspace()
    make_role(away, [], name="Secret project")
    make_role(home, [], name="Our agency")

    listed = page(logged_in(make_administrator(home)).get("/admin/workspaces/membership/"))

    assert "Our agency" in listed
    assert "Secret project" not in listed


def test_a_filter_by_a_foreign_workspace_finds_nothing() -> None:
    home, away = make_workspace(), make_workspace()
    theirs = make_member(away)
    client = logged_in(make_administrator(home))

    answer = client.get(f"/admin/workspaces/membership/?workspace={away.pk}")
    smuggled = client.get(f"/admin/workspaces/membership/?roles__id__exact={away.roles.first().pk}")  # type: ignore[union-attr] # it has roles

    assert theirs.email not in page(answer)
    assert theirs.email not in page(smuggled)


def test_who_has_two_workspaces_sees_and_filters_them() -> None:
    organization = make_organization()
    first = make_workspace(organization, name="Music shop")
    alone = page(logged_in(make_administrator(first)).get("/admin/workspaces/membership/"))
    second = make_workspace(organization, name="Book shop")
    one, two = make_member(first), make_member(second)
    client = logged_in(make_head(organization))

    both = page(client.get("/admin/workspaces/membership/"))
    narrowed = page(client.get(f"/admin/workspaces/membership/?workspace={second.pk}"))

    assert one.email in both
    assert two.email in both
    assert one.email not in narrowed
    assert two.email in narrowed
    assert "field-workspace" not in alone
    assert _workspaces(both) == {"Music shop", "Book shop"}
    assert _workspaces(narrowed) == {"Book shop"}


def test_a_new_object_is_of_the_workspace_that_was_entered_last() -> None:
    organization = make_organization()
    first, second = make_workspace(organization), make_workspace(organization)
    client = logged_in(make_head(organization))
    made = []
    for workspace in (second, first):
        client.get(f"/w/{workspace.slug}/")
        name = f"Agency of {workspace.slug}"
        client.post("/admin/workspaces/role/add/", {"name": name, "points": ["redeliver"]})
        made.append(Role.objects.get(name=name).workspace)

    assert made == [second, first]


def _workspaces(text: str) -> set[str]:
    """Read what stands in the column of workspaces."""
    return set(re.findall(r'<td[^>]* class="field-workspace"[^>]*>([^<]*)', text))


# -- Members


def add_page(client: Client, **data: Any) -> Any:
    return client.post("/admin/workspaces/membership/add/", data)


def test_the_one_time_link_is_shown_to_the_administrator_once() -> None:
    workspace = make_workspace()
    client = logged_in(make_administrator(workspace))

    answer = add_page(
        client,
        email="new@example.com",
        name="Li Mei",
        roles=[role_of(workspace, Preset.MARKETER).pk],
    )

    assert answer.status_code == 200
    assert "/accounts/password/reset/key/" in answer.context["link"]
    assert "no-store" in answer.headers["Cache-Control"]
    user = User.objects.get(email="new@example.com")
    assert Point.REACH_MARKETING_WEBHOOK in permissions.points_of(user, workspace)
    change = client.get(f"/admin/workspaces/membership/{membership_of(user, workspace).pk}/change/")
    assert "/password/reset/key/" not in page(change)


def test_an_invitation_shows_no_link() -> None:
    workspace = make_workspace()
    known = make_user()

    answer = add_page(
        logged_in(make_administrator(workspace)), email=known.email, name="Other name"
    )

    assert answer.context["link"] == ""
    known.refresh_from_db()
    assert known.name != "Other name"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"email": "x"}, "valid email"),
        ({"email": "new@example.com", "preset": Preset.ADMINISTRATOR}, "Only an administrator"),
        ({"email": "new@example.com", "preset": Preset.MARKETER}, "what you do not have yourself"),
    ],
)
def test_a_refused_member_is_a_sentence_on_the_form(data: dict[str, str], sentence: str) -> None:
    workspace = make_workspace()
    client = logged_in(make_member(workspace, points=MEMBER_MANAGER))
    preset = data.pop("preset", None)
    chosen = [role_of(workspace, Preset(preset)).pk] if preset else []

    answer = add_page(client, **data, roles=chosen)

    assert sentence in page(answer)
    assert not User.objects.filter(email="new@example.com").exists()


def test_a_foreign_role_is_no_choice() -> None:
    home, away = make_workspace(), make_workspace()

    answer = add_page(
        logged_in(make_administrator(home)),
        email="new@example.com",
        roles=[role_of(away, Preset.ADMINISTRATOR).pk],
    )

    assert answer.context["errors"]
    assert not User.objects.filter(email="new@example.com").exists()


def change_member(client: Client, membership: Membership, *given: Role, **data: Any) -> Any:
    return client.post(
        f"/admin/workspaces/membership/{membership.pk}/change/",
        {"roles": [role.pk for role in given], **data},
    )


def test_roles_are_changed_on_the_form() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    client = logged_in(make_administrator(workspace))

    answer = change_member(
        client,
        membership_of(user, workspace),
        role_of(workspace, Preset.ANALYST),
        is_active="on",
    )

    assert answer.status_code == 302
    assert permissions.points_of(user, workspace) == {Point.VIEW_DELIVERIES}
    assert [entry.via for entry in AuditEntry.objects.filter(action="member.roles_changed")] == [
        Via.ADMIN
    ]


def test_a_member_is_suspended_and_renamed_in_no_way() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    client = logged_in(make_administrator(workspace))

    change_member(
        client,
        membership_of(user, workspace),
        role_of(workspace, Preset.MARKETER),
        user=make_user().pk,
        is_staff="on",
    )

    membership = Membership.objects.get(workspace=workspace, user=user)
    assert not membership.is_active
    assert permissions.points_of(user, workspace) == set()


def test_nobody_opens_his_own_membership_for_change() -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace)
    own = membership_of(administrator, workspace)
    client = logged_in(administrator)

    answer = change_member(client, own, is_active="on")

    assert answer.status_code == 403
    assert client.get(f"/admin/workspaces/membership/{own.pk}/delete/").status_code == 403
    assert own.roles.exists()


def test_a_member_manager_does_not_reach_above_himself() -> None:
    workspace = make_workspace()
    above = membership_of(make_administrator(workspace), workspace)
    client = logged_in(make_member(workspace, points=MEMBER_MANAGER))

    answer = change_member(client, above, is_active="on")

    assert "Only an administrator" in page(answer)
    assert (
        client.post(f"/admin/workspaces/membership/{above.pk}/delete/", {"post": "yes"}).status_code
        == 403
    )
    assert above.roles.exists()


def test_a_removed_member_leaves_the_user() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    client = logged_in(make_administrator(workspace))
    membership = membership_of(user, workspace)

    client.post(f"/admin/workspaces/membership/{membership.pk}/delete/", {"post": "yes"})

    assert not Membership.objects.filter(pk=membership.pk).exists()
    assert User.objects.filter(pk=user.pk).exists()
    assert not user.groups.exists()


# -- Roles and groups


def test_a_role_is_made_and_changed_on_the_form() -> None:
    workspace = make_workspace()
    client = logged_in(make_administrator(workspace))

    client.post("/admin/workspaces/role/add/", {"name": "Agency", "points": ["redeliver"]})
    role = Role.objects.get(name="Agency")
    assert roles.points_of(role) == {Point.REDELIVER}

    client.post(
        f"/admin/workspaces/role/{role.pk}/change/",
        {"name": "Agency 2", "points": ["manage_data"]},
    )
    role.refresh_from_db()
    assert role.name == "Agency 2"
    assert roles.points_of(role) == {Point.MANAGE_DATA}


def test_a_taken_name_is_a_sentence_and_not_an_error_page() -> None:
    workspace = make_workspace()
    client = logged_in(make_administrator(workspace))

    answer = client.post("/admin/workspaces/role/add/", {"name": "Marketer"})

    assert answer.status_code == 200
    assert answer.context["errors"]


def test_a_member_manager_cannot_widen_a_role_on_the_form() -> None:
    workspace = make_workspace()
    client = logged_in(make_member(workspace, points=MEMBER_MANAGER))
    role = make_role(workspace, [])

    answer = client.post(
        f"/admin/workspaces/role/{role.pk}/change/",
        {"name": role.name, "points": ["publish_journeys"]},
    )

    assert "what you do not have yourself" in page(answer)
    assert roles.points_of(role) == set()


def test_the_administrator_role_is_only_shown() -> None:
    workspace = make_workspace()
    role = role_of(workspace, Preset.ADMINISTRATOR)
    client = logged_in(make_administrator(workspace))
    address = f"/admin/workspaces/role/{role.pk}"

    assert client.get(f"{address}/change/").status_code == 200
    assert client.post(f"{address}/change/", {"name": "Boss"}).status_code == 403
    assert client.post(f"{address}/delete/", {"post": "yes"}).status_code == 403


def test_a_role_of_ones_own_is_deleted_with_its_rights() -> None:
    workspace = make_workspace()
    user = make_member(workspace, points=[Point.MANAGE_DATA])
    role = membership_of(user, workspace).roles.get()
    client = logged_in(make_administrator(workspace))

    client.post(f"/admin/workspaces/role/{role.pk}/delete/", {"post": "yes"})

    assert not Role.objects.filter(pk=role.pk).exists()
    assert permissions.points_of(user, workspace) == set()


def test_a_member_group_is_filled_on_the_form() -> None:
    home, away = make_workspace(), make_workspace()
    user, foreign = make_member(home), make_member(away)
    client = logged_in(make_administrator(home))

    refused = client.post(
        "/admin/workspaces/membergroup/add/",
        {"name": "Team", "members": [membership_of(foreign, away).pk]},
    )
    client.post(
        "/admin/workspaces/membergroup/add/",
        {"name": "Team", "members": [membership_of(user, home).pk]},
    )

    assert refused.context["errors"]
    group = MemberGroup.objects.get(name="Team")
    assert group.group in user.groups.all()
    assert group.workspace == home


def test_namesakes_are_told_apart_by_their_addresses() -> None:
    workspace = make_workspace()
    for address in ("mei@example.com", "li@example.com"):
        make_member(workspace, name="Li Mei", email=address)
    administrator = logged_in(make_administrator(workspace))
    head = logged_in(make_head(workspace.organization))

    group = page(administrator.get("/admin/workspaces/membergroup/add/"))
    organization = page(
        head.get(f"/admin/workspaces/organization/{workspace.organization_id}/change/")
    )

    for address in ("mei@example.com", "li@example.com"):
        assert f"Li Mei ({address})" in group
        assert address in organization


# -- Keys


def test_a_key_is_shown_once_and_revoked_in_the_list() -> None:
    workspace = make_workspace()
    client = logged_in(make_administrator(workspace))

    answer = client.post(
        "/admin/workspaces/apikey/add/", {"name": "CRM", "scopes": [Scope.EVENTS_WRITE]}
    )
    secret = answer.context["secret"]
    key = api_keys.authenticate(secret, now=NOW)
    assert key is not None
    assert "no-store" in answer.headers["Cache-Control"]
    for path in ("", f"{key.pk}/change/", f"{key.pk}/history/"):
        assert secret not in page(client.get(f"/admin/workspaces/apikey/{path}"))
        assert key.hash not in page(client.get(f"/admin/workspaces/apikey/{path}"))

    client.post("/admin/workspaces/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert api_keys.authenticate(secret, now=NOW) is None


def test_a_keys_end_is_typed_in_the_workspaces_time_zone() -> None:
    workspace = make_workspace(time_zone="Asia/Shanghai")

    logged_in(make_administrator(workspace)).post(
        "/admin/workspaces/apikey/add/",
        {"name": "CRM", "scopes": [Scope.EVENTS_WRITE], "expires_at": "2027-01-01T08:00"},
    )

    assert ApiKey.objects.get(name="CRM").expires_at == datetime(2027, 1, 1, 0, 0, tzinfo=UTC)


def test_a_foreign_key_is_not_revoked() -> None:
    away = make_workspace()
    new = api_keys.create(workspace=away, name="CRM", scopes=[], actor=None)
    client = logged_in(make_administrator(make_workspace()))

    client.post("/admin/workspaces/apikey/", {"action": "revoke", "_selected_action": [new.key.pk]})

    assert ApiKey.objects.get(pk=new.key.pk).revoked_at is None


# -- Organizations and workspaces


def organization_form(organization: Organization, **flags: bool) -> dict[str, Any]:
    rows = list(OrganizationMember.objects.filter(organization=organization).order_by("pk"))
    data: dict[str, Any] = {
        "name": organization.name,
        "members-TOTAL_FORMS": len(rows),
        "members-INITIAL_FORMS": len(rows),
    }
    for number, row in enumerate(rows):
        data |= {f"members-{number}-id": row.pk, f"members-{number}-organization": organization.pk}
        if flags.get(row.user.name, row.is_administrator):
            data[f"members-{number}-is_administrator"] = "on"
    return data


def test_an_organizations_administrator_names_another() -> None:
    workspace = make_workspace()
    organization = workspace.organization
    head, user = make_head(organization, name="head"), make_member(workspace, name="other")
    client = logged_in(head)

    client.post(
        f"/admin/workspaces/organization/{organization.pk}/change/",
        organization_form(organization, other=True),
    )

    assert permissions.administers_organization(user, organization)
    user.refresh_from_db()
    assert user.is_staff


def test_an_organizations_administrator_does_not_drop_himself() -> None:
    organization = make_organization()
    head = make_head(organization, name="head")

    answer = logged_in(head).post(
        f"/admin/workspaces/organization/{organization.pk}/change/",
        organization_form(organization, head=False),
    )

    assert "Nobody changes their own rights" in page(answer)
    assert permissions.administers_organization(head, organization)


def test_an_organization_is_its_administrators_alone() -> None:
    workspace = make_workspace()
    address = f"/admin/workspaces/organization/{workspace.organization_id}/change/"
    stranger = make_head(make_organization())

    assert logged_in(make_head(workspace.organization)).get(address).status_code == 200
    assert logged_in(stranger).get(address).status_code == 404
    assert logged_in(make_administrator(workspace)).get(address).status_code == 403
    assert logged_in(make_operator()).get(address).status_code == 200


def test_an_organizations_administrator_makes_a_workspace_with_all_it_starts_with() -> None:
    organization, other = make_organization(), make_organization()
    make_workspace(organization)
    client = logged_in(make_head(organization))
    data = {
        "name": "Second",
        "slug": "second",
        "time_zone": "Asia/Shanghai",
        "language": "en",
        "confirm_above": "10000",
    }

    refused = client.post("/admin/workspaces/workspace/add/", {**data, "organization": other.pk})
    client.post("/admin/workspaces/workspace/add/", {**data, "organization": organization.pk})

    assert refused.context["errors"]
    made = Workspace.objects.get(slug="second")
    assert made.organization == organization
    assert made.roles.count() == len(Preset)
    assert made.id_types.exists()


def test_a_workspace_changes_its_settings_but_neither_tenant_nor_address() -> None:
    workspace = make_workspace()
    other = make_organization()
    client = logged_in(make_administrator(workspace))

    client.post(
        f"/admin/workspaces/workspace/{workspace.pk}/change/",
        {
            "name": "New name",
            "slug": "elsewhere",
            "organization": other.pk,
            "time_zone": "Asia/Shanghai",
            "language": "zh-hans",
            "confirm_above": "5",
        },
    )

    changed = Workspace.objects.get(pk=workspace.pk)
    assert (changed.name, changed.time_zone, changed.confirm_above) == (
        "New name",
        "Asia/Shanghai",
        5,
    )
    assert (changed.slug, changed.organization) == (workspace.slug, workspace.organization)
    entry = AuditEntry.objects.latest("pk")
    assert entry.action == "workspace.changed"
    assert entry.changes["time_zone"] == ["UTC", "Asia/Shanghai"]
    assert "slug" not in entry.changes


def test_an_unknown_time_zone_is_a_sentence() -> None:
    workspace = make_workspace()

    answer = logged_in(make_administrator(workspace)).post(
        f"/admin/workspaces/workspace/{workspace.pk}/change/",
        {"name": "X", "time_zone": "Mars", "language": "en", "confirm_above": "5"},
    )

    assert escape("“Mars” is not a time zone.") in page(answer) or "is not a time zone" in page(
        answer
    )


# -- The trail


def test_administrators_see_their_own_trail_and_no_other() -> None:
    home, away = make_workspace(), make_workspace()
    audit.record(actor=None, workspace=home, action="ours.happened", obj=home)
    audit.record(actor=None, workspace=away, action="theirs.happened", obj=away)
    audit.record(
        actor=None,
        workspace=None,
        organization=home.organization,
        action="organization.happened",
        obj=home.organization,
    )

    own = page(logged_in(make_administrator(home)).get("/admin/workspaces/auditentry/"))
    heads = page(logged_in(make_head(home.organization)).get("/admin/workspaces/auditentry/"))

    assert "ours.happened" in own
    assert "theirs.happened" not in own
    assert "organization.happened" not in own
    assert "organization.happened" in heads
    assert "theirs.happened" not in heads


def test_history_is_the_trail_of_the_object() -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace, name="Wang Lei")
    group = member_groups.create_group(workspace=workspace, name="Team", actor=administrator)

    history = page(
        logged_in(administrator).get(f"/admin/workspaces/membergroup/{group.pk}/history/")
    )

    assert "Wang Lei" in history
    assert "Member group: created" in history


def test_a_saved_form_without_a_change_leaves_no_entry() -> None:
    workspace = make_workspace()
    client = logged_in(make_administrator(workspace))
    before = AuditEntry.objects.count()

    client.post(
        f"/admin/workspaces/workspace/{workspace.pk}/change/",
        {
            "name": workspace.name,
            "time_zone": workspace.time_zone,
            "language": workspace.language,
            "confirm_above": workspace.confirm_above,
        },
    )

    assert AuditEntry.objects.count() == before


# -- Operators


def test_a_superuser_is_made_in_no_form() -> None:
    user = make_user()

    logged_in(make_operator()).post(
        f"/admin/workspaces/user/{user.pk}/change/",
        {
            "email": user.email,
            "name": "Renamed",
            "is_active": "on",
            "is_superuser": "on",
            "is_staff": "on",
        },
    )

    user.refresh_from_db()
    assert user.name == "Renamed"
    assert not user.is_superuser
    assert not user.is_staff


def test_an_operator_adds_and_deactivates_a_user() -> None:
    client = logged_in(make_operator())

    assert client.get("/admin/workspaces/user/add/").status_code == 200
    client.post(
        "/admin/workspaces/user/add/",
        {
            "email": "new@example.com",
            "password1": "correct horse battery",
            "password2": "correct horse battery",
        },
    )

    assert User.objects.get(email="new@example.com").check_password("correct horse battery")


def test_a_list_costs_the_same_for_few_and_for_many() -> None:
    workspace = make_workspace()
    client = logged_in(make_administrator(workspace))

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get("/admin/workspaces/membership/")
        return len(captured)

    make_member(workspace)
    few = cost()
    for _number in range(8):
        make_member(workspace)

    assert cost() == few


def test_an_invited_member_is_shown_as_such() -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace)
    added = members.add_member(
        workspace=workspace, email=make_user().email, actor=administrator, now=NOW
    )
    client = logged_in(administrator)

    assert "Invited" in page(client.get("/admin/workspaces/membership/"))
    form = client.get(f"/admin/workspaces/membership/{added.membership.pk}/change/")
    assert form.status_code == 200
    assert "is_active" not in form.context["adminform"].form.fields
