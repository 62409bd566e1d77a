"""Giving and ending usage permissions, and telling who may use a webhook and why not.

Reading the gates for one user is ``webhooks.grants``; this is the administrator's side.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from webhooks.grants import USE, Gates
from webhooks.models import GroupGrant, MemberGrant, UsageGrant, Webhook
from workspaces import audit, members, permissions, roles
from workspaces.models import MemberGroup, Membership, Role, User, Workspace
from workspaces.permissions import Point

POINT = Point.REACH_MARKETING_WEBHOOK

Grant: TypeAlias = MemberGrant | GroupGrant


@dataclass(frozen=True, slots=True)
class Grantees:
    """Whom to give a usage permission: any number of each kind."""

    members: Sequence[Membership] = ()
    roles: Sequence[Role] = ()
    groups: Sequence[MemberGroup] = ()

    def __bool__(self) -> bool:
        return bool(self.members or self.roles or self.groups)


@dataclass(slots=True)
class Granted:
    """What one save of the grant form did; names for the sentence that tells it."""

    new: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


class Status(StrEnum):
    CAN_USE = "can_use"
    LACKS_ROLE = "lacks_role"
    LACKS_USAGE = "lacks_usage"
    LACKS_BOTH = "lacks_both"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one workspace member stands before the webhook."""

    user: User
    status: Status
    sentence: str
    # Whom the permission was given to: names of roles and groups, "" for the member himself.
    through: tuple[str, ...] = ()
    ends_at: datetime | None = None
    is_administrator: bool = False


@transaction.atomic
def grant(
    *,
    webhook: Webhook,
    grantees: Grantees,
    actor: User | None,
    reason: str = "",
    ends_at: datetime | None = None,
    mend: Role | None = None,
    now: datetime,
) -> Granted:
    """Give usage permissions; who has one already gets the new reason and end instead of a second.

    Args:
        actor: an administrator of the workspace; None for the command line.
        ends_at: from that second on the permission gives nothing; None for no end.
        mend: a role with the point “User Marketing-Reach Marketing-Webhook” that every
            member who lacks the point gets in the same transaction. A role among the
            grantees that lacks it gets the point itself.

    Raises:
        PermissionDenied: the actor is no administrator, or a grantee is another workspace's.
        ValidationError: nobody chosen, an end in the past, or a role that may not be given.
    """
    workspace = webhook.workspace
    require_administrator(actor, workspace)
    holders: list[Role | MemberGroup] = [*grantees.roles, *grantees.groups]
    everyone: list[Membership | Role | MemberGroup] = [*grantees.members, *holders]
    if any(grantee.workspace_id != workspace.pk for grantee in everyone):
        raise PermissionDenied
    if not grantees:
        raise ValidationError(
            _("Choose at least one workspace member, role or member group."), "nobody"
        )
    if ends_at is not None and ends_at <= now:
        raise ValidationError(_("The end must be in the future."), "ended_already")
    told = Granted()
    shared = {"granted_by": actor, "granted_at": now, "reason": reason, "ends_at": ends_at}
    for membership in grantees.members:
        before = _live_end(MemberGrant, webhook, user=membership.user)
        MemberGrant.objects.update_or_create(
            user=membership.user,
            permission=use_permission(),
            content_object=webhook,
            defaults=shared,
        )
        name = str(membership.user)
        _tell(told, webhook, actor, (name, name), before, ends_at, reason)
    for holder in holders:
        before = _live_end(GroupGrant, webhook, group=holder.group)
        GroupGrant.objects.update_or_create(
            group=holder.group,
            permission=use_permission(),
            content_object=webhook,
            defaults=shared,
        )
        names = label_of(holder), _recorded(holder)
        _tell(told, webhook, actor, names, before, ends_at, reason)
    _mend(told, workspace, grantees, mend, actor)
    return told


@transaction.atomic
def end(*, grant: Grant, actor: User | None, now: datetime) -> bool:
    """End a usage permission now; False when it had ended already. The row stays, to tell when."""
    webhook = grant.content_object
    require_administrator(actor, webhook.workspace)
    manager = MemberGrant.objects if isinstance(grant, MemberGrant) else GroupGrant.objects
    if not manager.filter(UsageGrant.live(now), pk=grant.pk).update(ends_at=now):
        return False
    with translation.override(settings.LANGUAGE_CODE):
        holder = holder_of(grant)
    _tell_ended(grant, holder, actor, now)
    return True


def end_of_holder(instance: Membership | Role | MemberGroup, **kwargs: object) -> None:
    """End what was given to a member who left, or to a role or member group that was deleted.

    Coming back gives a member none of it back.
    """
    now = timezone.now()
    found: QuerySet[MemberGrant] | QuerySet[GroupGrant]
    if isinstance(instance, Membership):
        holder = str(instance.user)
        found = MemberGrant.objects.filter(
            user=instance.user_id, content_object__workspace=instance.workspace_id
        )
    else:
        holder = _recorded(instance)
        found = GroupGrant.objects.filter(group=instance.group_id)
    live = found.filter(UsageGrant.live(now), permission__codename=USE)
    for grant in live.select_related("content_object__workspace").order_by("pk"):
        type(grant).objects.filter(pk=grant.pk).update(ends_at=now)
        _tell_ended(grant, holder, instance.removed_by, now)


def _tell_ended(grant: Grant, holder: str, actor: User | None, now: datetime) -> None:
    audit.record(
        actor=actor,
        workspace=grant.content_object.workspace,
        action="webhook.usage_ended",
        obj=grant.content_object,
        changes={"for": holder, "ends_at": [grant.ends_at, now]},
    )


def grants_of(webhook: Webhook) -> list[Grant]:
    """Return every usage permission of the webhook, the ended ones too, the newest first."""
    found: list[Grant] = [
        *MemberGrant.objects.filter(
            content_object=webhook, permission__codename=USE
        ).select_related("user", "granted_by"),
        *_group_grants([webhook.pk]),
    ]
    return sorted(found, key=lambda grant: grant.granted_at, reverse=True)


def holder_of(grant: Grant) -> str:
    """Return whom a usage permission belongs to, as it stands on a screen."""
    if isinstance(grant, MemberGrant):
        return str(grant.user)
    return _label_of_group(grant.group)


def label_of(holder: Role | MemberGroup) -> str:
    if isinstance(holder, Role):
        return _("role %(name)s") % {"name": holder}
    return _("member group %(name)s") % {"name": holder.name}


def _recorded(holder: Role | MemberGroup) -> str:
    """Return the label as the audit trail keeps it: in one language, whoever acts."""
    with translation.override(settings.LANGUAGE_CODE):
        return label_of(holder)


def standings(webhook: Webhook, *, now: datetime) -> list[Standing]:
    """Return how each active member of the workspace stands before the webhook, by name.

    Six queries, whatever the number of members.
    """
    workspace = webhook.workspace
    lived = Membership.objects.live().filter(workspace=workspace)
    administrators = set(permissions.administrators_of(workspace).values_list("pk", flat=True))
    everyone = User.objects.filter(
        pk__in={*administrators, *lived.values_list("user_id", flat=True)}
    ).order_by("name", "email")
    pointed = set(permissions.members_with(workspace, POINT).values_list("pk", flat=True))
    held = held_by_user(webhook)
    return [
        _standing(user, user.pk in administrators, user.pk in pointed, held.get(user.pk, []), now)
        for user in everyone
    ]


def names_of_holders(webhooks: Iterable[Webhook], *, now: datetime) -> dict[int, list[str]]:
    """Return, by webhook, who holds a live usage permission: for the list's column, two queries."""
    ids = [webhook.pk for webhook in webhooks]
    live = UsageGrant.live(now)
    found: dict[int, list[str]] = {pk: [] for pk in ids}
    for grant in _group_grants(ids).filter(live):
        found[grant.content_object_id].append(holder_of(grant))
    own = MemberGrant.objects.filter(live, content_object__in=ids, permission__codename=USE)
    for row in own.select_related("user").order_by("user__name", "user__email"):
        found[row.content_object_id].append(holder_of(row))
    return found


def lacking_point(workspace: Workspace, grantees: Grantees) -> list[Membership]:
    """Return the active members whom the grantees reach and who lack the role permission."""
    reached = Membership.objects.live().filter(workspace=workspace)
    chosen = (
        reached.filter(pk__in=[member.pk for member in grantees.members])
        | reached.filter(roles__in=list(grantees.roles))
        | reached.filter(member_groups__in=list(grantees.groups))
    )
    pointed = permissions.members_with(workspace, POINT).values("pk")
    return list(chosen.exclude(user__in=pointed).select_related("user", "workspace").distinct())


def mending_roles(workspace: Workspace) -> list[Role]:
    """Return the roles that give the role permission and may be given to mend the other gate."""
    found = Role.objects.filter(
        workspace=workspace,
        group__workspacegroupobjectpermission__content_object=workspace,
        group__workspacegroupobjectpermission__permission__codename=POINT.value,
    )
    return [role for role in found.order_by("name") if not role.is_administrator]


def require_administrator(actor: User | None, workspace: Workspace) -> None:
    """Refuse whoever is no administrator of the workspace; only they give usage permissions."""
    if actor is not None and not permissions.administers(actor, workspace):
        raise PermissionDenied(_("Only an administrator of the workspace gives usage permissions."))


def use_permission() -> Permission:
    return Permission.objects.get(
        content_type__app_label="webhooks", content_type__model="webhook", codename=USE
    )


_Held: TypeAlias = list[tuple[str, datetime | None]]


def held_by_user(webhook: Webhook) -> dict[int, _Held]:
    """Return each user's usage permissions, live and ended: through what, and until when."""
    found: dict[int, _Held] = {}
    for row in MemberGrant.objects.filter(content_object=webhook, permission__codename=USE):
        found.setdefault(row.user_id, []).append(("", row.ends_at))
    groups = {grant.group_id: grant for grant in _group_grants([webhook.pk])}
    within = User.groups.through.objects.filter(group__in=groups)
    for user_id, group_id in within.values_list("user_id", "group_id"):
        grant = groups[group_id]
        found.setdefault(user_id, []).append((holder_of(grant), grant.ends_at))
    return found


def _standing(
    user: User, is_administrator: bool, has_point: bool, held: _Held, now: datetime
) -> Standing:
    live = [(through, end) for through, end in held if end is None or end > now]
    ended = [end for _through, end in held if end is not None and end <= now]
    if is_administrator:
        return Standing(user, Status.CAN_USE, _("Can use it, as administrator."), (), None, True)
    gates = Gates(role=has_point, usage=bool(live), ended_at=max(ended, default=None))
    through = tuple(sorted(name for name, _end in live))
    ends = [end for _through, end in live]
    ends_at = None if None in ends else max((end for end in ends if end), default=None)
    if gates.open:
        sentence = _("Can use it.")
        if ends_at:
            sentence = _("Can use it until %(date)s.") % {
                "date": date_format(timezone.localtime(ends_at), "DATETIME_FORMAT")
            }
        return Standing(user, Status.CAN_USE, sentence, through, ends_at)
    if not gates.usage and gates.ended_at and gates.role:
        status = Status.ENDED
    elif gates.usage:
        status = Status.LACKS_ROLE
    else:
        status = Status.LACKS_USAGE if gates.role else Status.LACKS_BOTH
    return Standing(user, status, gates.missing, through, ends_at or gates.ended_at)


def _mend(
    told: Granted, workspace: Workspace, grantees: Grantees, mend: Role | None, actor: User | None
) -> None:
    """Give the missing role permission through ``mend``, or name whoever goes on lacking it."""
    if mend is not None:
        if mend.workspace_id != workspace.pk:
            raise PermissionDenied
        if POINT not in roles.points_of(mend):
            raise ValidationError(
                _("The role %(role)s does not hold the permission. Choose another role.")
                % {"role": mend},
                "role_without_point",
            )
        for role in grantees.roles:
            held = roles.points_of(role)
            if POINT not in held:
                roles.set_points(role=role, points=held | {POINT}, actor=actor)
                told.mended.append(label_of(role))
    for membership in lacking_point(workspace, grantees):
        name = str(membership.user)
        if mend is None:
            told.lacking.append(name)
            continue
        members.set_roles(membership=membership, roles=[*membership.roles.all(), mend], actor=actor)
        told.mended.append(name)


def _tell(
    told: Granted,
    webhook: Webhook,
    actor: User | None,
    names: tuple[str, str],
    before: tuple[bool, datetime | None],
    ends_at: datetime | None,
    reason: str,
) -> None:
    """Note what became of one grantee, by the name on the screen and the one of the trail."""
    existed, old_end = before
    holder, recorded = names
    (told.renewed if existed else told.new).append(holder)
    audit.record(
        actor=actor,
        workspace=webhook.workspace,
        action="webhook.usage_changed" if existed else "webhook.usage_granted",
        obj=webhook,
        changes={"for": recorded, "ends_at": [old_end, ends_at], "reason": reason},
    )


def _live_end(
    model: type[MemberGrant] | type[GroupGrant], webhook: Webhook, **holder: User | Group
) -> tuple[bool, datetime | None]:
    """Return whether the holder has a row already, and its end; locks the row."""
    row = (
        model.objects.select_for_update(of=("self",))
        .filter(content_object=webhook, permission__codename=USE, **holder)
        .first()
    )
    return row is not None, row.ends_at if row else None


def _group_grants(webhook_ids: Sequence[int]) -> "QuerySet[GroupGrant]":
    return (
        GroupGrant.objects.filter(content_object__in=webhook_ids, permission__codename=USE)
        .select_related("granted_by", "group__role", "group__member_group")
        .order_by("group_id")
    )


def _label_of_group(group: Group) -> str:
    holder = getattr(group, "role", None) or getattr(group, "member_group", None)
    return label_of(holder) if holder else group.name
