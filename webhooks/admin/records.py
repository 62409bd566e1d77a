"""What was sent, what waits and what was reported, to look at; and sending again."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from webhooks import answers, ids, plans, rebuilding, redelivery
from webhooks.admin.keyset import KeysetChangeList
from webhooks.admin.showing import Masks, code, hidden, table
from webhooks.answers import Outcome
from webhooks.bodies import pretty
from webhooks.choices import DeliveryState
from webhooks.models import Attempt, Delivery, Message, Plan, Receipt, Redelivery, Webhook
from webhooks.rendering import BindingError
from workspaces import current, permissions
from workspaces.admin import scoping
from workspaces.admin.base import ReadOnlyModelAdmin, actor_of
from workspaces.models import Workspace
from workspaces.points import Point
from workspaces.typed import whole

TONES = {
    DeliveryState.DELIVERED: "green",
    DeliveryState.DEAD: "red",
    DeliveryState.EXPIRED: "amber",
    DeliveryState.UNCERTAIN: "amber",
    DeliveryState.QUEUED: "open",
}


class ByKey(KeysetChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        masks = Masks(request)
        for row in self.result_list:
            row.masks = masks


class RecentFirst(ByKey):
    moment = "updated_at"


class DueFirst(KeysetChangeList):
    """Waiting messages are indexed by webhook: the first of each are read, then merged."""

    moment = "due_at"
    newest_first = False

    def read(self, request: HttpRequest, limit: int) -> list[Any]:
        if "webhook" in self.filter_params or self.query:
            return super().read(request, limit)
        workspace = self.model_admin.workspace_of(request)  # type: ignore[attr-defined] # ours
        due_at, key = self.place() or (None, "")
        with connection.cursor() as cursor:
            cursor.execute(
                _FIRST_DUE,
                {
                    "workspace": workspace.pk if workspace else 0,
                    "due_at": due_at or "-infinity",
                    "key": key,
                    "limit": limit,
                },
            )
            found = [pk for (pk,) in cursor.fetchall()]
        return list(self.queryset.filter(pk__in=found))


class LatestFirst(KeysetChangeList):
    """Attempts are indexed by webhook too: the latest of each are read, then merged."""

    moment = "at"

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        masks = Masks(request)
        for row in self.result_list:
            row.masks = masks

    def read(self, request: HttpRequest, limit: int) -> list[Any]:
        if "webhook" in self.filter_params or self.query:
            return super().read(request, limit)
        workspace = self.model_admin.workspace_of(request)  # type: ignore[attr-defined] # ours
        at, key = self.place() or (None, 0)
        with connection.cursor() as cursor:
            cursor.execute(
                _LATEST,
                {
                    "workspace": workspace.pk if workspace else 0,
                    "at": at or "infinity",
                    "key": key,
                    "limit": limit,
                },
            )
            found = [pk for (pk,) in cursor.fetchall()]
        return list(self.queryset.filter(pk__in=found))


_LATEST = """
SELECT a.id FROM webhooks_webhook w
CROSS JOIN LATERAL (
    SELECT id, at FROM webhooks_attempt
    WHERE webhook_id = w.id AND at <= %(at)s AND (at < %(at)s OR id > %(key)s)
    ORDER BY at DESC, id LIMIT %(limit)s
) a
WHERE w.workspace_id = %(workspace)s ORDER BY a.at DESC, a.id LIMIT %(limit)s
"""

_FIRST_DUE = """
SELECT m.id FROM webhooks_webhook w
CROSS JOIN LATERAL (
    SELECT id, due_at FROM webhooks_message
    WHERE webhook_id = w.id AND due_at >= %(due_at)s AND (due_at > %(due_at)s OR id > %(key)s)
    ORDER BY due_at, id LIMIT %(limit)s
) m
WHERE w.workspace_id = %(workspace)s ORDER BY m.due_at, m.id LIMIT %(limit)s
"""


class OneWorkspaceAdmin(ReadOnlyModelAdmin):
    """A big table's list: of one workspace at a time, so that its index serves the page."""

    point = Point.VIEW_DELIVERIES
    changelist: ClassVar[type[KeysetChangeList]] = ByKey
    list_per_page = 50
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/webhooks/keyset_list.html"
    change_form_template = "admin/webhooks/record.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return self.changelist

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        if self._is_list(request):
            workspace = self.workspace_of(request)
            return found.filter(**{self.workspace_lookup: workspace}) if workspace else found.none()
        return found

    def workspace_of(self, request: HttpRequest) -> Workspace | None:
        """Return the workspace whose list is shown: the one filtered to, else the current one."""
        allowed = scoping.rights(request).workspaces(self.point)
        asked = whole(request.GET.get("workspace"))
        if asked in allowed:
            return Workspace.objects.get(pk=asked)
        workspace = current.workspace(request)
        if workspace is not None and workspace.pk in allowed:
            return workspace
        return Workspace.objects.filter(pk__in=allowed).first()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        with current.locale(request, self.workspace_of(request)):
            title = capfirst(self.opts.verbose_name_plural)
            context = {"title": title, **(extra_context or {})}
            return current.rendered(super().changelist_view(request, context))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        obj = self.get_object(request, unquote(object_id)) if object_id else None
        with current.locale(request, self.scope_of(request, obj)):
            context = {"title": str(obj or ""), "subtitle": None, **(extra_context or {})}
            return current.rendered(super().changeform_view(request, object_id, form_url, context))

    def _is_list(self, request: HttpRequest) -> bool:
        match = request.resolver_match
        return match is not None and str(match.url_name).endswith("_changelist")


class WebhookFilter(admin.SimpleListFilter):
    title = gettext_lazy("webhook")
    parameter_name = "webhook"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = Webhook.objects.filter(workspace=model_admin.workspace_of(request))
        return [(str(webhook.pk), webhook.name) for webhook in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = whole(self.value())
        return queryset if value is None else queryset.filter(webhook=value)


class DeliveryStateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return list(DeliveryState.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value not in DeliveryState:
            return queryset
        if value != DeliveryState.DELIVERED:
            # What was not accepted is indexed by plan: without it the rare would be looked for
            # among the million.
            workspace = self._admin.workspace_of(request)
            queryset = queryset.filter(plan__in=list(_plan_ids(workspace)))
        return queryset.filter(state=value)

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self._admin: OneWorkspaceAdmin = model_admin
        super().__init__(request, params, model, model_admin)


def _plan_ids(workspace: Workspace | None) -> QuerySet[Plan, int]:
    return Plan.objects.filter(workspace=workspace).values_list("pk", flat=True)


@admin.register(Delivery)
class DeliveryAdmin(OneWorkspaceAdmin):
    """One line a person, each once; IDs masked for whoever may not see them."""

    changelist = RecentFirst
    list_display = ("changed", "person", "webhook", "journey", "outcome", "status_code", "attempts")
    list_filter = (DeliveryStateFilter, WebhookFilter)
    search_fields = ("id",)
    search_help_text = gettext_lazy("A delivery ID (dlv_…) or a QAID.")
    actions = ("send_again",)
    fields = (
        "id",
        "webhook",
        "journey",
        "qaid",
        "person",
        "reach",
        "outcome",
        "attempts",
        "status_code",
        "duration_ms",
        "first_attempt_at",
        "updated_at",
        "message_id",
        "their_answer",
        "part",
        "tries",
        "receipts",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request).prefetch_related("webhook", "plan")
        return found.defer("texts", "answer") if self._is_list(request) else found

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Find a delivery through the day in its ID: one partition is read, not all of them."""
        found = self.get_queryset(request).filter(day=ids.day_of(object_id), pk=object_id).first()
        found = found or super().get_object(request, object_id, from_field)
        found.masks = Masks(request)
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if day := ids.day_of(term):
            return queryset.filter(day=day, pk=term), False
        if term.isascii() and term.isdigit() and len(term) < 19:
            return queryset.filter(qaid=int(term)), False
        return queryset.none(), False

    # -- columns

    @admin.display(description=gettext_lazy("changed"))
    def changed(self, obj: Delivery) -> str:
        return date_format(timezone.localtime(obj.updated_at), "DATETIME_FORMAT")

    @admin.display(description=gettext_lazy("sent to"))
    def person(self, obj: Any) -> str:
        masks: Masks = obj.masks
        return masks.shown(obj.sent_id, obj.plan, "id_type") or "–"

    @admin.display(description=gettext_lazy("reached by"))
    def reach(self, obj: Any) -> str:
        masks: Masks = obj.masks
        return masks.shown(obj.reach_id, obj.plan, "reach_id_type") or "–"

    @admin.display(description=gettext_lazy("journey"))
    def journey(self, obj: Delivery) -> str:
        return str(obj.plan.labels.get("journey", "–"))

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, obj: Delivery) -> SafeString:
        state = DeliveryState(obj.state)
        reason = answers.reason_sentence(obj.reason) if obj.reason else ""
        return format_html(
            '<span class="state{}"><span class="dot"></span>{}</span>{}',
            f" state-{TONES[state]}" if state in TONES else "",
            state.label,
            format_html(' <span class="meta">{}</span>', reason) if reason else "",
        )

    # -- the page of one

    @admin.display(description=gettext_lazy("answer"))
    def their_answer(self, obj: Any) -> SafeString:
        if obj.answer and not obj.masks.may_read(obj.plan):
            return format_html("{}", hidden())
        return code(obj.answer)

    @admin.display(description=gettext_lazy("this person's part of the request"))
    def part(self, obj: Any) -> SafeString:
        if not obj.sent_id:
            return format_html("{}", _("No request was made."))
        (recipient,) = rebuilding.read(obj.day, [obj.pk])
        recipient.texts = obj.masks.texts(recipient.texts, obj.plan)
        try:
            text = pretty(rebuilding.part(plans.compiled(obj.plan), recipient))
        except (BindingError, ValidationError):
            return format_html("{}", _("It cannot be made again."))
        return code(obj.masks.text(text, obj))

    @admin.display(description=gettext_lazy("later tries"))
    def tries(self, obj: Any) -> SafeString:
        rows = Attempt.objects.filter(day=obj.day, delivery_id=obj.pk).order_by("at")[:100]
        may_read = obj.masks.may_read(obj.plan)
        return table(
            (_("Try"), _("When"), _("Kind"), _("Outcome"), _("Status"), _("Time"), _("Answer")),
            [
                (
                    row.number,
                    date_format(timezone.localtime(row.at), "DATETIME_FORMAT"),
                    row.get_kind_display(),
                    _("Answered.")
                    if row.outcome == Outcome.ANSWERED
                    else answers.reason_sentence(row.outcome),
                    row.status_code or "–",
                    f"{row.duration_ms} ms" if row.duration_ms is not None else "–",
                    row.answer[:200] if may_read or not row.answer else hidden(),
                )
                for row in rows
            ],
        )

    @admin.display(description=gettext_lazy("receipts"))
    def receipts(self, obj: Any) -> SafeString:
        rows = Receipt.objects.filter(delivery_id=obj.pk).order_by("received_at")[:20]
        meanings = obj.webhook.receipt_codes
        may_read = obj.masks.may_read(obj.plan)
        return table(
            (_("Code"), _("Meaning"), _("Occurred"), _("Received"), _("Message")),
            [
                (
                    row.code,
                    meanings.get(row.code, "–"),
                    date_format(timezone.localtime(row.occurred_at), "DATETIME_FORMAT"),
                    date_format(timezone.localtime(row.received_at), "DATETIME_FORMAT"),
                    row.message if may_read or not row.message else hidden(),
                )
                for row in rows
            ],
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    # -- sending again

    def has_redeliver_permission(self, request: HttpRequest) -> bool:
        workspace = self.workspace_of(request)
        return workspace is not None and permissions.has_point(
            request.user, workspace, Point.REDELIVER
        )

    @admin.action(description=gettext_lazy("Send again"), permissions=["redeliver"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        workspace = self.workspace_of(request)
        chosen = request.POST.getlist("_selected_action")
        if workspace is None:
            raise PermissionDenied
        try:
            job = redelivery.order(
                workspace=workspace,
                actor=actor_of(request),
                chosen=redelivery.selection(delivery_ids=chosen, states=redelivery.STATES),
                now=timezone.now(),
            )
        except PermissionDenied as error:
            self.message_user(request, str(error), "ERROR")
            return
        told = ngettext(
            "%(count)d delivery is being sent again.",
            "%(count)d deliveries are being sent again.",
            job.total,
        ) % {"count": job.total}
        left = len(chosen) - job.total
        if left:
            told += " " + _("%(count)d had not failed or cannot be repeated.") % {"count": left}
        self.message_user(request, told, "SUCCESS" if job.total else "WARNING")


@admin.register(Message)
class MessageAdmin(OneWorkspaceAdmin):
    """The requests that wait for their next try."""

    changelist = DueFirst
    list_display = ("id", "webhook", "people", "attempts", "due_at", "kind", "expires_at")
    list_filter = (WebhookFilter,)
    fields = (*list_display, "first_attempt_at", "deliveries")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("body").prefetch_related("webhook")

    @admin.display(description=gettext_lazy("people"))
    def people(self, obj: Message) -> int:
        return len(obj.delivery_ids)

    @admin.display(description=gettext_lazy("deliveries"))
    def deliveries(self, obj: Message) -> str:
        return ", ".join(obj.delivery_ids)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields


@admin.register(Attempt)
class AttemptAdmin(OneWorkspaceAdmin):
    """Every try from the second on, and those whose outcome is unknown or came late."""

    workspace_lookup = "webhook__workspace"
    changelist = LatestFirst
    list_display = (
        "tried",
        "delivery_id",
        "webhook",
        "number",
        "kind",
        "ended",
        "status_code",
        "duration_ms",
    )
    list_filter = (WebhookFilter,)
    search_fields = ("delivery_id",)
    search_help_text = gettext_lazy("A delivery ID (dlv_…).")
    fields = (*list_display, "message_id", "their_answer")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("webhook")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.masks = Masks(request)
        return found

    @admin.display(description=gettext_lazy("at"))
    def tried(self, obj: Attempt) -> str:
        return date_format(timezone.localtime(obj.at), "DATETIME_FORMAT")

    @admin.display(description=gettext_lazy("outcome"))
    def ended(self, obj: Attempt) -> str:
        answered = obj.outcome == Outcome.ANSWERED
        return _("Answered.") if answered else str(answers.reason_sentence(obj.outcome))

    @admin.display(description=gettext_lazy("answer"))
    def their_answer(self, obj: Any) -> str | SafeString:
        return code(obj.answer) if obj.masks.may_read(obj.webhook) else hidden()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(delivery_id=term) if term else queryset), False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields


@admin.register(Receipt)
class ReceiptAdmin(OneWorkspaceAdmin):
    """What the other systems reported."""

    workspace_lookup = "webhook__workspace"
    list_display = ("delivery_id", "webhook", "code", "occurred_at", "received_at", "their_message")
    list_filter = (WebhookFilter,)
    search_fields = ("delivery_id",)
    search_help_text = gettext_lazy("A delivery ID (dlv_…).")
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("webhook")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.masks = Masks(request)
        return found

    @admin.display(description=gettext_lazy("message"))
    def their_message(self, obj: Any) -> str:
        may_read = not obj.message or obj.masks.may_read(obj.webhook)
        return obj.message if may_read else hidden()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(delivery_id=term) if term else queryset), False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields


@admin.register(Redelivery)
class RedeliveryAdmin(OneWorkspaceAdmin):
    """Orders to send again, and how far they are."""

    list_display = ("ordered_at", "ordered_by", "total", "done", "finished_at", "failure")
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("ordered_by", "workspace")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields
