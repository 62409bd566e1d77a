"""Deliveries to look at, one line a person; and sending again."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from webhooks import answers, ids, ledger, plans, rebuilding, redelivery
from webhooks.admin.records import OneWorkspaceAdmin, RecordList, WebhookFilter
from webhooks.admin.showing import Masks, answer, code, hidden, milliseconds, table
from webhooks.answers import Outcome
from webhooks.bodies import pretty
from webhooks.choices import DeliveryState
from webhooks.models import Attempt, Delivery, Plan, Receipt
from webhooks.rendering import BindingError
from workspaces import permissions
from workspaces.admin.base import actor_of
from workspaces.models import Workspace
from workspaces.points import Point

TONES = {
    DeliveryState.DELIVERED: "green",
    DeliveryState.DEAD: "red",
    DeliveryState.EXPIRED: "amber",
    DeliveryState.UNCERTAIN: "amber",
    DeliveryState.QUEUED: "open",
}


class RecentFirst(RecordList):
    """Tells every row how its last try was answered."""

    moment = "updated_at"

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        statuses = ledger.last_statuses(self.result_list)
        for row in self.result_list:
            row.last_status = statuses[row.pk]


class DeliveryStateFilter(admin.SimpleListFilter):
    title = gettext_lazy("outcome")
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
    list_display = ("changed", "person", "webhook", "journey", "outcome", "answered", "attempts")
    list_filter = (DeliveryStateFilter, WebhookFilter)
    search_fields = ("id",)
    search_help_text = gettext_lazy("A whole delivery ID (dlv_…)")
    actions = ("send_again",)
    fields = (
        "id",
        "webhook",
        "journey",
        "person",
        "reach",
        "outcome",
        "attempts",
        "answered",
        "took",
        "first_attempt_at",
        "updated_at",
        "their_answer",
        "part",
        "tries",
        "receipts",
        "message_id",
        "qaid",
    )
    details = ("id", "message_id", "qaid")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request).prefetch_related("webhook", "plan")
        return found.defer("texts", "answer") if self.is_list(request) else found

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Find a delivery through the day in its ID: one partition is read, not all of them."""
        found = self.get_queryset(request).filter(day=ids.day_of(object_id), pk=object_id).first()
        found = found or super().get_object(request, object_id, from_field)
        found.masks = Masks(request)
        found.last_status = ledger.last_statuses([found])[found.pk]
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

    @admin.display(description=gettext_lazy("status"))
    def answered(self, obj: Any) -> int | str:
        return obj.last_status or "–"

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

    @admin.display(description=gettext_lazy("duration"))
    def took(self, obj: Delivery) -> str:
        return milliseconds(obj.duration_ms)

    @admin.display(description=gettext_lazy("answer"))
    def their_answer(self, obj: Any) -> SafeString:
        if obj.answer and not obj.masks.may_read(obj.plan):
            return format_html("{}", hidden())
        return answer(obj.answer, answered=bool(obj.last_status))

    @admin.display(description=gettext_lazy("this person’s part of the request"))
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

    @admin.display(description=gettext_lazy("later attempts"))
    def tries(self, obj: Any) -> SafeString:
        rows = Attempt.objects.filter(day=obj.day, delivery_id=obj.pk).order_by("at")[:100]
        may_read = obj.masks.may_read(obj.plan)
        return table(
            (
                _("When"),
                _("Attempt"),
                _("Kind"),
                _("Outcome"),
                _("Status"),
                _("Duration"),
                _("Answer"),
            ),
            [
                (
                    date_format(timezone.localtime(row.at), "DATETIME_FORMAT"),
                    row.number,
                    row.get_kind_display(),
                    _("Answered")
                    if row.outcome == Outcome.ANSWERED
                    else answers.reason_sentence(row.outcome),
                    row.status_code or "–",
                    milliseconds(row.duration_ms),
                    (row.answer[:200] or "–") if may_read or not row.answer else hidden(),
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
                    (row.message or "–") if may_read or not row.message else hidden(),
                )
                for row in rows
            ],
        )

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
