"""Which rows of which model are a visitor's, for choice lists, filters and autocomplete."""

from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from workspaces import permissions
from workspaces.current import rights
from workspaces.models import Organization, User, Workspace

__all__ = ["follow", "lookup_of", "rights", "visible"]


def visible(
    model: type[Model],
    request: HttpRequest,
    *,
    site: AdminSite,
    workspace_id: int | None = None,
) -> QuerySet[Any]:
    """Return the rows of any model that the visitor may choose from.

    Args:
        workspace_id: the workspace of the object being edited, which may only refer to its own.

    Raises:
        ImproperlyConfigured: nothing says how the model belongs to a workspace.
    """
    allowed = rights(request)
    scope = {workspace_id} if workspace_id else {*allowed.points}
    manager = model._default_manager
    if model is Workspace:
        return manager.filter(pk__in=scope)
    if model is Organization:
        return manager.filter(pk__in=permissions.organizations_administered_by(request.user))
    if model is User:
        works_here = Q(memberships__workspace__in=scope, memberships__is_active=True)
        heads = Q(
            organization_members__organization__workspaces__in=scope,
            organization_members__is_administrator=True,
        )
        return manager.filter(works_here | heads).distinct()
    return manager.filter(**{f"{lookup_of(model, site)}__in": scope})


def lookup_of(model: type[Model], site: AdminSite) -> str:
    """Return the path from a model to its workspace: its admin's, else a field of that name."""
    if site.is_registered(model):
        lookup: str | None = getattr(site.get_model_admin(model), "workspace_lookup", None)
        if lookup:
            return lookup
    try:
        model._meta.get_field("workspace")
    except FieldDoesNotExist:
        raise ImproperlyConfigured(
            f"Nothing says how {model._meta.label} belongs to a workspace. Register an admin "
            "class with workspace_lookup, or choose its objects yourself."
        ) from None
    return "workspace"


def follow(obj: Model, lookup: str) -> int | None:
    """Return the key of the workspace that a lookup such as ``webhook__workspace`` leads to."""
    if lookup == "pk":
        found: int | None = obj.pk
        return found
    *steps, last = lookup.split("__")
    target: Any = obj
    for step in steps:
        target = getattr(target, step)
        if target is None:
            return None
    key: int | None = getattr(target, f"{last}_id")
    return key
