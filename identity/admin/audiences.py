from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy

from identity import audiences
from identity.choices import AudienceKind
from identity.models import Audience
from identity.rule_sentences import Words, sentence
from workspaces.admin.base import ReadOnlyModelAdmin
from workspaces.points import Point


class _WithSizes(ChangeList):
    """Counts the lists of one page in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        sizes = audiences.sizes(rows)
        for row in rows:
            row.listed = sizes.get(row.pk)
        self.result_list = rows


@admin.register(Audience)
class AudienceAdmin(ReadOnlyModelAdmin):
    """The audiences of all the visitor's workspaces; the console makes and changes them."""

    point = Point.MANAGE_DATA
    list_display = ("name", "kind", "size", "updated_at", "created_by")
    list_filter = ("kind",)
    list_select_related = ("created_by",)
    search_fields = ("name",)
    search_help_text = gettext_lazy("Search by name")
    ordering = ("workspace", "name")
    change_list_template = "admin/identity/audience/change_list.html"
    change_form_template = "admin/identity/audience/change_form.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _WithSizes

    @admin.display(description=gettext_lazy("people"))
    def size(self, audience: Any) -> str | None:
        """How many a list holds; who the rules hold for is counted on their page only."""
        held = audience.listed
        return None if held is None else number_format(held, force_grouping=True)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        holds = "said" if obj and obj.kind == AudienceKind.RULES else "people"
        return ("name", "kind", holds, "updated_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    @admin.display(description=gettext_lazy("people"))
    def people(self, audience: Any) -> str:
        return number_format(audience.members.count(), force_grouping=True)

    @admin.display(description=gettext_lazy("rules"))
    def said(self, audience: Any) -> str:
        return sentence(audience.rules, Words.of(audience.workspace))
