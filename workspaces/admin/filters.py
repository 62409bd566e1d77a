"""List filters that offer only what is the visitor's."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from django.utils.html import conditional_escape
from django.utils.translation import gettext_lazy as _

from workspaces import audit_words
from workspaces.admin import scoping
from workspaces.models import Workspace
from workspaces.sentences import spaced
from workspaces.typed import whole


class WorkspaceFilter(admin.SimpleListFilter):
    """Filter by workspace; absent for a visitor who has one only."""

    title = _("workspace")
    parameter_name = "workspace"

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: Any,
    ) -> None:
        self._lookup: str = model_admin.workspace_lookup
        self._offered: set[int] = scoping.rights(request).workspaces(model_admin.point)
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if len(self._offered) < 2:
            return []
        offered = Workspace.objects.filter(pk__in=self._offered).select_related("organization")
        return [(str(workspace.pk), str(workspace)) for workspace in offered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = whole(self.value())
        return queryset if value is None else queryset.filter(**{self._lookup: value})


class ScopedRelatedFilter(admin.RelatedFieldListFilter):
    """Filter by a related object; stock admin would offer every tenant's."""

    def __init__(self, field: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, request, *args, **kwargs)
        name = field.remote_field.model._meta.verbose_name
        self.empty_value_display = conditional_escape(spaced(_("No %(name)s") % {"name": name}))

    def field_choices(
        self, field: Field[Any, Any], request: HttpRequest, model_admin: Any
    ) -> list[tuple[str, Any]]:
        related: type[Model] = field.remote_field.model  # type: ignore[union-attr] # a relation
        offered = scoping.visible(related, request, site=model_admin.admin_site)
        return [(str(obj.pk), str(obj)) for obj in offered]


class ActFilter(admin.AllValuesFieldListFilter):
    """Filter by what happened, in words."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": audit_words.act(str(choice["display"]))}
