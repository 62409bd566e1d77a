from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identity import masking, people, rule_sentences
from identity.models import Event, IdType, MappingConflict, Profile
from workspaces import permissions
from workspaces.admin import scoping
from workspaces.admin.base import ReadOnlyModelAdmin
from workspaces.models import Workspace
from workspaces.points import Point
from workspaces.sentences import listed

LISTED = 1_000
EVENTS_SHOWN = 20


class NewestOnly(Paginator[Any]):
    """Counts no further than to a thousand: there may be millions."""

    @cached_property
    def count(self) -> int:
        found: QuerySet[Any] = self.object_list  # type: ignore[assignment] # the admin's
        return found[:LISTED].count()


def _in_clear(request: HttpRequest) -> frozenset[int]:
    """Return the workspaces whose people the visitor may see in clear."""
    return frozenset(scoping.rights(request).workspaces(Point.VIEW_PROFILES))


def _names(request: HttpRequest, people_of: Iterable[tuple[int, int]]) -> dict[int, str]:
    """Return what people are called, by QAID, as the visitor may see it.

    Args:
        people_of: workspaces, each with one of its people.
    """
    wanted = defaultdict(list)
    for workspace_id, qaid in people_of:
        wanted[workspace_id].append(qaid)
    clear = _in_clear(request)
    return {
        qaid: named.label
        for workspace_id, qaids in wanted.items()
        for qaid, named in people.name(
            qaids,
            id_types=list(IdType.objects.filter(workspace=workspace_id).order_by("priority")),
            in_clear=workspace_id in clear,
        ).items()
    }


def _link(qaid: int | None, names: Mapping[int, str]) -> SafeString | str:
    if qaid is None:
        return "–"
    url = reverse("admin:identity_profile_change", args=[qaid])
    return format_html('<a href="{}">{}</a>', url, names[qaid])


def _table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> SafeString | str:
    if not rows:
        return _("None.")
    head = format_html_join("", '<th scope="col">{}</th>', ((heading,) for heading in headings))
    body = [
        (
            first,
            # Said on phones, where a row has no column above it.
            format_html_join(
                "", '<td data-label="{}">{}</td>', zip(headings[1:], rest, strict=True)
            ),
        )
        for first, *rest in rows
    ]
    return format_html(
        '<div class="table-wrap" tabindex="0"><table class="table">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        head,
        format_html_join("", '<tr><th scope="row">{}</th>{}</tr>', body),
    )


def _time(moment: Any) -> str:
    return date_format(localtime(moment), "SHORT_DATETIME_FORMAT")


@admin.register(Profile)
class ProfileAdmin(ReadOnlyModelAdmin):
    """The newest people, or whoever has exactly the ID that is searched for."""

    point = Point.MANAGE_DATA
    paginator = NewestOnly
    list_display = ("person", "created_at", "merged", "erased_at")
    list_max_show_all = 0
    ordering = ("-qaid",)
    sortable_by = ()
    search_fields = ("qaid",)
    search_help_text = gettext_lazy("One person’s whole ID")
    _told = (
        "identifiers",
        "tag_values",
        "lists",
        "latest_events",
        "created_at",
        "erased_at",
        "merged",
    )
    _details = ("qaid", "former")
    fieldsets = (
        (None, {"fields": _told}),
        (gettext_lazy("Details"), {"fields": _details, "classes": ("collapse",)}),
    )
    readonly_fields = (*_told, *_details)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # What a page shows of a person it asks for; the documents may be large.
        return super().get_queryset(request).defer("tag_times")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        allowed = Workspace.objects.filter(pk__in=scoping.rights(request).workspaces(self.point))
        found = [
            profile.pk
            for workspace in allowed
            for profile in people.find(workspace, value=search_term.strip())
        ]
        return queryset.filter(pk__in=found), False

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        profile = super().get_object(request, object_id, from_field)
        profile.in_clear = profile.workspace_id in _in_clear(request)
        self._name(request, [profile])
        return profile

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        self._name(request, found.result_list)
        return found

    def _name(self, request: HttpRequest, profiles: Iterable[Any]) -> None:
        """Name people, and whom they were merged into, in one look."""
        names = _names(request, ((each.workspace_id, each.pk) for each in profiles))
        for each in profiles:
            each.names = names

    def name_of(self, obj: Any) -> str:
        return str(obj.names[obj.pk])

    @admin.display(description=gettext_lazy("person"))
    def person(self, profile: Any) -> str:
        return self.name_of(profile)

    @admin.display(description=gettext_lazy("merged into"))
    def merged(self, profile: Any) -> SafeString | str:
        # A person and their survivor have one name.
        survivor = profile.merged_into_id
        return _link(survivor, {survivor: profile.names[profile.pk]})

    @admin.display(description=gettext_lazy("former QAIDs"))
    def former(self, profile: Any) -> str:
        qaids = profile.merged.order_by("qaid").values_list("qaid", flat=True)[:LISTED]
        return listed(qaids) or "–"

    @admin.display(description=gettext_lazy("IDs"))
    def identifiers(self, profile: Any) -> SafeString | str:
        found = profile.identifiers.select_related("id_type", "data_source").order_by(
            "id_type__priority", "-last_seen"
        )
        rows = [
            (
                each.id_type.code,
                masking.shown(each.value, each.id_type, in_clear=profile.in_clear),
                each.data_source.name,
                _time(each.first_seen),
                _time(each.last_seen),
            )
            for each in found[:LISTED]
        ]
        headings = (_("ID type"), _("Value"), _("Data source"), _("First seen"), _("Last seen"))
        return _table(headings, rows)

    @admin.display(description=gettext_lazy("tags"))
    def tag_values(self, profile: Any) -> SafeString | str:
        if not profile.in_clear:
            return _need_right()
        tags = [
            (tag.name, _shown(profile.tags[tag.code], tag.type))
            for tag in profile.workspace.tags.all()
            if tag.code in profile.tags
        ]
        return _table((_("Tag"), _("Value")), tags)

    @admin.display(description=gettext_lazy("audiences"))
    def lists(self, profile: Any) -> str:
        names = profile.workspace.audiences.filter(members__profile=profile).values_list(
            "name", flat=True
        )
        return listed(names) or "–"

    @admin.display(description=gettext_lazy("latest events"))
    def latest_events(self, profile: Any) -> SafeString | str:
        qaids = [profile.qaid, *profile.merged.values_list("qaid", flat=True)]
        found = Event.objects.filter(profile__in=qaids).prefetch_related("event_type__attributes")
        rows = [
            (
                _time(event.occurred_at),
                event.event_type.name,
                _attributes(event) if profile.in_clear else _need_right(),
            )
            for event in found.order_by("-occurred_at")[:EVENTS_SHOWN]
        ]
        return _table((_("Time"), _("Event"), _("Attributes")), rows)


def _shown(value: Any, value_type: str) -> str:
    several = value if isinstance(value, list) else [value]
    return listed(rule_sentences.shown(each, value_type) for each in several)


def _attributes(event: Event) -> str:
    names = {each.code: each.name for each in event.event_type.attributes.all()}
    return " · ".join(
        _("%(name)s: %(value)s") % {"name": names.get(code, code), "value": value}
        for code, value in event.attributes.items()
    )


def _need_right() -> str:
    label = permissions.POINT_LABELS[Point.VIEW_PROFILES]
    return _("Hidden. The permission “%(right)s” shows it.") % {"right": label}


@admin.register(MappingConflict)
class MappingConflictAdmin(ReadOnlyModelAdmin):
    """Records that would have made two people one. Deleting one dismisses it."""

    point = Point.MANAGE_DATA
    list_display = (
        "detected_at",
        "id_type",
        "decided_by",
        "kept_person",
        "other_person",
        "data_source",
        "times",
    )
    list_filter = ("id_type", "data_source")
    list_select_related = ("id_type", "decided_by", "data_source")
    fields = (
        "detected_at",
        "times",
        "explanation",
        "id_type",
        "decided_by",
        "masked_values",
        "kept_person",
        "other_person",
        "data_source",
    )
    readonly_fields = fields

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, obj)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        conflict = super().get_object(request, object_id, from_field)
        conflict.in_clear = conflict.workspace_id in _in_clear(request)
        self._name(request, [conflict])
        return conflict

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        self._name(request, found.result_list)
        return found

    def _name(self, request: HttpRequest, conflicts: Iterable[Any]) -> None:
        both = (
            (each.workspace_id, qaid)
            for each in conflicts
            for qaid in (each.kept_id, each.other_id)
        )
        names = _names(request, both)
        for each in conflicts:
            each.names = names

    @admin.display(description=gettext_lazy("what happened"))
    def explanation(self, conflict: Any) -> str:
        return _(
            "A record of %(source)s named both people. One person has only one %(type)s, and the "
            "two differ, so they stay two. %(decided)s decided whose the record is."
        ) % {
            "source": conflict.data_source,
            "type": conflict.id_type,
            "decided": capfirst(str(conflict.decided_by)),
        }

    @admin.display(description=gettext_lazy("the two values"))
    def masked_values(self, conflict: Any) -> str:
        return " / ".join(
            masking.shown(value, conflict.id_type, in_clear=conflict.in_clear)
            for value in conflict.values
        )

    @admin.display(description=gettext_lazy("has the record"))
    def kept_person(self, conflict: Any) -> SafeString | str:
        return _link(conflict.kept_id, conflict.names)

    @admin.display(description=gettext_lazy("the other person"))
    def other_person(self, conflict: Any) -> SafeString | str:
        return _link(conflict.other_id, conflict.names)
