"""Members: the one place that writes memberships, and the Django groups that follow them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from workspaces import audit, permissions
from workspaces.choices import Preset
from workspaces.models import (
    Membership,
    Organization,
    OrganizationMember,
    Role,
    User,
    Workspace,
)
from workspaces.points import Point
from workspaces.roles import check_roles


class Added(NamedTuple):
    """A new membership, and the one-time path to set a password when its user is new too."""

    membership: Membership
    password_path: str

    @property
    def is_invited(self) -> bool:
        return self.membership.invited_at is not None


@transaction.atomic
def add_member(
    *,
    workspace: Workspace,
    email: str,
    name: str = "",
    roles: Sequence[Role] = (),
    actor: User | None,
    now: datetime,
) -> Added:
    """Add somebody to a workspace by e-mail address.

    A user created by this very call gets a link to set a password. A user who exists already
    is invited and becomes a member by accepting; only the command line (no actor) adds them
    at once.

    Raises:
        PermissionDenied: the actor may not manage the workspace's members.
        ValidationError: already a member, or roles that the actor may not give.
    """
    check_addition(workspace=workspace, email=email, roles=roles, actor=actor)
    user, created = User.objects.get_or_create(
        email=email.strip().lower(), defaults={"name": name, "password": make_password(None)}
    )
    invited = not created and actor is not None
    membership = Membership.objects.create(
        workspace=workspace,
        user=user,
        is_active=not invited,
        invited_at=now if invited else None,
        created_by=actor,
    )
    membership.roles.set(roles)
    _settle(membership)
    audit.record(
        actor=actor,
        workspace=workspace,
        action="member.invited" if invited else "member.added",
        obj=membership,
        changes={"roles": [[], _names(roles)]},
    )
    return Added(membership, password_path(user) if created else "")


@transaction.atomic
def set_roles(*, membership: Membership, roles: Sequence[Role], actor: User | None) -> None:
    """Give a member exactly these roles.

    Raises:
        PermissionDenied: the actor may not manage the workspace's members.
        ValidationError: the member is the actor, or a role to give or take is above him.
    """
    membership = Membership.objects.select_for_update(of=("self",)).get(pk=membership.pk)
    before = set(membership.roles.all())
    if before == set(roles):
        return
    check_role_change(membership=membership, roles=roles, actor=actor)
    membership.roles.set(roles)
    _settle(membership)
    audit.record(
        actor=actor,
        workspace=membership.workspace,
        action="member.roles_changed",
        obj=membership,
        changes={"roles": [_names(before), _names(roles)]},
    )


@transaction.atomic
def set_active(*, membership: Membership, active: bool, actor: User | None) -> None:
    """Suspend a member or take them back; a suspended one has nothing from that moment on."""
    membership = Membership.objects.select_for_update(of=("self",)).get(pk=membership.pk)
    if membership.is_active == active:
        return
    check_suspension(membership=membership, actor=actor)
    if membership.invited_at is not None:
        raise ValidationError(
            _("%(member)s has not accepted the invitation yet.") % {"member": membership},
            "invited",
        )
    membership.is_active = active
    membership.save(update_fields=["is_active"])
    _settle(membership)
    audit.record(
        actor=actor,
        workspace=membership.workspace,
        action="member.taken_back" if active else "member.suspended",
        obj=membership,
    )


@transaction.atomic
def remove_member(*, membership: Membership, actor: User | None) -> None:
    """Take a member out of the workspace; the user and what they made stay."""
    check_suspension(membership=membership, actor=actor)
    audit.record(
        actor=actor,
        workspace=membership.workspace,
        action="member.removed",
        obj=membership,
        changes={"roles": [_names(membership.roles.all()), []]},
    )
    user = membership.user
    membership.removed_by = actor
    membership.delete()
    sync(user)


def invitations_of(user: User) -> list[Membership]:
    return list(
        Membership.objects.pending()
        .filter(user=user)
        .select_related("workspace__organization", "created_by")
    )


@transaction.atomic
def accept_invitation(*, membership: Membership, user: User) -> None:
    """Make the invited user a member.

    Raises:
        PermissionDenied: it is somebody else's invitation.
    """
    if membership.user_id != user.pk:
        raise PermissionDenied
    waiting = Membership.objects.pending().filter(pk=membership.pk)
    if waiting.update(is_active=True, invited_at=None):
        _settle(Membership.objects.get(pk=membership.pk))
        audit.record(
            actor=user,
            workspace=membership.workspace,
            action="member.accepted",
            obj=membership,
        )


@transaction.atomic
def decline_invitation(*, membership: Membership, user: User) -> None:
    if membership.user_id != user.pk or membership.invited_at is None:
        raise PermissionDenied
    audit.record(
        actor=user, workspace=membership.workspace, action="member.declined", obj=membership
    )
    membership.removed_by = user
    membership.delete()


@transaction.atomic
def set_organization_administrator(
    *, organization: Organization, user: User, is_administrator: bool, actor: User | None
) -> OrganizationMember:
    """Make a user who belongs to the organization its administrator, or unmake one."""
    if actor is not None and not permissions.administers_organization(actor, organization):
        raise PermissionDenied
    _check_not_self(actor, user.email)
    member, created = OrganizationMember.objects.select_for_update().get_or_create(
        organization=organization, user=user
    )
    if created and actor is not None:
        raise ValidationError(
            _("%(user)s is not in this organization. Add them to a workspace first.")
            % {"user": user},
            "not_in_organization",
        )
    if member.is_administrator != is_administrator:
        member.is_administrator = is_administrator
        member.save(update_fields=["is_administrator"])
        audit.record(
            actor=actor,
            workspace=None,
            organization=organization,
            action="organization.administrator_changed",
            obj=member,
            changes={"is_administrator": [not is_administrator, is_administrator]},
        )
    sync(user)
    return member


def password_path(user: User) -> str:
    """Return the path of a one-time page to set a password.

    Whoever holds it can log in as the user: give it for a user just created, or to an operator
    on the command line, and to nobody else.
    """
    return reverse(
        "account_reset_password_from_key",
        kwargs={
            "uidb36": user_pk_to_url_str(user),
            "key": default_token_generator.make_token(user),
        },
    )


def sync(user: User) -> None:
    """Bring the user's Django groups and ``is_staff`` in step with the memberships."""
    lived = Membership.objects.filter(user=user, is_active=True)
    wanted = Group.objects.filter(
        Q(role__memberships__in=lived) | Q(member_group__members__in=lived)
    ).distinct()
    held = user.groups.filter(Q(role__isnull=False) | Q(member_group__isnull=False))
    wanted_set, held_set = set(wanted), set(held)
    user.groups.remove(*(held_set - wanted_set))
    user.groups.add(*(wanted_set - held_set))
    is_staff = (
        user.is_superuser
        or user.organization_members.filter(is_administrator=True).exists()
        or lived.filter(roles__preset=Preset.ADMINISTRATOR).exists()
    )
    if user.is_staff != is_staff:
        user.is_staff = is_staff
        user.save(update_fields=["is_staff"])


def require_management(*, workspace: Workspace, actor: User | None) -> None:
    if actor is not None:
        permissions.require(actor, workspace, Point.MANAGE_MEMBERS)


def check_addition(
    *, workspace: Workspace, email: str, roles: Sequence[Role], actor: User | None
) -> None:
    """Refuse to add oneself, somebody who is in already, or with roles above the actor."""
    require_management(workspace=workspace, actor=actor)
    address = email.strip().lower()
    validate_email(address)
    _check_not_self(actor, address)
    check_roles(workspace=workspace, roles=roles, actor=actor)
    if workspace.memberships.filter(user__email=address).exists():
        raise ValidationError(
            _("%(email)s is in this workspace already.") % {"email": address}, "already_member"
        )


def check_role_change(*, membership: Membership, roles: Iterable[Role], actor: User | None) -> None:
    """Refuse to change one's own roles, and to give or take what the actor lacks."""
    require_management(workspace=membership.workspace, actor=actor)
    _check_not_self(actor, membership.user.email)
    changed = set(roles) ^ set(membership.roles.all())
    check_roles(workspace=membership.workspace, roles=list(changed), actor=actor)


def check_suspension(*, membership: Membership, actor: User | None) -> None:
    """Refuse to suspend or remove oneself, or somebody with more rights."""
    require_management(workspace=membership.workspace, actor=actor)
    _check_not_self(actor, membership.user.email)
    check_roles(workspace=membership.workspace, roles=list(membership.roles.all()), actor=actor)


def _check_not_self(actor: User | None, email: str) -> None:
    if actor is not None and actor.email == email:
        raise ValidationError(
            _("Nobody changes their own rights. Ask another administrator."), "own_roles"
        )


def _settle(membership: Membership) -> None:
    """Let the organization's list and the Django groups follow a membership just written."""
    if membership.is_active:
        OrganizationMember.objects.get_or_create(
            organization_id=membership.workspace.organization_id, user=membership.user
        )
    sync(membership.user)


def _names(roles: Iterable[Role]) -> list[str]:
    return sorted(role.name for role in roles)
