from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from identity import tagging
from identity.admin.bases import DataAdmin
from identity.models import Tag


@admin.register(Tag)
class TagAdmin(DataAdmin):
    fields = ("code", "name", "type", "data_source", "sensitive")
    fixed_fields = ("code", "type")
    list_display = ("name", "code", "type", "data_source", "sensitive")
    list_filter = ("type", "data_source")
    list_select_related = ("data_source",)
    search_fields = ("code", "name")
    ordering = ("workspace", "code")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        tagging.remove(obj)
