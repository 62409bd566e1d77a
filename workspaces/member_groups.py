"""Member groups: whoever is in one has what is granted to it, so only administrators write them."""

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction

from workspaces import audit, members, permissions
from workspaces.models import MemberGroup, Membership, User, Workspace


@transaction.atomic
def create_group(
    *, workspace: Workspace, name: str, memberships: Iterable[Membership] = (), actor: User | None
) -> MemberGroup:
    _require_administrator(workspace, actor)
    group = MemberGroup(workspace=workspace, name=name)
    group.group = Group.objects.create(name=group.group_name)
    group.save()
    audit.record(actor=actor, workspace=workspace, action="member_group.created", obj=group)
    set_members(group=group, memberships=memberships, actor=actor)
    return group


@transaction.atomic
def set_members(
    *, group: MemberGroup, memberships: Iterable[Membership], actor: User | None
) -> None:
    """Put exactly these members into the group."""
    _require_administrator(group.workspace, actor)
    MemberGroup.objects.select_for_update().get(pk=group.pk)
    after = set(memberships)
    if any(membership.workspace_id != group.workspace_id for membership in after):
        raise PermissionDenied
    before = set(group.members.select_related("user"))
    if before == after:
        return
    group.members.set(after)
    for membership in before ^ after:
        members.sync(membership.user)
    audit.record(
        actor=actor,
        workspace=group.workspace,
        action="member_group.members_changed",
        obj=group,
        changes={"members": [_names(before), _names(after)]},
    )


@transaction.atomic
def rename_group(*, group: MemberGroup, name: str, actor: User | None) -> None:
    _require_administrator(group.workspace, actor)
    before = group.name
    if before == name:
        return
    group.name = name
    group.save(update_fields=["name"])
    audit.record(
        actor=actor,
        workspace=group.workspace,
        action="member_group.renamed",
        obj=group,
        changes={"name": [before, name]},
    )


@transaction.atomic
def delete_group(*, group: MemberGroup, actor: User | None) -> None:
    """Delete the group; what was granted to it is gone for its members."""
    _require_administrator(group.workspace, actor)
    audit.record(
        actor=actor,
        workspace=group.workspace,
        action="member_group.deleted",
        obj=group,
        changes={"members": [_names(group.members.select_related("user")), []]},
    )
    django_group = group.group
    group.removed_by = actor
    group.delete()
    django_group.delete()


def _require_administrator(workspace: Workspace, actor: User | None) -> None:
    if actor is not None and not permissions.administers(actor, workspace):
        raise PermissionDenied


def _names(memberships: Iterable[Membership]) -> list[str]:
    return sorted(str(membership.user) for membership in memberships)
