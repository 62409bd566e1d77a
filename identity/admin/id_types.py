from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from identity import id_typing
from identity.admin.bases import DataAdmin
from identity.models import DataSource, Identifier, IdType
from workspaces import audit
from workspaces.admin.base import ScopedForm


class IdTypeForm(ScopedForm):
    """Checks what the other ID types and the values that people have stand against."""

    class Meta:
        model = IdType
        fields = (
            "name",
            "code",
            "priority",
            "kind",
            "multi_value",
            "enabled",
            "in_mapping",
            "sensitive",
            "pick",
        )

    def _post_clean(self) -> None:
        """Django fills the object here; only then can it be checked as a whole."""
        super()._post_clean()  # type: ignore[misc] # not in the stubs
        if self.errors:
            return
        try:
            id_typing.validate(self.instance)
        except ValidationError as error:
            self.add_error(None, error)


@admin.register(IdType)
class IdTypeAdmin(DataAdmin):
    form = IdTypeForm
    fields = IdTypeForm.Meta.fields
    list_display = (
        "code",
        "name",
        "priority",
        "kind",
        "multi_value",
        "enabled",
        "in_mapping",
        "sensitive",
    )
    list_filter = ("enabled", "in_mapping")
    search_fields = ("code", "name")
    search_help_text = gettext_lazy("Search by name or code")
    ordering = ("workspace", "priority")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = IdType.objects.filter(pk=obj.pk).first() if change else None
        before = audit.snapshot(stored) if stored else {}
        id_typing.save(obj)
        form.audit_changes = audit.difference(before, audit.snapshot(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A type that people have values of can be disabled, not deleted."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (isinstance(obj, IdType) and id_typing.is_used(obj))


@admin.register(DataSource)
class DataSourceAdmin(DataAdmin):
    fields = ("name", "code", "priority")
    list_display = ("name", "code", "priority")
    search_fields = ("code", "name")
    search_help_text = gettext_lazy("Search by name or code")
    ordering = ("workspace", "priority", "code")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A source that something was reported by stays."""
        allowed = super().has_delete_permission(request, obj)
        if not allowed or not isinstance(obj, DataSource):
            return allowed
        reported = Identifier.objects.filter(data_source=obj)
        return not (obj.tags.exists() or reported.exists())
