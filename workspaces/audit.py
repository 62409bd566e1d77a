"""The audit trail: one entry for every change by a person or a command that matters."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import translation
from django.utils.encoding import force_str
from django.utils.functional import Promise

from workspaces.choices import Via
from workspaces.models import AuditEntry, Organization, User, Workspace

_via: ContextVar[Via] = ContextVar("audit_via", default=Via.SYSTEM)

MASKED = "••••"


@contextmanager
def through(via: Via) -> Iterator[None]:
    """Set the door that entries recorded in this block name, unless they name one themselves."""
    token = _via.set(via)
    try:
        yield
    finally:
        _via.reset(token)


def record(
    *,
    actor: User | None,
    workspace: Workspace | None,
    action: str,
    obj: models.Model | None,
    changes: Mapping[str, Any] | None = None,
    via: str = "",
    organization: Organization | None = None,
) -> AuditEntry:
    """Append one entry, in the transaction of the change it tells of.

    Args:
        actor: who did it; None for the command line and the system.
        action: a dotted word like ``member.roles_changed``.
        changes: per field ``[before, after]``, secrets masked: see ``difference``.
        organization: told when there is no workspace; else the workspace's.
    """
    door = via or _via.get()
    return AuditEntry.objects.create(
        workspace=workspace,
        organization_id=_organization_id(workspace, organization),
        actor=actor,
        actor_label=_label_of(actor, door)[:254],
        via=door,
        action=action,
        object_type=obj._meta.label_lower if obj else "",
        object_id=force_str(obj.pk) if obj else "",
        object_label=_in_one_language(obj)[:254] if obj else "",
        changes=_plain(changes or {}),
    )


def snapshot(obj: models.Model) -> dict[str, Any]:
    """Return the object's own columns, to be compared by ``difference`` after a change.

    Columns named in the model's ``audit_masked`` and binary ones are secrets: their values are
    never in a snapshot, only a token that tells one value from the next.
    """
    secret = {"password", "hash", *getattr(obj, "audit_masked", ())}
    values: dict[str, Any] = {}
    for field in obj._meta.concrete_fields:
        value = field.value_from_object(obj)
        if field.name in secret or isinstance(field, models.BinaryField):
            value = _Secret(value)
        values[field.name] = value
    return values


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return ``{field: [before, after]}`` for what differs."""
    return {
        name: [before.get(name), after.get(name)]
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


class _Secret:
    """A value that can be compared and not read."""

    def __init__(self, value: Any) -> None:
        self._value = bytes(value) if isinstance(value, memoryview) else value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __str__(self) -> str:
        return MASKED if self._value else ""

    __repr__ = __str__


def _organization_id(workspace: Workspace | None, organization: Organization | None) -> int | None:
    if workspace is not None:
        return workspace.organization_id
    return organization.pk if organization else None


def _label_of(actor: User | None, door: str) -> str:
    if actor is None:
        return _in_one_language(Via(door).label)
    return f"{actor.name} <{actor.email}>" if actor.name else actor.email


def _in_one_language(named: models.Model | str | Promise) -> str:
    """Return the name in one language, whoever acts: entries are kept, not translated."""
    with translation.override(settings.LANGUAGE_CODE):
        return str(named)


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it; what JSON does not know goes in as its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, _Secret | Promise | models.Model):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return force_str(value)
