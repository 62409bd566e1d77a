"""Organizations and workspaces in the set-up."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from workspaces import audit, members, permissions, tenants
from workspaces.admin.base import ScopedForm, ScopedModelAdmin, ScopedTabularInline, actor_of
from workspaces.choices import Via
from workspaces.models import Organization, OrganizationMember, User, Workspace

if TYPE_CHECKING:
    _MemberForm = forms.ModelForm[OrganizationMember]
else:
    _MemberForm = forms.ModelForm


class OrganizationMemberForm(_MemberForm):
    """One line of the list: the flag, which nobody changes for themselves."""

    actor: User

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "is_administrator" in self.changed_data and self.instance.user == self.actor:
            raise ValidationError(
                _("Nobody changes their own rights. Ask another administrator."), "own_roles"
            )
        return cleaned


class OrganizationMemberInline(ScopedTabularInline):
    """Who belongs to the organization. People come in through a workspace, never here."""

    model = OrganizationMember
    form = OrganizationMemberForm
    fields = ("user", "email", "is_administrator")
    readonly_fields = ("user", "email")
    can_delete = False

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.form.actor = request.user
        return formset

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.display(description=_("e-mail"))
    def email(self, obj: OrganizationMember) -> str:
        return obj.user.email


@admin.register(Organization)
class OrganizationAdmin(ScopedModelAdmin):
    """An organization is made by an operator; its administrators rename it and name each other."""

    list_display = ("name", "slug", "workspace_count")
    fields = ("name", "slug")
    search_fields = ("name", "slug")
    search_help_text = _("Search by name or short name")
    inlines = (OrganizationMemberInline,)
    workspace_lookup = "workspaces"

    @admin.display(description=_("workspaces"))
    def workspace_count(self, obj: Organization) -> int:
        return obj.workspaces.count()

    def allows(self, request: HttpRequest, obj: Model | None) -> bool:
        heads = permissions.organizations_administered_by(request.user)
        return heads.filter(pk=obj.pk).exists() if obj else heads.exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        heads = permissions.organizations_administered_by(request.user)
        return Organization.objects.filter(pk__in=heads)

    def get_list_filter(self, request: HttpRequest) -> Any:
        return ()

    def scope_of(self, request: HttpRequest, obj: Model | None) -> Workspace | None:
        """Return none: an organization is in no workspace, and its form offers no choices."""
        return None

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("slug",) if obj else ()

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        for line in formset.forms:
            if "is_administrator" in line.changed_data:
                members.set_organization_administrator(
                    organization=form.instance,
                    user=line.instance.user,
                    is_administrator=line.cleaned_data["is_administrator"],
                    actor=actor_of(request),
                )
        formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []

    def audit(self, request: HttpRequest, obj: Any, what: str, changes: Any) -> None:
        audit.record(
            actor=actor_of(request),
            workspace=None,
            organization=obj,
            action=f"organization.{what}",
            obj=obj,
            changes=changes,
            via=Via.ADMIN,
        )


class WorkspaceForm(ScopedForm):
    class Meta:
        model = Workspace
        fields = ("organization", "name", "slug", "time_zone", "language", "confirm_above")


@admin.register(Workspace)
class WorkspaceAdmin(ScopedModelAdmin):
    """Its administrators set a workspace; the organization's make new ones."""

    form = WorkspaceForm
    list_display = ("name", "slug", "organization", "time_zone", "language", "sending")
    list_select_related = ("organization",)
    search_fields = ("name", "slug")
    search_help_text = _("Search by name or short name")
    workspace_lookup = "pk"
    fields = (
        "organization",
        "name",
        "slug",
        "time_zone",
        "language",
        "confirm_above",
        "sending",
    )

    @admin.display(description=_("sending"))
    def sending(self, obj: Workspace) -> str:
        if not obj.sending_is_stopped:
            return str(_("On"))
        return str(_("Stopped: %(reason)s") % {"reason": obj.sending_stopped_reason})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # The short name stands in links that people keep.
        return ("organization", "slug", "sending") if obj else ("sending",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return permissions.organizations_administered_by(request.user).exists()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        created = tenants.create_workspace(
            organization=obj.organization,
            name=obj.name,
            slug=obj.slug,
            time_zone=obj.time_zone,
            language=obj.language,
            actor=actor_of(request),
        )
        obj.pk = created.pk

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override] # our trail, not LogEntry
        """Leave the entry to ``tenants.create_workspace``."""
