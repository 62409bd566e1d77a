"""Making organizations and workspaces, and stopping everything that a workspace sends."""

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.text import slugify

from workspaces import audit, permissions, roles
from workspaces.choices import Language
from workspaces.models import Organization, User, Workspace
from workspaces.signals import workspace_created


def slug_of(name: str) -> str:
    """Return a short name made from a name; empty when no letter of it can stand in an address."""
    return slugify(name)[:50]


@transaction.atomic
def create_organization(*, name: str, slug: str, actor: User | None) -> Organization:
    organization = Organization(name=name, slug=slug)
    organization.full_clean()
    organization.save()
    audit.record(
        actor=actor,
        workspace=None,
        organization=organization,
        action="organization.created",
        obj=organization,
    )
    return organization


@transaction.atomic
def create_workspace(
    *,
    organization: Organization,
    name: str,
    slug: str,
    time_zone: str = "UTC",
    language: str = Language.ENGLISH,
    actor: User | None,
) -> Workspace:
    """Make a workspace with all it starts with; only the organization's administrator may.

    Raises:
        ValidationError: a name or slug is taken, or the time zone does not exist.
    """
    if actor is not None and not permissions.administers_organization(actor, organization):
        raise PermissionDenied
    workspace = Workspace(
        organization=organization, name=name, slug=slug, time_zone=time_zone, language=language
    )
    workspace.full_clean()
    workspace.save()
    roles.install_presets(workspace)
    workspace_created.send(sender=Workspace, workspace=workspace)
    audit.record(actor=actor, workspace=workspace, action="workspace.created", obj=workspace)
    return workspace


@transaction.atomic
def stop_sending(*, workspace: Workspace, reason: str, actor: User | None, now: datetime) -> bool:
    """Stop all sending of the workspace; False when it was stopped already."""
    changed = Workspace.objects.filter(pk=workspace.pk, sending_stopped_at=None).update(
        sending_stopped_at=now, sending_stopped_by=actor, sending_stopped_reason=reason
    )
    if changed:
        audit.record(
            actor=actor,
            workspace=workspace,
            action="workspace.sending_stopped",
            obj=workspace,
            changes={"reason": ["", reason]},
        )
    return bool(changed)


@transaction.atomic
def resume_sending(*, workspace: Workspace, actor: User | None) -> bool:
    """Let the workspace send again; False when it was not stopped."""
    changed = Workspace.objects.filter(pk=workspace.pk, sending_stopped_at__isnull=False).update(
        sending_stopped_at=None, sending_stopped_by=None, sending_stopped_reason=""
    )
    if changed:
        audit.record(
            actor=actor, workspace=workspace, action="workspace.sending_resumed", obj=workspace
        )
    return bool(changed)
