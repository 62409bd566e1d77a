"""What the lists of what was sent and reported share: one workspace, masked, only to look at."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy

from webhooks.admin.keyset import KeysetChangeList
from webhooks.admin.showing import Masks
from webhooks.models import Webhook
from workspaces import current
from workspaces.admin import scoping
from workspaces.admin.base import ReadOnlyModelAdmin
from workspaces.models import Workspace
from workspaces.points import Point
from workspaces.typed import whole


class RecordList(KeysetChangeList):
    """Tells every row what of it the visitor may see."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        masks = Masks(request)
        for row in self.result_list:
            row.masks = masks


class OfEachWebhook(RecordList):
    """Where the index is by webhook: the first rows of each are read, then merged.

    A subclass says how, with ``workspace``, ``at``, ``key`` and ``limit``, and where it starts.
    """

    statement: ClassVar[str]
    start: ClassVar[tuple[str, Any]]

    def read(self, request: HttpRequest, limit: int) -> list[Any]:
        if "webhook" in self.filter_params or self.query:
            return super().read(request, limit)
        workspace = self.model_admin.workspace_of(request)  # type: ignore[attr-defined] # ours
        moment, start_key = self.start
        at, key = self.place() or (None, start_key)
        given = {"workspace": workspace.pk if workspace else 0, "at": at or moment}
        with connection.cursor() as cursor:
            cursor.execute(self.statement, {**given, "key": key, "limit": limit})
            found = [pk for (pk,) in cursor.fetchall()]
        return list(self.queryset.filter(pk__in=found))


class OneWorkspaceAdmin(ReadOnlyModelAdmin):
    """A big table's list: of one workspace at a time, so that its index serves the page."""

    point = Point.VIEW_DELIVERIES
    # Of the fields, those that only machines and operators call things by.
    details: ClassVar[tuple[str, ...]] = ()
    changelist: ClassVar[type[KeysetChangeList]] = RecordList
    list_per_page = 50
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/webhooks/keyset_list.html"
    change_form_template = "admin/webhooks/record.html"

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.list_display  # Which workspace it is stands in the filter.

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return self.changelist

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        if self.is_list(request):
            workspace = self.workspace_of(request)
            return found.filter(**{self.workspace_lookup: workspace}) if workspace else found.none()
        return found

    def workspace_of(self, request: HttpRequest) -> Workspace | None:
        """Return the workspace whose list is shown: the one filtered to, else the current one."""
        allowed = scoping.rights(request).workspaces(self.point)
        asked = whole(request.GET.get("workspace"))
        if asked in allowed:
            return Workspace.objects.get(pk=asked)
        workspace = current.workspace(request)
        if workspace is not None and workspace.pk in allowed:
            return workspace
        return Workspace.objects.filter(pk__in=allowed).first()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        with current.locale(request, self.workspace_of(request)):
            title = capfirst(self.opts.verbose_name_plural)
            context = {"title": title, **(extra_context or {})}
            return current.rendered(super().changelist_view(request, context))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        obj = self.get_object(request, unquote(object_id)) if object_id else None
        with current.locale(request, self.scope_of(request, obj)):
            context = {"title": str(obj or ""), "subtitle": None, **(extra_context or {})}
            return current.rendered(super().changeform_view(request, object_id, form_url, context))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        told = [name for name in self.fields or () if name not in self.details]
        folded = {"fields": self.details, "classes": ("collapse",)}
        groups = [(None, {"fields": told}), (gettext_lazy("Details"), folded)]
        return groups if self.details else groups[:1]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def is_list(self, request: HttpRequest) -> bool:
        match = request.resolver_match
        return match is not None and str(match.url_name).endswith("_changelist")


class WebhookFilter(admin.SimpleListFilter):
    title = gettext_lazy("webhook")
    parameter_name = "webhook"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = Webhook.objects.filter(workspace=model_admin.workspace_of(request))
        return [(str(webhook.pk), webhook.name) for webhook in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = whole(self.value())
        return queryset if value is None else queryset.filter(webhook=value)


class OfDeliveryAdmin(OneWorkspaceAdmin):
    """What belongs to a delivery and is found by its ID; its workspace is its webhook's."""

    workspace_lookup = "webhook__workspace"
    list_filter = (WebhookFilter,)
    search_fields = ("delivery_id",)
    search_help_text = gettext_lazy("A whole delivery ID (dlv_…)")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("webhook")

    @admin.display(description=gettext_lazy("delivery ID"))
    def delivery(self, obj: Any) -> SafeString:
        return format_html('<span class="cell-text" title="{0}">{0}</span>', obj.delivery_id)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.masks = Masks(request)
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(delivery_id=term) if term else queryset), False
