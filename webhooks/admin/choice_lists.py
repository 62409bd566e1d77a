"""Constant lists that parameters of the type choice take their value from."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy, ngettext

from webhooks import registering
from webhooks.models import Choice, ChoiceList
from workspaces.admin.base import ScopedModelAdmin, ScopedTabularInline, actor_of
from workspaces.points import Point
from workspaces.sentences import listed


class ChoiceInline(ScopedTabularInline):
    model = Choice
    fields = ("value", "label", "order")
    max_num = 1000
    extra = 3

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Name each input by its column, which alone carries the label in a table."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs["aria-label"] = field.label
        return field


@admin.register(ChoiceList)
class ChoiceListAdmin(ScopedModelAdmin):
    """A saved list makes a new revision of every webhook that uses it."""

    point = Point.WEBHOOK_MANAGEMENT
    fields = ("name",)
    inlines = (ChoiceInline,)
    list_display = ("name", "choice_count", "parameter_count")
    search_fields = ("name",)
    search_help_text = gettext_lazy("Search by name")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = found.annotate(
            choice_total=Count("choices", distinct=True),
            parameter_total=Count("parameters", distinct=True),
        )
        return counted

    @admin.display(description=gettext_lazy("choices"))
    def choice_count(self, obj: Any) -> int:
        total: int = obj.choice_total
        return total

    @admin.display(description=gettext_lazy("parameters that use it"))
    def parameter_count(self, obj: Any) -> int:
        total: int = obj.parameter_total
        return total

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        in_use = isinstance(obj, ChoiceList) and obj.parameters.exists()
        return super().has_delete_permission(request, obj) and not in_use

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        webhooks = registering.refreeze_users_of(form.instance, actor=actor_of(request))
        if webhooks:
            told = ngettext(
                "%(names)s uses this list and has its choices now.",
                "%(names)s use this list and have its choices now.",
                len(webhooks),
            )
            names = listed(webhook.name for webhook in webhooks)
            self.message_user(request, told % {"names": names})
