"""Roles and their permission points, written to guardian through one door."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from workspaces import audit, permissions
from workspaces.choices import PRESET_POINTS, Preset
from workspaces.models import Role, User, Workspace, WorkspaceGroupObjectPermission
from workspaces.points import POINT_LABELS, Point
from workspaces.sentences import listed


@transaction.atomic
def install_presets(workspace: Workspace) -> dict[Preset, Role]:
    """Give a workspace the roles that it lacks of the four; harmless when run twice."""
    roles = {Preset(role.preset): role for role in workspace.roles.exclude(preset="")}
    lacking = {
        _create(workspace, preset.name.capitalize(), preset): points
        for preset, points in PRESET_POINTS.items()
        if preset not in roles
    }
    _give(lacking)
    return roles | {Preset(role.preset): role for role in lacking}


@transaction.atomic
def create_role(
    *, workspace: Workspace, name: str, points: Iterable[Point], actor: User | None
) -> Role:
    """Add a role of the workspace's own, with at most the points that the actor has."""
    wanted = set(points)
    check_points(workspace=workspace, points=wanted, actor=actor)
    role = _create(workspace, name, "")
    _write_points(role, wanted)
    audit.record(
        actor=actor,
        workspace=workspace,
        action="role.created",
        obj=role,
        changes={"points": [[], wanted]},
    )
    return role


@transaction.atomic
def set_points(*, role: Role, points: Iterable[Point], actor: User | None) -> None:
    """Change what a role gives, to all its members at once."""
    Role.objects.select_for_update().get(pk=role.pk)
    before, after = points_of(role), set(points)
    if before == after:
        return
    check_change(role=role, points=after, actor=actor)
    _write_points(role, after)
    audit.record(
        actor=actor,
        workspace=role.workspace,
        action="role.points_changed",
        obj=role,
        changes={"points": [before, after]},
    )


@transaction.atomic
def rename_role(*, role: Role, name: str, actor: User | None) -> None:
    before = role.name
    if before == name:
        return
    role.name = name
    role.save(update_fields=["name"])
    audit.record(
        actor=actor,
        workspace=role.workspace,
        action="role.renamed",
        obj=role,
        changes={"name": [before, name]},
    )


@transaction.atomic
def delete_role(*, role: Role, actor: User | None) -> None:
    """Delete a role of the workspace's own; who had it loses its points with it."""
    check_deletion(role=role, actor=actor)
    audit.record(
        actor=actor,
        workspace=role.workspace,
        action="role.deleted",
        obj=role,
        changes={"points": [points_of(role), []]},
    )
    group = role.group
    role.removed_by = actor
    role.delete()
    group.delete()


def points_of(role: Role) -> set[Point]:
    rows = WorkspaceGroupObjectPermission.objects.filter(
        group=role.group_id, content_object=role.workspace_id
    )
    return {Point(codename) for codename in rows.values_list("permission__codename", flat=True)}


def check_points(*, workspace: Workspace, points: set[Point], actor: User | None) -> None:
    """Refuse to give what the actor lacks; the command line (no actor) lacks nothing."""
    if actor is None:
        return
    lacking = points - permissions.points_of(actor, workspace)
    if lacking:
        raise ValidationError(
            _("You may not give what you do not have yourself: %(points)s.")
            % {"points": label_list(lacking)},
            "point_lacked",
        )


def check_change(*, role: Role, points: set[Point], actor: User | None) -> None:
    """Refuse what nobody may do to this role, and what this actor may not.

    Raises:
        ValidationError: with a sentence for the form.
    """
    if role.is_administrator:
        raise ValidationError(
            _("The role administrator always has every point. Make a role of your own instead."),
            "administrator_role",
        )
    if actor is None:
        return
    if _holds(actor, role) and not permissions.administers(actor, role.workspace):
        raise ValidationError(
            _("This is one of your own roles. Ask an administrator to change it."), "own_role"
        )
    check_points(workspace=role.workspace, points=points ^ points_of(role), actor=actor)


def check_deletion(*, role: Role, actor: User | None) -> None:
    if role.preset:
        raise ValidationError(
            _("Every workspace has this role. Take its points away instead of deleting it."),
            "preset_role",
        )
    if actor is not None and _holds(actor, role):
        raise ValidationError(
            _("This is one of your own roles. Ask another administrator to delete it."), "own_role"
        )
    check_points(workspace=role.workspace, points=points_of(role), actor=actor)


def check_roles(*, workspace: Workspace, roles: Sequence[Role], actor: User | None) -> None:
    """Refuse to give or take roles that hold more than the actor has.

    Raises:
        PermissionDenied: a role of another workspace, which no form offers.
        ValidationError: with a sentence for the form.
    """
    if any(role.workspace_id != workspace.pk for role in roles):
        raise PermissionDenied
    if actor is None:
        return
    if any(role.is_administrator for role in roles) and not permissions.administers(
        actor, workspace
    ):
        raise ValidationError(
            _("Only an administrator can make or unmake an administrator."), "administrator_only"
        )
    given = {point for role in roles for point in points_of(role)}
    check_points(workspace=workspace, points=given, actor=actor)


def label_list(points: Iterable[Point]) -> str:
    """Return the points' menu paths as one phrase, in the reader's language."""
    return listed(labels(points))


def labels(points: Iterable[Point]) -> list[str]:
    """Return the points' menu paths, in the order of the form that gives them."""
    wanted = set(points)
    return [str(label) for point, label in POINT_LABELS.items() if point in wanted]


def _holds(user: User, role: Role) -> bool:
    return role.memberships.filter(user=user).exists()


def _create(workspace: Workspace, name: str, preset: str) -> Role:
    role = Role(workspace=workspace, name=name, preset=preset)
    role.group = Group.objects.create(name=role.group_name)
    role.save()
    return role


def _write_points(role: Role, points: Iterable[Point]) -> None:
    wanted = set(points)
    held = points_of(role)
    if taken := held - wanted:
        WorkspaceGroupObjectPermission.objects.filter(
            group=role.group, content_object=role.workspace, permission__codename__in=taken
        ).delete()
    _give({role: wanted - held})


def _give(wanted: Mapping[Role, Collection[Point]]) -> None:
    given = Permission.objects.filter(
        content_type__app_label="workspaces",
        content_type__model="workspace",
        codename__in=set().union(*wanted.values()),
    )
    WorkspaceGroupObjectPermission.objects.bulk_create(
        [
            WorkspaceGroupObjectPermission(
                permission=each, group=role.group, content_object=role.workspace
            )
            for each in given
            for role, points in wanted.items()
            if each.codename in points
        ],
        ignore_conflicts=True,  # somebody else gave it in the meantime
    )
