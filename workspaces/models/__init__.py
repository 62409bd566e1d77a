from workspaces.models.audit import AuditEntry
from workspaces.models.heartbeats import Heartbeat
from workspaces.models.keys import ApiKey
from workspaces.models.members import (
    MemberGroup,
    Membership,
    Role,
    WorkspaceGroupObjectPermission,
)
from workspaces.models.notices import Notice
from workspaces.models.tenants import Organization, OrganizationMember, Workspace
from workspaces.models.users import User, UserManager

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Heartbeat",
    "MemberGroup",
    "Membership",
    "Notice",
    "Organization",
    "OrganizationMember",
    "Role",
    "User",
    "UserManager",
    "Workspace",
    "WorkspaceGroupObjectPermission",
]
