"""Members, roles and member groups in the set-up."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from workspaces import member_groups, members, roles
from workspaces.admin.base import ScopedForm, ScopedModelAdmin, actor_of
from workspaces.models import MemberGroup, Membership, Role
from workspaces.points import POINT_LABELS, Point
from workspaces.sentences import listed


class _MemberForm(ScopedForm):
    roles = forms.ModelMultipleChoiceField(
        Role.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("Roles"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["roles"].queryset = self.workspace.roles.all()  # type: ignore[attr-defined] # of choice fields


class MemberAddForm(_MemberForm):
    """A new member by e-mail address: a link for who is new, an invitation for who is not."""

    email = forms.EmailField(label=_("E-mail"))
    name = forms.CharField(
        max_length=200,
        required=False,
        label=pgettext_lazy("person", "Name"),
        help_text=_("Used when the person is new here; others keep the name they chose."),
    )

    class Meta:
        model = Membership
        fields = ("email", "name", "roles")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "email" in cleaned and "roles" in cleaned:
            members.check_addition(
                workspace=self.workspace,
                email=cleaned["email"],
                roles=list(cleaned["roles"]),
                actor=self.actor,
            )
        return cleaned


class MemberChangeForm(_MemberForm):
    class Meta:
        model = Membership
        fields = ("roles", "is_active")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "roles" in self.changed_data and "roles" in cleaned:
            members.check_role_change(
                membership=self.instance, roles=cleaned["roles"], actor=self.actor
            )
        if "is_active" in self.changed_data:
            members.check_suspension(membership=self.instance, actor=self.actor)
        return cleaned


@admin.register(Membership)
class MembershipAdmin(ScopedModelAdmin):
    """Who works in a workspace. Memberships are edited here, users never."""

    point = Point.MANAGE_MEMBERS
    audited = False
    list_display = ("name", "email", "role_names", "state", "created_at")
    list_select_related = ("user", "workspace")
    list_filter = ("roles", "is_active")
    ordering = ("user__name",)
    search_fields = ("user__name", "user__email")
    search_help_text = _("Search by name or e-mail")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).prefetch_related("roles")

    @admin.display(description=pgettext_lazy("person", "name"), ordering="user__name")
    def name(self, obj: Membership) -> str:
        return str(obj.user)

    @admin.display(description=_("e-mail"), ordering="user__email")
    def email(self, obj: Membership) -> str:
        return obj.user.email

    @admin.display(description=_("roles"))
    def role_names(self, obj: Membership) -> str:
        return listed(obj.roles.all())

    @admin.display(description=_("state"))
    def state(self, obj: Membership) -> str:
        if obj.invited_at is not None:
            return str(_("Invited"))
        return str(_("Active")) if obj.is_active and obj.user.is_active else str(_("Suspended"))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = MemberChangeForm if obj else MemberAddForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("email", "name", "roles")
        if obj.invited_at:
            return ("user", "email", "state", "roles")
        return ("user", "email", "roles", "is_active")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("user", "email", "state") if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and not _is_self(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Membership):
            try:
                members.check_suspension(membership=obj, actor=actor_of(request))
            except (ValidationError, PermissionDenied):
                return False
        return super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        chosen = list(form.cleaned_data["roles"])
        if change:
            # In this order, so that a suspended member is not given back a right for a moment.
            members.set_roles(membership=obj, roles=chosen, actor=actor_of(request))
            if "is_active" in form.changed_data:
                members.set_active(
                    membership=obj, active=form.cleaned_data["is_active"], actor=actor_of(request)
                )
            return
        added = members.add_member(
            workspace=form.workspace,
            email=form.cleaned_data["email"],
            name=form.cleaned_data["name"],
            roles=chosen,
            actor=actor_of(request),
            now=timezone.now(),
        )
        obj.__dict__.update(added.membership.__dict__)
        form.added = added

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Leave the roles to ``members``, which has written them with the groups."""

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        return {"added": form.added} if add else {}

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override] # our trail, not LogEntry
        """Hand the answer of ``members.add_member`` on to the page that shows the link."""
        obj.added = message["added"]

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the one-time link now; it is nowhere else and is not shown again."""
        path = obj.added.password_path
        context = {
            **self.admin_site.each_context(request),
            "title": _("Workspace member added") if path else _("Invitation waiting"),
            "opts": self.opts,
            "membership": obj,
            "link": request.build_absolute_uri(path) if path else "",
        }
        return render(request, "admin/workspaces/member_added.html", context)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        members.remove_member(membership=obj, actor=actor_of(request))


class RoleForm(ScopedForm):
    points = forms.MultipleChoiceField(
        choices=[(point.value, label) for point, label in POINT_LABELS.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("Permissions"),
    )

    class Meta:
        model = Role
        fields = ("name", "points")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["points"] = sorted(roles.points_of(self.instance))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        points = {Point(value) for value in cleaned.get("points", ())}
        if self.instance.pk is None:
            roles.check_points(workspace=self.workspace, points=points, actor=self.actor)
        elif "points" in self.changed_data:
            roles.check_change(role=self.instance, points=points, actor=self.actor)
        return cleaned


@admin.register(Role)
class RoleAdmin(ScopedModelAdmin):
    """The presets, and roles of the workspace's own."""

    form = RoleForm
    point = Point.MANAGE_MEMBERS
    audited = False
    list_display = ("title", "kind", "points", "member_count")
    list_select_related = ("workspace",)
    search_fields = ("name",)
    search_help_text = _("Search by name")
    actions = None

    @admin.display(description=_("name"), ordering="name")
    def title(self, obj: Role) -> str:
        return str(obj)

    @admin.display(description=_("kind"))
    def kind(self, obj: Role) -> str:
        return str(_("Preset")) if obj.preset else str(_("Own"))

    @admin.display(description=_("permissions"))
    def points(self, obj: Role) -> str:
        lines = ((label,) for label in roles.labels(roles.points_of(obj)))
        return format_html_join("", "<div>{}</div>", lines)

    @admin.display(description=_("workspace members"))
    def member_count(self, obj: Role) -> int:
        return obj.memberships.count()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        fixed = isinstance(obj, Role) and obj.is_administrator
        return super().has_change_permission(request, obj) and not fixed

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Role):
            try:
                roles.check_deletion(role=obj, actor=actor_of(request))
            except ValidationError:
                return False
        return super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("title",) if obj and obj.preset else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("title", "points") if obj and obj.preset else ("name", "points")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        points = [Point(value) for value in form.cleaned_data["points"]]
        if not change:
            created = roles.create_role(
                workspace=form.workspace, name=obj.name, points=points, actor=actor_of(request)
            )
            obj.__dict__.update(created.__dict__)
            return
        stored = Role.objects.select_related("workspace").get(pk=obj.pk)
        roles.rename_role(role=stored, name=obj.name, actor=actor_of(request))
        roles.set_points(role=stored, points=points, actor=actor_of(request))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        roles.delete_role(role=obj, actor=actor_of(request))


class MembersField(forms.ModelMultipleChoiceField[Membership]):
    def label_from_instance(self, obj: Membership) -> str:
        return obj.user.full_label


class MemberGroupForm(ScopedForm):
    members = MembersField(
        Membership.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("Workspace members"),
    )

    class Meta:
        model = MemberGroup
        fields = ("name", "members")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = self.workspace.memberships.select_related("user")
        self.fields["members"].queryset = offered  # type: ignore[attr-defined] # of choice fields


@admin.register(MemberGroup)
class MemberGroupAdmin(ScopedModelAdmin):
    """Groups to which webhooks are granted; hence administrators alone fill them."""

    form = MemberGroupForm
    audited = False
    list_display = ("name", "member_count")
    list_select_related = ("workspace",)
    search_fields = ("name",)
    search_help_text = _("Search by name")
    fields = ("name", "members")
    actions = None

    @admin.display(description=_("workspace members"))
    def member_count(self, obj: MemberGroup) -> int:
        return obj.members.count()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        chosen = form.cleaned_data["members"]
        if not change:
            created = member_groups.create_group(
                workspace=form.workspace,
                name=obj.name,
                memberships=chosen,
                actor=actor_of(request),
            )
            obj.__dict__.update(created.__dict__)
            return
        stored = MemberGroup.objects.select_related("workspace").get(pk=obj.pk)
        member_groups.rename_group(group=stored, name=obj.name, actor=actor_of(request))
        member_groups.set_members(group=stored, memberships=chosen, actor=actor_of(request))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Leave the members to ``member_groups``, which has written them with the Django group."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        member_groups.delete_group(group=obj, actor=actor_of(request))


def _is_self(request: HttpRequest, obj: Model | None) -> bool:
    return isinstance(obj, Membership) and obj.user_id == request.user.pk
