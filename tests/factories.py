"""Organizations, workspaces and members, made for a test. Every default can be overridden."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

from workspaces import members, roles, tenants
from workspaces.choices import Preset
from workspaces.models import Membership, Organization, Role, User, Workspace
from workspaces.points import Point

NOW: Final = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
PASSWORD: Final = "a password for tests"
_numbers = count(1)


def make_user(**fields: Any) -> User:
    """A user of no workspace. ``password`` is ``PASSWORD`` unless said otherwise."""
    number = next(_numbers)
    defaults = {
        "email": f"user{number}@example.com",
        "name": f"User {number}",
        "password": PASSWORD,
    }
    return User.objects.create_user(**{**defaults, **fields})


def make_operator(**fields: Any) -> User:
    """A superuser: the operator of the installation."""
    number = next(_numbers)
    defaults = {"email": f"operator{number}@example.com", "password": PASSWORD}
    return User.objects.create_superuser(**{**defaults, **fields})


def make_organization(**fields: Any) -> Organization:
    number = next(_numbers)
    return Organization.objects.create(
        **{"name": f"Organization {number}", "slug": f"organization-{number}", **fields}
    )


def make_workspace(organization: Organization | None = None, **fields: Any) -> Workspace:
    """A workspace with its preset roles and ID types, in an organization of its own."""
    number = next(_numbers)
    defaults = {"name": f"Workspace {number}", "slug": f"workspace-{number}"}
    return tenants.create_workspace(
        organization=organization or make_organization(), actor=None, **{**defaults, **fields}
    )


def make_member(
    workspace: Workspace,
    preset: Preset | None = Preset.MARKETER,
    *,
    points: Iterable[Point] | None = None,
    **fields: Any,
) -> User:
    """A user who works in the workspace: with a preset role, or with exactly these points."""
    number = next(_numbers)
    given = [workspace.roles.get(preset=preset)] if preset and points is None else []
    if points is not None:
        given = [make_role(workspace, points)]
    added = members.add_member(
        workspace=workspace,
        email=fields.pop("email", f"member{number}@example.com"),
        name=fields.pop("name", f"Member {number}"),
        roles=given,
        actor=None,
        now=NOW,
    )
    user = added.membership.user
    user.set_password(PASSWORD)
    for field, value in fields.items():
        setattr(user, field, value)
    user.save()
    return user


def make_administrator(workspace: Workspace, **fields: Any) -> User:
    return make_member(workspace, Preset.ADMINISTRATOR, **fields)


def make_head(organization: Organization, **fields: Any) -> User:
    """An administrator of the organization, who is a member of no workspace."""
    user = make_user(**fields)
    members.set_organization_administrator(
        organization=organization, user=user, is_administrator=True, actor=None
    )
    return user


def make_role(workspace: Workspace, points: Iterable[Point], **fields: Any) -> Role:
    name = fields.pop("name", f"Role {next(_numbers)}")
    return roles.create_role(workspace=workspace, name=name, points=points, actor=None)


def membership_of(user: User, workspace: Workspace) -> Membership:
    return Membership.objects.get(user=user, workspace=workspace)


def role_of(workspace: Workspace, preset: Preset) -> Role:
    return Role.objects.get(workspace=workspace, preset=preset)
