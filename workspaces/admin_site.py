"""The set-up: Django admin, entered by the console's log-in and its permissions.

It stands outside ``workspaces.admin`` because importing that package registers its classes here.
"""

from collections.abc import Iterable
from functools import update_wrapper
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from workspaces import audit, current, permissions, setup_menu
from workspaces.choices import Via
from workspaces.models import AuditEntry, User
from workspaces.sentences import spaced

_MAY_ENTER = "_may_enter_setup"


class Guarded:
    """Marks the admin classes that answer for their own permissions."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Leave out the rows that only tie two objects together: their names are the code's."""
        listed, counts, *refusals = super().get_deleted_objects(objs, request)  # type: ignore[misc] # of ModelAdmin
        ties = [
            model._meta
            for model in apps.get_models(include_auto_created=True)
            if model._meta.auto_created
        ]
        prefixes = tuple(f"{capfirst(each.verbose_name)}: " for each in ties)
        for each in ties:
            counts.pop(each.verbose_name_plural, None)
        return _without(listed, prefixes), counts, *refusals

    def name_of(self, obj: Any) -> str:
        """Return what the object is called on its pages; the trail keeps ``str(obj)``."""
        return str(obj)

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None and context.get("subtitle"):
            context["subtitle"] = self.name_of(obj)
        return super().render_change_form(request, context, add, change, form_url, obj)  # type: ignore[misc,no-any-return] # of ModelAdmin

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show what the audit trail holds of one object, the same for every class of the set-up."""
        mine: Any = self  # A mixin of ModelAdmin.
        obj = mine.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        if not mine.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        opts = mine.opts
        entries = AuditEntry.objects.filter(object_type=opts.label_lower, object_id=str(obj.pk))
        page = mine.get_paginator(request, entries, 100).get_page(request.GET.get(PAGE_VAR, 1))
        name = self.name_of(obj)
        context = {
            **mine.admin_site.each_context(request),
            "title": gettext("History of %(name)s") % {"name": name},
            "name": name,
            "entries": page,
            "module_name": capfirst(opts.verbose_name_plural),
            "object": obj,
            "opts": opts,
            **(extra_context or {}),
        }
        request.current_app = mine.admin_site.name
        return TemplateResponse(request, "admin/workspaces/history.html", context)

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> Any:
        """Tell what goes with the object, which itself is what the question is about."""
        own = self.opts.verbose_name_plural  # type: ignore[attr-defined] # of ModelAdmin
        _object, *below = context["deleted_objects"] or [None]
        context["deleted_objects"] = below[0] if below else []
        context["model_count"] = [
            (name, count - (name == own))
            for name, count in context["model_count"]
            if count > (name == own)
        ]
        context["name"] = self.name_of(context["object"])
        return super().render_delete_form(request, context)  # type: ignore[misc] # of ModelAdmin

    def get_action_choices(self, request: HttpRequest, *args: Any) -> list[tuple[str, str]]:
        choices = super().get_action_choices(request, *args)  # type: ignore[misc] # of ModelAdmin
        return [(name, spaced(str(label))) for name, label in choices]


class OperatorOnly(Guarded):
    """Django's own and third-party internals: for operators of the installation alone."""

    may_write: ClassVar[bool] = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_operator(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_operator(request)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write and _is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_write and _is_operator(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_operator(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = {"title": capfirst(self.opts.verbose_name_plural)}  # type: ignore[attr-defined] # of ModelAdmin
        return super().changelist_view(request, title | (extra_context or {}))  # type: ignore[misc,no-any-return] # of ModelAdmin

    # -- the audit trail, beside Django's own log

    # Fields whose values the trail tells; of the others the name, since they may be secrets.
    told_fields: ClassVar[tuple[str, ...]] = ()

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        request.audit_changes = {  # type: ignore[attr-defined] # ours, read by ``audit``
            name: [form.initial.get(name), form.cleaned_data.get(name)]
            if name in self.told_fields
            else audit.MASKED
            for name in form.changed_data
        }
        return super().construct_change_message(request, form, formsets, add)  # type: ignore[misc] # of ModelAdmin

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self.audit(request, obj, "created")
        return super().log_addition(request, obj, message)  # type: ignore[misc] # of ModelAdmin

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        if message:
            self.audit(request, obj, "changed")
        return super().log_change(request, obj, message)  # type: ignore[misc] # of ModelAdmin

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self.audit(request, obj, "deleted")
        return super().log_deletions(request, queryset)  # type: ignore[misc] # of ModelAdmin

    def audit(self, request: HttpRequest, obj: Model, what: str) -> None:
        audit.record(
            actor=request.user if isinstance(request.user, User) else None,
            workspace=None,
            action=f"{obj._meta.model_name}.{what}",
            obj=obj,
            changes=getattr(request, "audit_changes", {}),
            via=Via.ADMIN,
        )


class ConsoleAdminSite(admin.AdminSite):
    """Django admin that asks ``workspaces.permissions`` who may enter."""

    site_title = settings.PRODUCT_NAME
    site_header = settings.PRODUCT_NAME
    index_title = _("Set-up")
    site_url = "/"
    empty_value_display = "–"

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        """Register; a class that does not answer for its permissions becomes operators' only."""
        chosen = admin_class or admin.ModelAdmin
        if not issubclass(chosen, Guarded):
            chosen = type(f"Operator{chosen.__name__}", (OperatorOnly, chosen), {})
        super().register(model_or_iterable, chosen, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Tell whether the set-up holds anything for the visitor; asked once a request."""
        if not hasattr(request, _MAY_ENTER):
            setattr(request, _MAY_ENTER, permissions.may_enter_setup(request.user))
        return bool(getattr(request, _MAY_ENTER))

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send to the one log-in of the console; who is logged in already may not enter."""
        if request.user.is_authenticated:
            if self.has_permission(request):
                return redirect("admin:index")
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next") or request.path_info)

    def logout(  # type: ignore[override] # to the console's own page
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_logout")

    def password_change(  # type: ignore[override] # to the console's own page
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_change_password")

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Show times in the current workspace's zone; 403 for who may not enter at all."""
        guarded = super().admin_view(view, cacheable)

        def in_zone(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.user.is_authenticated and not self.has_permission(request):
                raise PermissionDenied
            with current.locale(request, current.workspace(request)):
                return current.rendered(guarded(request, *args, **kwargs))

        return update_wrapper(in_zone, guarded)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        context["current_workspace"] = current.workspace(request)
        groups = setup_menu.groups(context["available_apps"], path=request.path)
        context["setup_groups"] = groups
        context["setup_page"] = setup_menu.current(groups)
        return context

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Leave out the redirect to any object of any tenant by content type and number."""
        patterns = super().get_urls()
        return [pattern for pattern in patterns if getattr(pattern, "name", "") != "view_on_site"]


def _without(listed: list[Any], prefixes: tuple[str, ...]) -> list[Any]:
    """Return nested lists of texts without those that start so, and without what that empties."""
    kept = [_without(each, prefixes) if isinstance(each, list) else each for each in listed]
    return [each for each in kept if each and not str(each).startswith(prefixes)]


def _is_operator(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser
