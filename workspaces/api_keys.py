"""API keys: made once, shown once, kept as a hash."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q

from workspaces import audit, permissions
from workspaces.models import ApiKey, User, Workspace

# How old the noted last use may get before it is written again.
LAST_USED_PRECISION: Final = timedelta(minutes=5)
_PREFIX_LENGTH: Final = 12


class NewKey(NamedTuple):
    key: ApiKey
    secret: str


@transaction.atomic
def create(
    *,
    workspace: Workspace,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    actor: User | None,
) -> NewKey:
    """Make a key; its secret is in the answer and nowhere else."""
    _require_administrator(workspace, actor)
    prefix = f"key_{secrets.token_hex(4)}"
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        workspace=workspace,
        name=name,
        prefix=prefix,
        hash=_hash(secret),
        scopes=sorted(scopes),
        expires_at=expires_at,
        created_by=actor,
    )
    audit.record(
        actor=actor,
        workspace=workspace,
        action="api_key.created",
        obj=key,
        changes={"scopes": [[], key.scopes], "expires_at": [None, expires_at]},
    )
    return NewKey(key, secret)


@transaction.atomic
def revoke(*, key: ApiKey, actor: User | None, now: datetime) -> None:
    """Make a key useless from this moment on; harmless when run twice."""
    _require_administrator(key.workspace, actor)
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        audit.record(actor=actor, workspace=key.workspace, action="api_key.revoked", obj=key)


def authenticate(secret: str, *, now: datetime) -> ApiKey | None:
    """Return the key whose secret this is, while it and its maker are still good.

    A key dies with the rights of the administrator who made it; one made on the command line
    lives until it expires or is revoked.
    """
    key = (
        ApiKey.objects.live(now)
        .filter(prefix=secret[:_PREFIX_LENGTH])
        .select_related("workspace", "created_by")
        .first()
    )
    if key is None or not secrets.compare_digest(key.hash, _hash(secret)):
        return None
    if key.created_by and not permissions.administers(key.created_by, key.workspace):
        return None
    _note_use(key, now)
    return key


def _note_use(key: ApiKey, now: datetime) -> None:
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_PRECISION)
    if key.last_used_at is None or key.last_used_at < now - LAST_USED_PRECISION:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _hash(secret: str) -> str:
    """Hash without salt or stretching: the secret is 256 random bits, not a password."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _require_administrator(workspace: Workspace, actor: User | None) -> None:
    if actor is not None and not permissions.administers(actor, workspace):
        raise PermissionDenied
