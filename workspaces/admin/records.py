"""API keys and the audit trail in the set-up."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from workspaces import api_keys, audit_words, permissions
from workspaces.admin import scoping
from workspaces.admin.base import ReadOnlyModelAdmin, ScopedForm, ScopedModelAdmin, actor_of
from workspaces.admin.filters import ActFilter
from workspaces.choices import Scope
from workspaces.models import ApiKey, AuditEntry
from workspaces.sentences import listed
from workspaces.templatetags.setup import name_and_address


class ApiKeyForm(ScopedForm):
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, widget=forms.CheckboxSelectMultiple, label=_("May be used to")
    )
    # One field with one label, where the set-up would draw two without.
    expires_at = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M"),
        label=_("Expires"),
        help_text=_("In the workspace’s time zone. Empty: the key lives until it is revoked."),
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(ScopedModelAdmin):
    """Keys of the workspace's systems. A key is shown once, never changed, and revoked."""

    form = ApiKeyForm
    audited = False
    list_display = ("name", "prefix", "uses", "state", "last_used_at", "created_by")
    list_select_related = ("workspace", "created_by")
    search_fields = ("name", "prefix")
    search_help_text = _("Search by name or start of the key")
    fields = ("name", "scopes", "expires_at")
    actions = ("revoke",)

    @admin.display(description=_("state"))
    def state(self, obj: ApiKey) -> str:
        if obj.revoked_at is not None:
            return str(_("Revoked"))
        return str(_("Active")) if obj.is_live(timezone.now()) else str(_("Expired"))

    @admin.display(description=_("may be used to"))
    def uses(self, obj: ApiKey) -> str:
        labels = dict(Scope.choices)
        return listed(str(labels.get(scope, scope)) for scope in obj.scopes)

    @admin.action(description=_("Revoke the chosen keys"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.select_related("workspace"):
            api_keys.revoke(key=key, actor=actor_of(request), now=timezone.now())
        self.message_user(request, _("From now on these keys are refused."))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """A key that is there is a record, in words and not in codes."""
        if obj is None:
            return self.fields
        return ("name", "prefix", "uses", "state", "expires_at", "last_used_at", "created_by")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        new = api_keys.create(
            workspace=form.workspace,
            name=obj.name,
            scopes=form.cleaned_data["scopes"],
            expires_at=obj.expires_at,
            actor=actor_of(request),
        )
        obj.__dict__.update(new.key.__dict__)
        obj.secret_to_show = new.secret

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("API key made"),
            "opts": self.opts,
            "key": obj,
            "secret": obj.secret_to_show,
        }
        return render(request, "admin/workspaces/api_key_added.html", context)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyModelAdmin):
    """Who changed what: administrators see their workspaces', the organization's its own.

    Operators see what is in no organization too.
    """

    list_display = ("at", "who", "act", "object_label", "via", "workspace")
    list_display_links = ("at", "act")
    list_select_related = ("workspace",)
    list_filter = ("via", ("action", ActFilter), "at")
    search_fields = ("actor_label", "action", "object_label")
    search_help_text = _("Search by member or object")
    fields = ("at", "who", "via", "act", "kind", "object_label", "differences")
    readonly_fields = fields
    list_per_page = 50

    def get_list_display(self, request: HttpRequest) -> Any:
        """Name the workspace to whoever has several."""
        shown = super().get_list_display(request)
        several = len(scoping.rights(request).administered) > 1
        return shown if several else [name for name in shown if name != "workspace"]

    @admin.display(description=_("who"), ordering="actor_label")
    def who(self, obj: AuditEntry) -> str:
        return name_and_address(obj.who)

    @admin.display(description=_("what"), ordering="action")
    def act(self, obj: AuditEntry) -> str:
        return obj.act

    @admin.display(description=_("kind of object"))
    def kind(self, obj: AuditEntry) -> str:
        return audit_words.kind(obj.object_type)

    @admin.display(description=_("changes"))
    def differences(self, obj: AuditEntry) -> str:
        return format_html_join("", "<p>{}: {}</p>", _lines(obj.object_type, obj.changes)) or "–"

    def allows(self, request: HttpRequest, obj: Model | None) -> bool:
        if isinstance(obj, AuditEntry) and obj.organization_id is None:
            return request.user.is_superuser
        if isinstance(obj, AuditEntry) and obj.workspace_id is None:
            heads = permissions.organizations_administered_by(request.user)
            return heads.filter(pk=obj.organization_id or 0).exists()
        return super().allows(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        of_workspace = Q(workspace__in=scoping.rights(request).administered)
        heads = permissions.organizations_administered_by(request.user)
        of_organization = Q(workspace=None, organization__in=heads.values("pk"))
        found = of_workspace | of_organization
        if request.user.is_superuser:  # What is in no organization: users and their log-ins.
            found |= Q(workspace=None, organization=None)
        return AuditEntry.objects.filter(found)


def _lines(object_type: str, changes: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each change as a name and a phrase: what it was, an arrow, what it is."""
    return [
        (
            audit_words.field(object_type, name),
            f"{_shown(value[0])} → {_shown(value[1])}" if _is_pair(value) else _shown(value),
        )
        for name, value in changes.items()
    ]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _shown(value: Any) -> str:
    if value in (None, "", []):
        return "–"
    if isinstance(value, list):
        return listed(_shown(item) for item in value)
    return str(localize(value))
