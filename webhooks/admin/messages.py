"""The requests that wait for their next try, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webhooks import holding
from webhooks.admin.records import OfEachWebhook, OneWorkspaceAdmin, WebhookFilter
from webhooks.choices import AttemptKind
from webhooks.models import Message
from workspaces.sentences import listed

_FIRST_DUE = """
SELECT m.id FROM webhooks_webhook w
CROSS JOIN LATERAL (
    SELECT id, due_at FROM webhooks_message
    WHERE webhook_id = w.id AND due_at >= %(at)s AND (due_at > %(at)s OR id > %(key)s)
    ORDER BY due_at, id LIMIT %(limit)s
) m
WHERE w.workspace_id = %(workspace)s ORDER BY m.due_at, m.id LIMIT %(limit)s
"""


class DueFirst(OfEachWebhook):
    moment = "due_at"
    newest_first = False
    statement = _FIRST_DUE
    start = ("-infinity", "")


@admin.register(Message)
class MessageAdmin(OneWorkspaceAdmin):
    """The requests that wait for their next try."""

    changelist = DueFirst
    list_display = ("id", "webhook", "people", "attempts", "next_try", "sent_by", "expires_at")
    list_filter = (WebhookFilter,)
    fields = (*list_display, "first_attempt_at", "deliveries")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("body").prefetch_related("webhook")

    @admin.display(description=gettext_lazy("people"))
    def people(self, obj: Message) -> int:
        return len(obj.delivery_ids)

    @admin.display(description=gettext_lazy("next attempt"))
    def next_try(self, obj: Message) -> str:
        if obj.due_at > holding.HELD_AFTER:
            return _("Held back by an operator")
        return date_format(timezone.localtime(obj.due_at), "DATETIME_FORMAT")

    @admin.display(description=gettext_lazy("kind"))
    def sent_by(self, obj: Message) -> str:
        return str(AttemptKind(obj.kind).label)

    @admin.display(description=gettext_lazy("deliveries"))
    def deliveries(self, obj: Message) -> str:
        return listed(obj.delivery_ids)
