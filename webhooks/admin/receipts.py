"""What the other systems reported, and what was ordered to be sent again, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from webhooks.admin.records import OfDeliveryAdmin, OneWorkspaceAdmin
from webhooks.admin.showing import hidden
from webhooks.models import Receipt, Redelivery


@admin.register(Receipt)
class ReceiptAdmin(OfDeliveryAdmin):
    """What the other systems reported."""

    list_display = ("delivery", "webhook", "code", "occurred_at", "received_at", "their_message")
    fields = ("delivery_id", *list_display[1:])

    @admin.display(description=gettext_lazy("message"))
    def their_message(self, obj: Any) -> str:
        may_read = not obj.message or obj.masks.may_read(obj.webhook)
        return (obj.message or "–") if may_read else hidden()


@admin.register(Redelivery)
class RedeliveryAdmin(OneWorkspaceAdmin):
    """Orders to send again, and how far they are."""

    list_display = ("ordered_at", "ordered_by", "total", "done", "finished_at", "failure")
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("ordered_by", "workspace")
