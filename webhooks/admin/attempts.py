"""Single tries and what came of them, to look at."""

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webhooks import answers
from webhooks.admin.records import OfDeliveryAdmin, OfEachWebhook
from webhooks.admin.showing import answer, hidden, milliseconds
from webhooks.answers import Outcome
from webhooks.models import Attempt

_LATEST = """
SELECT a.id FROM webhooks_webhook w
CROSS JOIN LATERAL (
    SELECT id, at FROM webhooks_attempt
    WHERE webhook_id = w.id AND at <= %(at)s AND (at < %(at)s OR id > %(key)s)
    ORDER BY at DESC, id LIMIT %(limit)s
) a
WHERE w.workspace_id = %(workspace)s ORDER BY a.at DESC, a.id LIMIT %(limit)s
"""


class LatestFirst(OfEachWebhook):
    moment = "at"
    statement = _LATEST
    start = ("infinity", 0)


@admin.register(Attempt)
class AttemptAdmin(OfDeliveryAdmin):
    """Every try from the second on, and those whose outcome is unknown or came late."""

    changelist = LatestFirst
    list_display = (
        "tried",
        "delivery",
        "webhook",
        "number",
        "kind",
        "ended",
        "status_code",
        "took",
    )
    fields = ("tried", "delivery_id", *list_display[2:], "message_id", "their_answer")

    @admin.display(description=gettext_lazy("duration"))
    def took(self, obj: Attempt) -> str:
        return milliseconds(obj.duration_ms)

    @admin.display(description=gettext_lazy("at"))
    def tried(self, obj: Attempt) -> str:
        return date_format(timezone.localtime(obj.at), "DATETIME_FORMAT")

    @admin.display(description=gettext_lazy("outcome"))
    def ended(self, obj: Attempt) -> str:
        answered = obj.outcome == Outcome.ANSWERED
        return _("Answered") if answered else str(answers.reason_sentence(obj.outcome))

    @admin.display(description=gettext_lazy("answer"))
    def their_answer(self, obj: Any) -> str | SafeString:
        if obj.answer and not obj.masks.may_read(obj.webhook):
            return hidden()
        return answer(obj.answer, answered=obj.outcome == Outcome.ANSWERED)
