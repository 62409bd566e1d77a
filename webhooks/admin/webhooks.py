"""Webhook management: the list, the form, and what a save does."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webhooks import registering, revisions
from webhooks.admin import pages
from webhooks.admin.columns import StateFilter, TestedFilter, WebhookChangeList, WebhookColumns
from webhooks.forms.webhooks import ParameterForm, ParameterFormSet, WebhookForm
from webhooks.models import Parameter, Webhook
from webhooks.registering import PARAMETERS
from workspaces import current
from workspaces.admin.base import ScopedModelAdmin, ScopedStackedInline, actor_of
from workspaces.points import Point

CONFIRMED = "_confirmed"


class NeedsConfirmationError(Exception):
    """A save would affect journeys and was not confirmed; raised to roll it back."""

    def __init__(self, effect: revisions.Effect) -> None:
        super().__init__(effect)
        self.effect = effect


class ParameterInline(ScopedStackedInline):
    """Parameters as cards that are added, moved and removed by our own script."""

    model = Parameter
    form = ParameterForm
    formset = ParameterFormSet
    template = "admin/webhooks/_parameters.html"
    max_num = PARAMETERS
    extra = 0

    @property
    def media(self) -> Media:
        return Media()

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_formset(
            request, obj, **{"validate_max": True, "absolute_max": 4 * PARAMETERS, **kwargs}
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("choice_list")


@admin.register(Webhook)
class WebhookAdmin(WebhookColumns, ScopedModelAdmin):
    """The registered targets of a workspace."""

    point = Point.WEBHOOK_MANAGEMENT
    form = WebhookForm
    inlines = (ParameterInline,)
    list_display = ("name", "state", "host", "last_test", "used_in", "holders")
    list_select_related = ("control", "workspace")
    list_filter = (StateFilter, TestedFilter, "authentication")
    search_fields = ("name", "url")
    search_help_text = gettext_lazy("Search by name or address")
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    actions = None
    delete_confirmation_template = "admin/webhooks/delete.html"
    fieldsets = (
        (
            gettext_lazy("Where to call"),
            {"fields": ("name", "url", "authentication", "carry_environment", "headers")},
        ),
        (gettext_lazy("Who is addressed"), {"fields": ("id_types",)}),
        (gettext_lazy("Parameters"), {"fields": ("content_template",)}),
        (
            gettext_lazy("Delivery"),
            {
                "fields": (
                    "batch_size",
                    "rate_per_second",
                    "concurrency",
                    "timeout_seconds",
                    "expiry_hours",
                    "guarantee",
                    "answers_409",
                    "success_field",
                    "success_value",
                )
            },
        ),
        (
            gettext_lazy("Receipts"),
            {"fields": ("receipts_enabled", "receipt_days", "receipt_codes")},
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        return [*pages.urls(self), *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WebhookChangeList]:
        return WebhookChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("control", "workspace")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and registering.deletion_problem(obj))

    # -- showing the form

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        obj = self.get_object(request, object_id) if object_id else None
        context = {**(extra_context or {}), **pages.around(self, request, obj)}
        if obj is not None:
            context |= {"title": obj.name, "subtitle": None}
        with current.locale(request, self.scope_of(request, obj)):
            try:
                response = super().changeform_view(request, object_id, form_url, context)
            except NeedsConfirmationError as needed:
                # Rolled back by now; the same form once more, with what it would do.
                request.webhook_effect = needed.effect  # type: ignore[attr-defined] # see get_form
                context["effect"] = needed.effect
                context["confirmed"] = digest_of(needed.effect)
                response = super().changeform_view(request, object_id, form_url, context)
            return current.rendered(response)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        with current.locale(request, current.workspace(request)):
            context = {"title": _("Webhooks"), **(extra_context or {})}
            return current.rendered(super().changelist_view(request, context))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.effect = getattr(request, "webhook_effect", None)
        return form

    # -- saving

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            registering.prepare(obj, actor=actor_of(request))
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Write parameters and ID types, freeze, and roll back what nobody has confirmed yet."""
        webhook: Webhook = form.instance
        before = revisions.latest(webhook)
        super().save_related(request, form, formsets, change)
        made = registering.settle(webhook=webhook, actor=actor_of(request), now=timezone.now())
        receipt_key = registering.make_missing_receipt_key(
            webhook=webhook, actor=actor_of(request), now=timezone.now()
        )
        webhook.made_keys = [  # type: ignore[attr-defined] # for the response
            each for each in (made[0] if made else None, receipt_key) if each
        ]
        form.difference = revisions.Difference()
        if before is None:
            return
        form.difference = revisions.compare(
            revisions.content_in(before), revisions.content_of(webhook)
        )
        effect = revisions.effect(webhook=webhook, difference=form.difference)
        if form.difference and effect and request.POST.get(CONFIRMED) != digest_of(effect):
            raise NeedsConfirmationError(effect)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        message = super().construct_change_message(request, form, formsets, add)
        message.pop("updated_at", None)
        if form.difference:
            message["revision"] = form.difference.sentences
        return message

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        self.message_user(request, _("“%(name)s” is registered.") % {"name": obj.name})
        return self._to_page(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if obj.made_keys or "_test" in request.POST:
            self.message_user(request, _("“%(name)s” is saved.") % {"name": obj.name})
            return self._to_page(request, obj)
        return super().response_change(request, obj)

    def _to_page(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Go to the webhook's page, by way of its new keys; with the test open when asked for."""
        query = "?test=1" if "_test" in request.POST else ""
        if obj.made_keys:
            pages.show_once(request, *obj.made_keys)
            url = reverse("admin:webhooks_webhook_key", args=[obj.pk, obj.made_keys[0].pk])
            return HttpResponseRedirect(url + query)
        return HttpResponseRedirect(reverse("admin:webhooks_webhook_change", args=[obj.pk]) + query)

    # -- deleting

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        registering.delete(webhook=obj, actor=actor_of(request))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:  # type: ignore[override] # our trail
        """Leave the entry to ``registering.delete``."""

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, object_id)
        if problem := registering.deletion_problem(obj):
            self.message_user(request, problem, "ERROR")
            return HttpResponseRedirect(reverse("admin:webhooks_webhook_change", args=[obj.pk]))
        try:
            return super().delete_view(request, object_id, extra_context)
        except ValidationError as error:  # Put into use since the page was opened.
            self.message_user(request, error.messages[0], "ERROR")
            return HttpResponseRedirect(reverse("admin:webhooks_webhook_change", args=[obj.pk]))


def digest_of(effect: revisions.Effect) -> str:
    """Return what a confirmation stands for: another change, or another journey, asks again."""
    journeys = ",".join(str(journey.journey_id) for journey in effect.journeys)
    return "|".join([*effect.difference.sentences, journeys])
