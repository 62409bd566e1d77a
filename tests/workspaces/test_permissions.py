"""What each kind of member holds, and that lists and single questions agree."""

import pytest

from tests.factories import (
    make_administrator,
    make_head,
    make_member,
    make_operator,
    make_organization,
    make_user,
    make_workspace,
    membership_of,
)
from workspaces import members, permissions
from workspaces.choices import PRESET_POINTS, Preset
from workspaces.models import Organization, User, Workspace
from workspaces.points import Point

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("preset", Preset)
def test_a_preset_role_gives_its_points(preset: Preset) -> None:
    workspace = make_workspace()
    user = make_member(workspace, preset)

    assert permissions.points_of(user, workspace) == PRESET_POINTS[preset]


def test_a_role_gives_nothing_in_another_workspace() -> None:
    workspace, other = make_workspace(), make_workspace()
    user = make_member(workspace, Preset.ADMINISTRATOR)

    assert permissions.points_of(user, other) == set()
    assert not permissions.administers(user, other)


def test_two_roles_add_up() -> None:
    workspace = make_workspace()
    user = make_member(workspace, Preset.ANALYST)

    members.set_roles(
        membership=membership_of(user, workspace),
        roles=list(workspace.roles.filter(preset__in=[Preset.ANALYST, Preset.DEVELOPER])),
        actor=None,
    )

    assert permissions.points_of(user, workspace) == (
        PRESET_POINTS[Preset.ANALYST] | PRESET_POINTS[Preset.DEVELOPER]
    )


def test_an_organization_administrator_has_all_in_all_its_workspaces() -> None:
    organization = make_organization()
    inside, outside = make_workspace(organization), make_workspace()
    user = make_head(organization)

    assert permissions.points_of(user, inside) == set(Point)
    assert set(permissions.workspaces_of(user)) == {inside}
    assert permissions.administers_organization(user, organization)
    assert not permissions.administers_organization(user, outside.organization)


def test_a_custom_role_with_every_point_makes_no_administrator() -> None:
    workspace = make_workspace()
    user = make_member(workspace, points=Point)

    assert permissions.points_of(user, workspace) == set(Point)
    assert not permissions.administers(user, workspace)
    assert not user.is_staff


@pytest.mark.parametrize("preset", Preset)
def test_an_inactive_user_has_nothing_in_lists_either(preset: Preset) -> None:
    workspace = make_workspace()
    user = make_member(workspace, preset)
    User.objects.filter(pk=user.pk).update(is_active=False)

    # The instance still says that it is active, as one that a worker loaded earlier would.
    assert user.is_active
    assert permissions.points_of(user, workspace) == set()
    assert not permissions.workspaces_of(user).exists()
    assert not permissions.workspaces_with(user, Point.VIEW_DELIVERIES).exists()
    assert not permissions.members_with(workspace, Point.VIEW_DELIVERIES).exists()
    assert not permissions.may_enter_setup(user)


@pytest.mark.parametrize("preset", Preset)
def test_a_suspended_member_has_nothing(preset: Preset) -> None:
    workspace = make_workspace()
    user = make_member(workspace, preset)

    members.set_active(membership=membership_of(user, workspace), active=False, actor=None)

    assert permissions.points_of(user, workspace) == set()
    assert not permissions.workspaces_of(user).exists()
    assert not user.groups.exists()


def test_a_suspended_organization_administrator_keeps_the_flag_and_its_rights() -> None:
    workspace = make_workspace()
    user = make_administrator(workspace)
    members.set_organization_administrator(
        organization=workspace.organization, user=user, is_administrator=True, actor=None
    )

    members.set_active(membership=membership_of(user, workspace), active=False, actor=None)

    assert permissions.administers(user, workspace)


def test_a_django_model_permission_gives_nothing() -> None:
    from django.contrib.auth.models import Permission

    workspace = make_workspace()
    user = make_member(workspace, None)
    user.user_permissions.add(*Permission.objects.filter(content_type__app_label="workspaces"))

    assert permissions.points_of(user, workspace) == set()
    assert not permissions.workspaces_with(user, Point.REACH_MARKETING_WEBHOOK).exists()


def test_anonymous_has_nothing() -> None:
    from django.contrib.auth.models import AnonymousUser

    workspace = make_workspace()

    assert permissions.points_of(AnonymousUser(), workspace) == set()
    assert not permissions.workspaces_of(AnonymousUser()).exists()
    assert not permissions.workspaces_with(AnonymousUser(), Point.REDELIVER).exists()
    assert not permissions.may_enter_setup(AnonymousUser())


def test_an_operator_has_everything() -> None:
    workspace = make_workspace()
    operator = make_operator()

    assert permissions.points_of(operator, workspace) == set(Point)
    assert workspace in permissions.workspaces_of(operator)
    assert operator not in permissions.administrators_of(workspace)


def test_lists_and_single_questions_agree() -> None:
    """For every kind of user, workspace and point, five ways of asking give one answer."""
    organization = make_organization()
    workspaces = [make_workspace(organization), make_workspace(organization), make_workspace()]
    users = [make_user(), make_operator(), make_head(organization)]
    users += [make_member(workspace, preset) for workspace in workspaces for preset in Preset]
    users += [
        make_member(workspaces[0], points=[Point.REDELIVER, Point.MANAGE_DATA]),
        make_member(workspaces[1], None),
    ]
    suspended = make_member(workspaces[0], Preset.MARKETER)
    members.set_active(membership=membership_of(suspended, workspaces[0]), active=False, actor=None)

    listed_members = {
        (workspace, point): set(permissions.members_with(workspace, point))
        for workspace in workspaces
        for point in Point
    }
    for user in [*users, suspended]:
        rights = permissions.rights_of(user)
        for point in Point:
            listed = set(permissions.workspaces_with(user, point))
            assert rights.workspaces(point) == {workspace.pk for workspace in listed}
            for workspace in workspaces:
                holds = permissions.has_point(user, workspace, point)
                assert (workspace in listed) == holds
                assert rights.allows(workspace.pk, point) == holds
                if not user.is_superuser:
                    assert (user in listed_members[workspace, point]) == holds
        for workspace in workspaces:
            assert rights.allows(workspace.pk, None) == permissions.administers(user, workspace)


def test_the_rights_of_a_request_cost_the_same_for_one_workspace_and_for_many(
    django_assert_num_queries: "pytest.FixtureRequest",
) -> None:
    organization = make_organization()
    first = make_workspace(organization)
    user = make_member(first)
    for _number in range(4):
        workspace = make_workspace(organization)
        members.add_member(
            workspace=workspace,
            email=user.email,
            roles=[workspace.roles.get(preset=Preset.MARKETER)],
            actor=None,
            now=workspace.created_at,
        )

    with django_assert_num_queries(3):  # type: ignore[operator] # a fixture that is a function
        rights = permissions.rights_of(user)

    assert len(rights.points) == 5


def test_require_names_the_missing_point() -> None:
    from django.core.exceptions import PermissionDenied

    workspace = make_workspace()
    user = make_member(workspace, Preset.ANALYST)

    with pytest.raises(PermissionDenied, match="Reach Marketing-Webhook"):
        permissions.require(user, workspace, Point.REACH_MARKETING_WEBHOOK)


def test_types_are_what_they_say() -> None:
    assert permissions.workspaces_of(make_operator()).model is Workspace
    assert permissions.organizations_administered_by(make_operator()).model is Organization
