"""The bases of every admin class of the console.

``ScopedModelAdmin`` shows and changes only what is in the visitor's workspaces and asks
``workspaces.permissions``, never Django's model permissions. A subclass says::

    point = Point.MANAGE_DATA               # None: administrators only
    workspace_lookup = "data_source__workspace"     # "workspace" unless said

A form's choices come from the workspace of its object; a new object is of the current one.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import PermissionDenied
from django.db.models import Field, ForeignKey, ManyToManyField, Model, QuerySet
from django.db.models.fields import BLANK_CHOICE_DASH
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from workspaces import audit, current
from workspaces.admin import scoping
from workspaces.admin.filters import ScopedRelatedFilter, WorkspaceFilter
from workspaces.admin_site import Guarded, OperatorOnly
from workspaces.choices import Via
from workspaces.models import User, Workspace
from workspaces.points import Point

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _InlineModelAdmin = admin.options.InlineModelAdmin[Any, Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _StackedInline = admin.StackedInline[Any, Any]
    _ModelForm = forms.ModelForm[Any]
    _AnyAdmin = admin.options.BaseModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _InlineModelAdmin = admin.options.InlineModelAdmin
    _TabularInline = admin.TabularInline
    _StackedInline = admin.StackedInline
    _ModelForm = forms.ModelForm
    _AnyAdmin = object

_SCOPE = "_scope_of_form"


def actor_of(request: HttpRequest) -> User:
    """Return who does it; the site lets nobody else in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class ScopedForm(_ModelForm):
    """A form whose object's workspace is known, though it is in no field of the form.

    ``workspace`` and ``actor`` are set by the admin class that makes the form.
    """

    workspace: ClassVar[Workspace]
    actor: ClassVar[User]
    takes_workspace: ClassVar[bool] = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.takes_workspace and self.instance.pk is None:
            self.instance.workspace = self.workspace

    def _get_validation_exclusions(self) -> set[str]:
        """Check uniqueness within the workspace too, although no field holds it."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc] # Django's own
        return excluded - {"workspace"}


class WordedChoices(_AnyAdmin):
    """Say in words what Django's dashes mean in a list of choices."""

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        words = _("None") if field is not None and not field.required else _("Not chosen")
        if isinstance(field, forms.ModelChoiceField):
            if field.empty_label is not None:
                field.empty_label = words
        elif isinstance(field, forms.ChoiceField):
            choices: Any = field.choices
            dashes = BLANK_CHOICE_DASH[0]
            field.choices = [("", words) if one == dashes else one for one in choices]
        return field


class ScopedChoices(WordedChoices):
    """Limit what the form fields of an admin class or inline offer to one workspace."""

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        kwargs.setdefault("queryset", self._choices(db_field, request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        kwargs.setdefault("queryset", self._choices(db_field, request))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def _choices(self, db_field: Field[Any, Any], request: HttpRequest) -> QuerySet[Any]:
        related: type[Model] = db_field.remote_field.model  # type: ignore[union-attr] # a relation
        scope: Workspace | None = getattr(request, _SCOPE, None)
        workspace_id = scope.pk if scope else None
        return scoping.visible(related, request, site=self.admin_site, workspace_id=workspace_id)


class ScopedModelAdmin(ScopedChoices, Guarded, _ModelAdmin):
    """An admin class that keeps to the visitor's workspaces."""

    point: ClassVar[Point | None] = None
    workspace_lookup: ClassVar[str] = "workspace"
    # False where the core functions that save call already write the audit entry.
    audited: ClassVar[bool] = True
    form = ScopedForm
    view_on_site = False
    show_full_result_count = False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Head the list with what it lists."""
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    # -- permissions

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(scoping.rights(request).workspaces(self.point))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        workspace = current.workspace(request)
        return workspace is not None and scoping.rights(request).allows(workspace.pk, self.point)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.allows(request, obj)

    def allows(self, request: HttpRequest, obj: Model | None) -> bool:
        """Tell whether the visitor holds the point in the object's workspace, or in any."""
        if obj is None:
            return self.has_module_permission(request)
        return scoping.rights(request).allows(self.workspace_id_of(obj), self.point)

    def workspace_id_of(self, obj: Model) -> int | None:
        return scoping.follow(obj, self.workspace_lookup)

    def _workspace_of(self, obj: Model) -> Workspace | None:
        found = self.workspace_id_of(obj)
        return Workspace.objects.filter(pk=found).first() if found else None

    # -- what there is

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        allowed = scoping.rights(request).workspaces(self.point)
        return super().get_queryset(request).filter(**{f"{self.workspace_lookup}__in": allowed})

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return the object; 404 for another tenant's, 403 for a known but forbidden one."""
        obj = super().get_object(request, object_id, from_field)
        if obj is not None:
            return obj
        try:
            hidden = self.model._default_manager.filter(pk=self.opts.pk.to_python(object_id))
        except (ValueError, forms.ValidationError):
            raise Http404 from None
        if hidden.filter(**{f"{self.workspace_lookup}__in": scoping.rights(request).points}):
            raise PermissionDenied
        raise Http404

    def get_list_display(self, request: HttpRequest) -> Any:
        """Name the workspace of each row to whoever sees those of several."""
        shown = super().get_list_display(request)
        allowed = scoping.rights(request).workspaces(self.point)
        if self.workspace_lookup != "workspace" or "workspace" in shown or len(allowed) < 2:
            return shown
        names = dict(Workspace.objects.filter(pk__in=allowed).values_list("pk", "name"))

        @admin.display(description=_("workspace"))
        def workspace(obj: Any) -> str:
            return names.get(obj.workspace_id, "–")

        return [*shown, workspace]

    def get_list_filter(self, request: HttpRequest) -> Any:
        chosen: list[Any] = [
            (item, ScopedRelatedFilter) if self._is_relation(item) else item
            for item in super().get_list_filter(request)
        ]
        return chosen if self.workspace_lookup == "pk" else [*chosen, WorkspaceFilter]

    def _is_relation(self, item: Any) -> bool:
        return isinstance(item, str) and get_fields_from_path(self.model, item)[-1].is_relation

    # -- forms

    def scope_of(self, request: HttpRequest, obj: Model | None) -> Workspace | None:
        """Return the workspace of the object, or the current one for a new object."""
        if obj is None:
            return current.workspace(request)
        return self._workspace_of(obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        scope = self.scope_of(request, obj)
        setattr(request, _SCOPE, scope)
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.workspace = scope
        form.actor = request.user
        form.takes_workspace = self.workspace_lookup == "workspace"
        return form

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        declared = super().get_exclude(request, obj)
        if declared is None:
            declared = getattr(getattr(self.form, "_meta", None), "exclude", None)
        exclude = tuple(declared or ())
        return (*exclude, "workspace") if self.workspace_lookup == "workspace" else exclude

    # -- the audit trail, in place of Django's log

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = self.model._default_manager.filter(pk=obj.pk).first() if change else None
        before = audit.snapshot(stored) if stored else {}
        super().save_model(request, obj, form, change)
        form.audit_changes = audit.difference(before, audit.snapshot(obj))

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Return what the entry says: changed columns, and what happened to the inlines."""
        message = super().construct_change_message(request, form, formsets, add)
        parts = [part for part in message if "object" in next(iter(part.values()), {})]
        chosen = {
            name: [None, [str(item) for item in value]]
            for name, value in form.cleaned_data.items()
            if isinstance(value, QuerySet) and name in form.changed_data
        }
        return {
            **getattr(form, "audit_changes", {}),
            **chosen,
            **({"parts": parts} if parts else {}),
        }

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override] # our trail, not LogEntry
        self.audit(request, obj, "created", message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override] # our trail, not LogEntry
        if message:
            self.audit(request, obj, "changed", message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:  # type: ignore[override] # our trail, not LogEntry
        for obj in queryset:
            self.audit(request, obj, "deleted", {})

    def audit(self, request: HttpRequest, obj: Any, what: str, changes: Any) -> None:
        """Record one change of this class's objects; core functions that record make it silent."""
        if not self.audited:
            return
        workspace = self._workspace_of(obj)
        audit.record(
            actor=actor_of(request),
            workspace=workspace,
            action=f"{self.opts.model_name}.{what}",
            obj=obj,
            changes=changes if isinstance(changes, dict) else {},
            via=Via.ADMIN,
        )


class ReadOnlyModelAdmin(ScopedModelAdmin):
    """A record to look at: nothing is added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ScopedInline(ScopedChoices):
    """An inline may what its parent's class may; its choices are of the parent's workspace.

    Django asks with the parent's object, and with none for a new one or for the inline's rows.
    """

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(self._parent().has_view_permission(request, obj))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return bool(self._parent().has_add_permission(request))
        return bool(self._parent().has_change_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(self._parent().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(self._parent().has_change_permission(request, obj))

    def _parent(self) -> Any:
        return self.admin_site.get_model_admin(self.parent_model)  # type: ignore[attr-defined] # of inlines


class ScopedTabularInline(ScopedInline, _TabularInline):
    extra = 0


class ScopedStackedInline(ScopedInline, _StackedInline):
    extra = 0


class OperatorModelAdmin(OperatorOnly, WordedChoices, _ModelAdmin):
    """For operators of the installation alone."""
