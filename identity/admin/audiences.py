import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from identity import audience_rules
from identity.admin.bases import DataAdmin
from identity.choices import AudienceKind
from identity.forms import AudienceFileForm
from identity.importing import ImportFileError, ImportReport, import_audience, read
from identity.models import Audience, AudienceMember
from workspaces import current
from workspaces.admin.base import ScopedForm, actor_of
from workspaces.choices import Via
from workspaces.models import Workspace
from workspaces.typed import whole


class RulesInput(forms.Textarea):
    """No rules are an empty box, not JSON's word for nothing."""

    def format_value(self, value: Any) -> str | None:
        return None if value == "null" else str(value)


class AudienceForm(ScopedForm):
    """A list needs a name only; rules are checked as they are typed, and again here."""

    class Meta:
        model = Audience
        fields = ("name", "kind", "rules")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "rules" in self.fields:
            self.fields["rules"].widget = RulesInput(
                attrs={
                    "rows": 16,
                    "cols": 80,
                    "spellcheck": "false",
                    "hx-post": reverse("admin:identity_audience_count"),
                    "hx-trigger": "load, input changed delay:600ms",
                    "hx-target": "#audience-count",
                }
            )
            self.fields["rules"].help_text = gettext_lazy(
                "Rules as JSON. Example: {example}"
            ).format(example=EXAMPLE)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind = cleaned.get("kind", self.instance.kind)
        rules = cleaned.get("rules")
        if kind == AudienceKind.LIST:
            cleaned["rules"] = None
        elif "rules" not in self.errors:
            try:
                audience_rules.validate(self.workspace, rules)
            except ValidationError as error:
                self.add_error("rules", error)
        return cleaned


EXAMPLE = (
    '{"match": "all", "conditions": [{"tag": "city", "operator": "equals", "value": "Bath"}, '
    '{"id_type": "MOBILE", "operator": "has"}, '
    '{"event": "purchase", "operator": "at_least", "times": 2, "days": 30}]}'
)


class _WithSizes(ChangeList):
    """Counts the lists of one page in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        members = AudienceMember.objects.filter(audience__in=rows).values_list("audience_id")
        sizes = dict(members.annotate(size=Count("profile_id")))
        for row in rows:
            row.listed = sizes.get(row.pk, 0)
        self.result_list = rows


@admin.register(Audience)
class AudienceAdmin(DataAdmin):
    form = AudienceForm
    fixed_fields = ("kind",)
    list_display = ("name", "kind", "size", "updated_at", "created_by")
    list_filter = ("kind",)
    list_select_related = ("created_by",)
    search_fields = ("name",)
    ordering = ("workspace", "name")
    change_form_template = "admin/identity/audience/change_form.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _WithSizes

    @admin.display(description=gettext_lazy("people"))
    def size(self, audience: Any) -> int | None:
        """How many a list holds; who the rules hold for is counted on their page only."""
        return audience.listed if audience.kind == AudienceKind.LIST else None

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj and obj.kind == AudienceKind.LIST:
            return ("name", "kind", "people", "updated_at")
        return ("name", "kind", "rules", *(("updated_at",) if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return (*fields, "people", "updated_at") if obj else fields

    @admin.display(description=gettext_lazy("people"))
    def people(self, audience: Any) -> str:
        return number_format(audience.members.count(), force_grouping=True)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = actor_of(request)
        if not change or "rules" in form.changed_data:
            obj.updated_at = timezone.now()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """After a new list comes its file."""
        if obj.kind == AudienceKind.LIST and "_addanother" not in request.POST:
            return HttpResponseRedirect(reverse("admin:identity_audience_upload", args=[obj.pk]))
        return super().response_add(request, obj, post_url_continue)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name the audiences alone: a list may have a million people in it."""
        perms_needed = {
            self.opts.verbose_name for obj in objs if not self.has_delete_permission(request, obj)
        }
        counts = {self.opts.verbose_name_plural: len(objs)}
        return [str(obj) for obj in objs], counts, perms_needed, []

    # -- pages of its own

    def get_urls(self) -> list[URLPattern]:
        def address(route: str, name: str, view: Callable[..., HttpResponse], *verbs: str) -> Any:
            bound = require_http_methods(list(verbs))(view)
            return path(route, self.admin_site.admin_view(bound), name=f"identity_audience_{name}")

        return [
            address("count/", "count", self.count_page, "POST"),
            address("<int:pk>/upload/", "upload", self.upload_page, "GET", "POST"),
            *super().get_urls(),
        ]

    def count_page(self, request: HttpRequest) -> HttpResponse:
        """How many people the rules in the form hold for, or what is wrong with them."""
        if not self.has_add_permission(request) and not self.has_module_permission(request):
            raise PermissionDenied
        workspace = self._workspace_of_form(request)
        context: dict[str, Any] = {}
        try:
            rules = json.loads(request.POST.get("rules") or "null")
            if rules is not None:
                audience_rules.validate(workspace, rules)
                context["count"] = audience_rules.count_rules(workspace, rules)
        except (ValueError, RecursionError):
            context["errors"] = [_("This is not JSON.")]
        except ValidationError as error:
            context["errors"] = error.messages
        status = 422 if "errors" in context else 200
        return TemplateResponse(
            request, "admin/identity/audience/_count.html", context, status=status
        )

    def _workspace_of_form(self, request: HttpRequest) -> Workspace:
        """Return the workspace of the audience on the page, or the current one for a new one."""
        given = whole(request.POST.get("audience"))
        if given is not None:
            audience = self.get_object(request, str(given))
            return audience.workspace  # type: ignore[no-any-return] # an audience's
        workspace = current.workspace(request)
        if workspace is None or not self.has_add_permission(request):
            raise PermissionDenied
        return workspace

    def upload_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Upload an audience's list, and see what came of it."""
        audience = self.get_object(request, str(pk))
        if not self.has_change_permission(request, audience):
            raise PermissionDenied
        if audience.kind != AudienceKind.LIST:
            raise Http404
        sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
        form = AudienceFileForm(*sent, audience=audience)
        report: ImportReport | None = None
        if form.is_valid():
            try:
                report = _import(form, audience, request)
            except ImportFileError as error:
                form.add_error("file", str(error))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Upload a list"),
            "subtitle": audience.name,
            "opts": self.opts,
            "original": audience,
            "form": form,
            "report": report,
            "reasons": report.reasons.most_common(10) if report else [],
            "media": self.media,
        }
        status = 422 if form.is_bound and report is None else 200
        return TemplateResponse(
            request, "admin/identity/audience/upload.html", context, status=status
        )


def _import(form: AudienceFileForm, audience: Audience, request: HttpRequest) -> ImportReport:
    chosen = form.cleaned_data
    return import_audience(
        audience=audience,
        source=chosen["source"],
        table=read(chosen["file"].file, encoding=chosen["encoding"]),
        now=timezone.now(),
        replace=chosen["replace"],
        create_people=chosen["create_people"],
        actor=actor_of(request),
        via=Via.ADMIN,
    )
