"""The rules of who may give which rights to whom, and that groups follow memberships."""

from collections.abc import Callable, Iterable

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client

from tests.factories import (
    NOW,
    make_administrator,
    make_head,
    make_member,
    make_organization,
    make_role,
    make_user,
    make_workspace,
    membership_of,
    role_of,
)
from workspaces import member_groups, members, permissions, roles, tenants
from workspaces.choices import Preset
from workspaces.models import AuditEntry, Membership, OrganizationMember, User, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db

MEMBER_MANAGER = [Point.MANAGE_MEMBERS, Point.VIEW_DELIVERIES]


def add(
    workspace: Workspace,
    email: str,
    actor: User | None,
    presets: Iterable[Preset] = (Preset.ANALYST,),
) -> members.Added:
    return members.add_member(
        workspace=workspace,
        email=email,
        roles=list(workspace.roles.filter(preset__in=presets)),
        actor=actor,
        now=NOW,
    )


# -- Adding


def test_a_new_user_sets_a_password_through_the_link_once(client: Client) -> None:
    workspace = make_workspace()

    added = add(workspace, "Li.Mei@Example.com", make_administrator(workspace))

    user = User.objects.get(email="li.mei@example.com")
    assert not user.has_usable_password()
    form = client.get(added.password_path, follow=True)
    page = form.redirect_chain[-1][0]
    password = "correct horse battery"
    client.post(page, {"password1": password, "password2": password})
    assert client.login(email="li.mei@example.com", password=password)
    again = Client().get(added.password_path, follow=True)
    assert again.context["token_fail"]


def test_a_known_user_is_invited_and_gets_no_link_and_no_rights() -> None:
    workspace = make_workspace()
    known = make_user()

    added = add(workspace, known.email, make_administrator(workspace))

    assert added.is_invited
    assert added.password_path == ""
    assert permissions.points_of(known, workspace) == set()
    assert not permissions.workspaces_of(known).exists()
    assert not OrganizationMember.objects.filter(user=known).exists()


def test_an_invited_user_becomes_a_member_by_accepting() -> None:
    workspace = make_workspace()
    known = make_user()
    added = add(workspace, known.email, make_administrator(workspace))

    members.accept_invitation(membership=added.membership, user=known)

    assert permissions.points_of(known, workspace) == {Point.VIEW_DELIVERIES}
    assert OrganizationMember.objects.filter(
        user=known, organization=workspace.organization, is_administrator=False
    ).exists()


def test_nobody_accepts_for_somebody_else() -> None:
    workspace = make_workspace()
    added = add(workspace, make_user().email, make_administrator(workspace))

    with pytest.raises(PermissionDenied):
        members.accept_invitation(membership=added.membership, user=make_user())


def test_an_invitation_cannot_be_switched_to_active_by_an_administrator() -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace)
    added = add(workspace, make_user().email, administrator)

    with pytest.raises(ValidationError) as refused:
        members.set_active(membership=added.membership, active=True, actor=administrator)

    assert refused.value.code == "invited"


def test_a_declined_invitation_is_gone() -> None:
    workspace = make_workspace()
    known = make_user()
    added = add(workspace, known.email, make_administrator(workspace))

    members.decline_invitation(membership=added.membership, user=known)

    assert not Membership.objects.filter(user=known).exists()


def test_the_command_line_adds_a_known_user_at_once_and_without_a_link() -> None:
    workspace = make_workspace()
    known = make_user()

    added = add(workspace, known.email, None)

    assert not added.is_invited
    assert added.password_path == ""
    assert permissions.points_of(known, workspace) == {Point.VIEW_DELIVERIES}


def test_nobody_is_added_twice() -> None:
    workspace = make_workspace()
    member = make_member(workspace)

    with pytest.raises(ValidationError) as refused:
        add(workspace, member.email.upper(), None)

    assert refused.value.code == "already_member"


def test_a_marketer_adds_nobody() -> None:
    workspace = make_workspace()

    with pytest.raises(PermissionDenied):
        add(workspace, "new@example.com", make_member(workspace))

    assert not User.objects.filter(email="new@example.com").exists()


# -- Giving rights


def test_a_member_manager_gives_what_he_has() -> None:
    workspace = make_workspace()
    manager = make_member(workspace, points=MEMBER_MANAGER)

    added = add(workspace, "new@example.com", manager)

    assert permissions.points_of(added.membership.user, workspace) == {Point.VIEW_DELIVERIES}


@pytest.mark.parametrize("preset", [Preset.MARKETER, Preset.DEVELOPER])
def test_nobody_gives_a_point_that_he_lacks(preset: Preset) -> None:
    workspace = make_workspace()
    manager = make_member(workspace, points=MEMBER_MANAGER)

    with pytest.raises(ValidationError) as refused:
        add(workspace, "new@example.com", manager, [preset])

    assert refused.value.code == "point_lacked"
    assert not User.objects.filter(email="new@example.com").exists()


def test_every_point_does_not_suffice_to_make_an_administrator() -> None:
    workspace = make_workspace()
    manager = make_member(workspace, points=Point)

    with pytest.raises(ValidationError) as refused:
        add(workspace, "new@example.com", manager, [Preset.ADMINISTRATOR])

    assert refused.value.code == "administrator_only"


def test_an_administrator_makes_an_administrator_who_may_enter_the_set_up() -> None:
    workspace = make_workspace()
    member = make_member(workspace)

    members.set_roles(
        membership=membership_of(member, workspace),
        roles=[role_of(workspace, Preset.ADMINISTRATOR)],
        actor=make_administrator(workspace),
    )

    member.refresh_from_db()
    assert permissions.administers(member, workspace)
    assert member.is_staff


def test_is_staff_goes_with_the_last_administration() -> None:
    workspace, other = make_workspace(), make_workspace()
    user = make_administrator(workspace)
    add(other, user.email, None, [Preset.ADMINISTRATOR])

    members.set_roles(membership=membership_of(user, workspace), roles=[], actor=None)
    user.refresh_from_db()
    assert user.is_staff

    members.remove_member(membership=membership_of(user, other), actor=None)
    user.refresh_from_db()
    assert not user.is_staff


OWN_CHANGES: dict[str, Callable[[Workspace, User], object]] = {
    "roles": lambda workspace, user: members.set_roles(
        membership=membership_of(user, workspace), roles=[], actor=user
    ),
    "active": lambda workspace, user: members.set_active(
        membership=membership_of(user, workspace), active=False, actor=user
    ),
    "removal": lambda workspace, user: members.remove_member(
        membership=membership_of(user, workspace), actor=user
    ),
    "flag": lambda workspace, user: members.set_organization_administrator(
        organization=workspace.organization, user=user, is_administrator=False, actor=user
    ),
    "one more workspace": lambda workspace, user: add(
        make_workspace(workspace.organization), user.email, user
    ),
}


@pytest.mark.parametrize("change", OWN_CHANGES)
def test_nobody_changes_his_own_rights(change: str) -> None:
    workspace = make_workspace()
    user = make_administrator(workspace)
    members.set_organization_administrator(
        organization=workspace.organization, user=user, is_administrator=True, actor=None
    )

    with pytest.raises(ValidationError) as refused:
        OWN_CHANGES[change](workspace, user)

    assert refused.value.code == "own_roles"
    assert permissions.administers_organization(user, workspace.organization)


CHANGES_ABOVE: dict[str, Callable[[Membership, User], object]] = {
    "roles": lambda above, actor: members.set_roles(membership=above, roles=[], actor=actor),
    "active": lambda above, actor: members.set_active(membership=above, active=False, actor=actor),
    "removal": lambda above, actor: members.remove_member(membership=above, actor=actor),
}


@pytest.mark.parametrize("change", CHANGES_ABOVE)
def test_a_member_manager_takes_nothing_from_somebody_above_him(change: str) -> None:
    workspace = make_workspace()
    manager = make_member(workspace, points=MEMBER_MANAGER)
    above = membership_of(make_administrator(workspace), workspace)

    with pytest.raises(ValidationError) as refused:
        CHANGES_ABOVE[change](above, manager)

    assert refused.value.code == "administrator_only"


def test_a_role_of_another_workspace_cannot_be_given() -> None:
    workspace, other = make_workspace(), make_workspace()
    administrator = make_administrator(workspace)

    with pytest.raises(PermissionDenied):
        members.set_roles(
            membership=membership_of(make_member(workspace), workspace),
            roles=[role_of(other, Preset.ANALYST)],
            actor=administrator,
        )


def test_an_administrator_of_another_workspace_changes_nothing() -> None:
    organization = make_organization()
    workspace, sister = make_workspace(organization), make_workspace(organization)
    stranger = make_administrator(sister)

    with pytest.raises(PermissionDenied):
        members.set_roles(
            membership=membership_of(make_member(workspace), workspace), roles=[], actor=stranger
        )
    with pytest.raises(PermissionDenied):
        members.set_organization_administrator(
            organization=organization,
            user=stranger,
            is_administrator=True,
            actor=make_administrator(workspace),
        )


def test_an_organization_gets_no_administrator_from_outside() -> None:
    organization = make_organization()
    head = make_head(organization)

    with pytest.raises(ValidationError) as refused:
        members.set_organization_administrator(
            organization=organization, user=make_user(), is_administrator=True, actor=head
        )

    assert refused.value.code == "not_in_organization"


def test_only_the_organizations_administrator_makes_a_workspace() -> None:
    workspace = make_workspace()

    with pytest.raises(PermissionDenied):
        tenants.create_workspace(
            organization=workspace.organization,
            name="Second",
            slug="second",
            actor=make_administrator(workspace),
        )
    made = tenants.create_workspace(
        organization=workspace.organization,
        name="Second",
        slug="second",
        actor=make_head(workspace.organization),
    )

    assert set(made.roles.values_list("preset", flat=True)) == set(Preset)
    assert made.id_types.exists()


# -- Roles


def test_a_changed_role_changes_its_members_at_once() -> None:
    workspace = make_workspace()
    role = make_role(workspace, [Point.REDELIVER])
    user = make_member(workspace, None)
    membership = membership_of(user, workspace)
    members.set_roles(membership=membership, roles=[role], actor=None)

    roles.set_points(role=role, points=[Point.MANAGE_DATA], actor=make_administrator(workspace))

    assert permissions.points_of(user, workspace) == {Point.MANAGE_DATA}


def test_the_administrator_role_keeps_its_points() -> None:
    workspace = make_workspace()

    with pytest.raises(ValidationError) as refused:
        roles.set_points(role=role_of(workspace, Preset.ADMINISTRATOR), points=[], actor=None)

    assert refused.value.code == "administrator_role"


def test_a_member_manager_widens_neither_his_own_role_nor_another() -> None:
    workspace = make_workspace()
    manager = make_member(workspace, points=MEMBER_MANAGER)
    own = membership_of(manager, workspace).roles.get()
    other = make_role(workspace, [Point.VIEW_DELIVERIES])

    with pytest.raises(ValidationError) as refused:
        roles.set_points(role=own, points=[Point.MANAGE_MEMBERS], actor=manager)
    assert refused.value.code == "own_role"
    for points in ([Point.VIEW_DELIVERIES, Point.PUBLISH_JOURNEYS], [Point.PUBLISH_JOURNEYS]):
        with pytest.raises(ValidationError) as refused:
            roles.set_points(role=other, points=points, actor=manager)
        assert refused.value.code == "point_lacked"
    with pytest.raises(ValidationError) as refused:
        roles.create_role(
            workspace=workspace, name="Wide", points=[Point.MANAGE_DATA], actor=manager
        )
    assert refused.value.code == "point_lacked"


def test_a_deleted_role_leaves_no_right_and_no_group() -> None:
    from django.contrib.auth.models import Group

    workspace = make_workspace()
    user = make_member(workspace, points=[Point.MANAGE_DATA])
    role = membership_of(user, workspace).roles.get()
    name = role.group_name

    roles.delete_role(role=role, actor=make_administrator(workspace))

    assert permissions.points_of(user, workspace) == set()
    assert not Group.objects.filter(name=name).exists()


def test_a_preset_role_stays() -> None:
    workspace = make_workspace()

    with pytest.raises(ValidationError) as refused:
        roles.delete_role(role=role_of(workspace, Preset.ANALYST), actor=None)

    assert refused.value.code == "preset_role"


def test_two_workspaces_have_roles_of_one_name() -> None:
    first, second = make_workspace(), make_workspace()

    make_role(first, [], name="Agency")
    make_role(second, [], name="Agency")

    assert first.roles.filter(name="Agency").exists()
    assert second.roles.filter(name="Agency").exists()


# -- Member groups


def test_a_member_group_is_a_django_group_of_its_live_members() -> None:
    workspace = make_workspace()
    user = make_member(workspace)
    membership = membership_of(user, workspace)

    group = member_groups.create_group(
        workspace=workspace,
        name="Summer team",
        memberships=[membership],
        actor=make_administrator(workspace),
    )
    assert group.group in user.groups.all()

    members.set_active(membership=membership, active=False, actor=None)
    assert group.group not in user.groups.all()

    members.set_active(membership=membership, active=True, actor=None)
    assert group.group in user.groups.all()


def test_only_an_administrator_fills_a_member_group() -> None:
    """Whoever is in a group has its usage permissions, and only administrators give those."""
    workspace = make_workspace()
    manager = make_member(workspace, points=Point)
    group = member_groups.create_group(workspace=workspace, name="Team", actor=None)

    with pytest.raises(PermissionDenied):
        member_groups.set_members(
            group=group, memberships=[membership_of(manager, workspace)], actor=manager
        )


def test_a_member_of_another_workspace_does_not_get_into_a_group() -> None:
    workspace, other = make_workspace(), make_workspace()
    group = member_groups.create_group(workspace=workspace, name="Team", actor=None)

    with pytest.raises(PermissionDenied):
        member_groups.set_members(
            group=group,
            memberships=[membership_of(make_member(other), other)],
            actor=make_administrator(workspace),
        )


# -- The trail


def test_every_change_of_rights_leaves_one_entry() -> None:
    workspace = make_workspace()
    administrator = make_administrator(workspace)
    start = AuditEntry.objects.count()
    acted: list[str] = []

    added = add(workspace, "new@example.com", administrator)
    acted.append("member.added")
    members.set_roles(
        membership=added.membership,
        roles=[role_of(workspace, Preset.MARKETER)],
        actor=administrator,
    )
    acted.append("member.roles_changed")
    # The same again changes nothing and says nothing.
    members.set_roles(
        membership=added.membership,
        roles=[role_of(workspace, Preset.MARKETER)],
        actor=administrator,
    )
    members.set_active(membership=added.membership, active=False, actor=administrator)
    acted.append("member.suspended")
    members.remove_member(membership=added.membership, actor=administrator)
    acted.append("member.removed")

    entries = AuditEntry.objects.order_by("pk")[start:]
    assert [entry.action for entry in entries] == acted
    assert {entry.actor for entry in entries} == {administrator}
    assert {entry.workspace for entry in entries} == {workspace}
    assert entries[1].changes == {"roles": [["Analyst"], ["Marketer"]]}
