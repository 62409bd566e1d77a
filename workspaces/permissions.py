"""Who may do what in a workspace. The only module that asks guardian."""

from dataclasses import dataclass
from typing import TypeAlias

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from guardian.core import ObjectPermissionChecker
from guardian.shortcuts import get_objects_for_user

from workspaces.choices import Preset
from workspaces.models import (
    Membership,
    Organization,
    OrganizationMember,
    User,
    Workspace,
    WorkspaceGroupObjectPermission,
)
from workspaces.points import POINT_LABELS, SETUP_POINTS, Point

__all__ = [
    "POINT_LABELS",
    "SETUP_POINTS",
    "Person",
    "Point",
    "Rights",
    "administers",
    "administers_organization",
    "administrators_of",
    "has_point",
    "may_enter_setup",
    "members_with",
    "organizations_administered_by",
    "points_of",
    "require",
    "rights_of",
    "workspaces_administered_by",
    "workspaces_of",
    "workspaces_with",
]

Person: TypeAlias = User | AnonymousUser


def administers(user: Person, workspace: Workspace) -> bool:
    """Tell whether the user has every right in the workspace: by its role or the organization's."""
    return workspaces_administered_by(user).filter(pk=workspace.pk).exists()


def administers_organization(user: Person, organization: Organization) -> bool:
    return organizations_administered_by(user).filter(pk=organization.pk).exists()


def has_point(user: Person, workspace: Workspace, point: Point) -> bool:
    """Tell whether the user holds the point now; administrators hold all, the inactive none."""
    return point in points_of(user, workspace)


def points_of(user: Person, workspace: Workspace) -> set[Point]:
    if administers(user, workspace):
        return set(Point)
    if user.pk is None or not _lives_in(user.pk, workspace):
        return set()
    held = ObjectPermissionChecker(user).get_group_perms(workspace)
    return {Point(codename) for codename in held if codename in _CODENAMES}


def require(user: Person, workspace: Workspace, point: Point) -> None:
    """Raise ``PermissionDenied``, naming the point, unless the user holds it."""
    if not has_point(user, workspace, point):
        raise PermissionDenied(POINT_LABELS[point])


def workspaces_of(user: Person) -> QuerySet[Workspace]:
    """Return the workspaces that exist for the user; all others are 404 for them."""
    if not _may_hold_anything(user):
        return Workspace.objects.none()
    if user.is_superuser:
        return Workspace.objects.all()
    return Workspace.objects.filter(_administered(user) | _lived_in(user))


def workspaces_administered_by(user: Person) -> QuerySet[Workspace]:
    if not _may_hold_anything(user):
        return Workspace.objects.none()
    if user.is_superuser:
        return Workspace.objects.all()
    return Workspace.objects.filter(_administered(user))


def organizations_administered_by(user: Person) -> QuerySet[Organization]:
    if not _may_hold_anything(user):
        return Organization.objects.none()
    if user.is_superuser:
        return Organization.objects.all()
    return Organization.objects.filter(pk__in=_headed(user).values("organization"))


def workspaces_with(user: Person, point: Point) -> QuerySet[Workspace]:
    if not _may_hold_anything(user):
        return Workspace.objects.none()
    if user.is_superuser:
        return Workspace.objects.all()
    pointed = get_objects_for_user(
        user,
        f"workspaces.{point}",
        klass=Workspace,
        with_superuser=False,
        accept_global_perms=False,
    )
    holds = Q(pk__in=pointed.order_by().values("pk")) & _lived_in(user)
    return Workspace.objects.filter(_administered(user) | holds)


@dataclass(frozen=True)
class Rights:
    """All that one user holds at one moment, for a request that asks many times."""

    administered: frozenset[int]
    points: dict[int, frozenset[Point]]

    def allows(self, workspace_id: int | None, point: Point | None) -> bool:
        """Tell whether the point is held there; None stands for being its administrator."""
        if workspace_id in self.administered:
            return True
        return point is not None and point in self.points.get(workspace_id or 0, ())

    def workspaces(self, point: Point | None) -> set[int]:
        held = {pk for pk, points in self.points.items() if point in points}
        return held | self.administered if point is not None else set(self.administered)

    @property
    def open_the_setup(self) -> bool:
        """Tell whether any workspace has something in the set-up for the user."""
        return bool(self.administered) or any(
            points & SETUP_POINTS for points in self.points.values()
        )


def rights_of(user: Person) -> Rights:
    """Return the user's rights in every workspace: three queries, whatever their number."""
    administered = frozenset(workspaces_administered_by(user).values_list("pk", flat=True))
    joined = set(workspaces_of(user).values_list("pk", flat=True)) - administered
    held: dict[int, set[Point]] = {pk: set() for pk in joined}
    if joined:
        rows = WorkspaceGroupObjectPermission.objects.filter(
            content_object__in=joined, group__user=user.pk, permission__codename__in=_CODENAMES
        )
        for pk, codename in rows.values_list("content_object", "permission__codename"):
            held[pk].add(Point(codename))
    every = frozenset(Point)
    return Rights(
        administered,
        dict.fromkeys(administered, every) | {pk: frozenset(held[pk]) for pk in joined},
    )


def may_enter_setup(user: Person) -> bool:
    """Tell whether the set-up (Django admin) holds anything for the user."""
    if not _may_hold_anything(user):
        return False
    if user.is_superuser or _headed(user).exists():
        return True
    return rights_of(user).open_the_setup


def members_with(workspace: Workspace, point: Point) -> QuerySet[User]:
    """Return the users who hold the point in the workspace, administrators included."""
    by_role = Q(
        pk__in=Membership.objects.live()
        .filter(
            workspace=workspace,
            roles__group__workspacegroupobjectpermission__content_object=workspace,
            roles__group__workspacegroupobjectpermission__permission__codename=point.value,
        )
        .values("user")
    )
    return User.objects.filter(_administering(workspace) | by_role, is_active=True)


def administrators_of(workspace: Workspace) -> QuerySet[User]:
    """Return the workspace's and the organization's administrators, without the operators."""
    return User.objects.filter(_administering(workspace), is_active=True)


_CODENAMES = frozenset(point.value for point in Point)


def _may_hold_anything(user: Person) -> bool:
    return user.is_authenticated and user.is_active


def _lives_in(user_id: int, workspace: Workspace) -> bool:
    return Membership.objects.live().filter(workspace=workspace, user=user_id).exists()


def _headed(user: Person) -> QuerySet[OrganizationMember]:
    return OrganizationMember.objects.filter(
        user=user.pk, user__is_active=True, is_administrator=True
    )


def _administered(user: Person) -> Q:
    by_role = Membership.objects.live().filter(user=user.pk, roles__preset=Preset.ADMINISTRATOR)
    return Q(organization__in=_headed(user).values("organization")) | Q(
        pk__in=by_role.values("workspace")
    )


def _lived_in(user: Person) -> Q:
    return Q(pk__in=Membership.objects.live().filter(user=user.pk).values("workspace"))


def _administering(workspace: Workspace) -> Q:
    by_role = Membership.objects.live().filter(
        workspace=workspace, roles__preset=Preset.ADMINISTRATOR
    )
    heads = OrganizationMember.objects.filter(
        organization=workspace.organization_id, is_administrator=True
    )
    return Q(pk__in=by_role.values("user")) | Q(pk__in=heads.values("user"))
