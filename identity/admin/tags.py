from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from identity import tagging
from identity.admin.bases import DataAdmin
from identity.models import Tag


@admin.register(Tag)
class TagAdmin(DataAdmin):
    fields = ("name", "code", "type", "data_source", "sensitive")
    fixed_fields = ("code", "type")
    list_display = ("name", "code", "type", "data_source", "sensitive")
    list_filter = ("type", "data_source")
    list_select_related = ("data_source",)
    search_fields = ("code", "name")
    search_help_text = gettext_lazy("Search by name or code")
    ordering = ("workspace", "code")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        tagging.remove(obj)
