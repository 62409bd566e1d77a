"""Lists that cost the same on the first page and on the ten-thousandth, with a million rows."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from workspaces.typed import is_storable

AFTER_VAR = "after"
SEPARATOR = "~"


class KeysetChangeList(ChangeList):
    """Pages by where the last one ended: nothing is counted and no row is skipped over.

    A subclass names its order: ``moment`` is a time, or empty to order by the key alone.
    """

    moment: ClassVar[str] = ""
    newest_first: ClassVar[bool] = True
    after: str = ""
    next_link: str = ""
    first_link: str = ""

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Any]:
        self.after = request.GET.get(AFTER_VAR, "")
        # Filters start from the first page again, so no other link may carry the place.
        self.params.pop(AFTER_VAR, None)
        self.filter_params.pop(AFTER_VAR, None)
        return super().get_queryset(request, exclude_parameters)

    def apply_select_related(self, qs: QuerySet[Any]) -> QuerySet[Any]:
        """Join nothing: stock admin joins every relation of a relation that is shown.

        Tables of a few rows have no statistics, so that PostgreSQL sorted the whole join instead
        of reading a page in the order of an index. What is shown is prefetched.
        """
        return qs

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        sign = "-" if self.newest_first else ""
        key = "pk" if self.moment else f"{sign}pk"
        return [f"{sign}{self.moment}", key] if self.moment else [key]

    def get_ordering_field_columns(self) -> dict[int, Any]:
        return {}

    def get_results(self, request: HttpRequest) -> None:
        size = self.list_per_page
        rows = self.read(request, size + 1)
        self.result_list = rows[:size]
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(self.result_list, size)
        if len(rows) > size:
            self.next_link = self.get_query_string({AFTER_VAR: self._place_of(rows[size - 1])})
        if self.after:
            self.first_link = self.get_query_string({})

    def read(self, request: HttpRequest, limit: int) -> list[Any]:
        """Return the first rows from the place on; a subclass may know a faster way."""
        return list(self._from_place()[:limit])

    def _place_of(self, row: Any) -> str:
        if not self.moment:
            return str(row.pk)
        return f"{getattr(row, self.moment).isoformat()}{SEPARATOR}{row.pk}"

    def place(self) -> tuple[datetime | None, Any] | None:
        """Return the time and the key where the page starts; None for the first page.

        What nobody's link says reads as the first page.
        """
        moment, separator, key = self.after.rpartition(SEPARATOR)
        if not is_storable(key):
            return None
        try:
            at = datetime.fromisoformat(moment) if self.moment else None
            found = self.model._meta.pk.to_python(key)
        except (ValueError, ValidationError):
            return None
        return (at, found) if self.after and bool(separator) == bool(self.moment) else None

    def _from_place(self) -> QuerySet[Any]:
        found: QuerySet[Any] = self.queryset
        place = self.place()
        if place is None:
            return found
        at, key = place
        beyond = "lt" if self.newest_first else "gt"
        if not self.moment:
            return found.filter(**{f"pk__{beyond}": key})
        # The first condition is what an index can start from, the second tells equal times apart.
        return found.filter(**{f"{self.moment}__{beyond}e": at}).filter(
            Q(**{f"{self.moment}__{beyond}": at}) | Q(pk__gt=key)
        )
