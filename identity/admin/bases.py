from typing import Any

from django.http import HttpRequest

from workspaces.admin.base import ScopedModelAdmin
from workspaces.points import Point


class DataAdmin(ScopedModelAdmin):
    """What the point “manage data” opens. Objects are deleted one by one, each on its page.

    ``fixed_fields`` are set when an object is made and never again.
    """

    point = Point.MANAGE_DATA
    fixed_fields: tuple[str, ...] = ("code",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = tuple(super().get_readonly_fields(request, obj))
        return (*fields, *self.fixed_fields) if obj else fields

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions
