"""The webhook list's columns, read for a whole page at once."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from webhooks import answers, granting
from webhooks.choices import WebhookState
from webhooks.models import TestSend, Webhook, WebhookUse
from workspaces.sentences import listed

NAMES_SHOWN = 2
NAME_LENGTH = 24
TONES = {
    WebhookState.ACTIVE: "green",
    WebhookState.PAUSED: "amber",
    WebhookState.DISABLED: "",
}
# Why a webhook stands as it does, beside the reasons of ``webhooks.answers``.
STATE_REASONS = {
    "duplicate": gettext_lazy("It is a copy that nobody has enabled yet."),
    "key_missing": gettext_lazy("It has no key to sign with."),
}


@dataclass(slots=True)
class Around:
    """What a row shows beside the webhook's own columns."""

    holders: list[str] = field(default_factory=list)
    uses: list[WebhookUse] = field(default_factory=list)
    test: TestSend | None = None


class WebhookChangeList(ChangeList):
    """Reads what stands around the webhooks of one page in four queries, however many they are."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Webhook] = list(self.result_list)
        around: defaultdict[int, Around] = defaultdict(Around)
        for pk, names in granting.names_of_holders(rows, now=timezone.now()).items():
            around[pk].holders = names
        for use in WebhookUse.objects.filter(webhook__in=rows).order_by("-is_live", "journey_name"):
            around[use.webhook_id].uses.append(use)
        newest = TestSend.objects.filter(webhook__in=rows).order_by("webhook_id", "-sent_at")
        for test in newest.distinct("webhook_id"):
            around[test.webhook_id].test = test
        for row in rows:
            row.around = around[row.pk]  # type: ignore[attr-defined] # read by the columns
        self.result_list = rows


class WebhookColumns:
    """The columns as methods, for ``list_display``."""

    @admin.display(description=gettext_lazy("state"), ordering="control__state")
    def state(self, obj: Webhook) -> SafeString:
        return state_of(obj)

    @admin.display(description=gettext_lazy("host"), ordering="url")
    def host(self, obj: Webhook) -> str:
        return urlsplit(obj.url).netloc

    @admin.display(description=gettext_lazy("last test"))
    def last_test(self, obj: Any) -> SafeString:
        test: TestSend | None = obj.around.test
        url = reverse("admin:webhooks_webhook_test", args=[obj.pk])
        link = format_html(
            '<span class="meta phone-hide"><a href="{}" data-dialog="test">{}</a></span>',
            url,
            _("Test send"),
        )
        if test is None:
            return format_html("{}{}", _("Not tested yet"), link)
        return format_html(
            '{} <span class="meta">{}</span>{}',
            test_word(test),
            date_format(timezone.localtime(test.sent_at), "SHORT_DATETIME_FORMAT"),
            link,
        )

    @admin.display(description=gettext_lazy("journeys"))
    def used_in(self, obj: Any) -> SafeString | str:
        uses: list[WebhookUse] = obj.around.uses
        if not uses:
            return "–"
        links = format_html_join(
            pgettext("between values", ", "),
            '<a href="{}" title="{}">{}</a>',
            (
                (use.url, use.journey_name, Truncator(use.journey_name).chars(NAME_LENGTH))
                for use in uses[:NAMES_SHOWN]
            ),
        )
        return format_html("{}{}", links, more_than_shown(len(uses)))

    @admin.display(description=gettext_lazy("who may use it"))
    def holders(self, obj: Any) -> str:
        names: list[str] = obj.around.holders
        if not names:
            return _("Administrators only")
        shown = listed(names[:NAMES_SHOWN])
        return shown + more_than_shown(len(names))


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return list(WebhookState.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(control__state=value) if value else queryset


class TestedFilter(admin.SimpleListFilter):
    """Whether the newest revision was tested here with success."""

    __test__ = False

    title = gettext_lazy("test")
    parameter_name = "tested"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        return [("yes", _("Accepted at this revision")), ("no", _("Not yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("yes", "no"):
            return queryset
        accepted = TestSend.objects.filter(
            webhook=OuterRef("pk"), revision=OuterRef("revision"), step_key=None, accepted=True
        )
        tested = Exists(accepted)
        return queryset.filter(tested if self.value() == "yes" else ~tested)


def state_of(webhook: Webhook) -> SafeString:
    """Return a webhook's state as a dot and a word, with the reason as a sentence."""
    control = webhook.control
    state = WebhookState(control.state)
    tone = TONES[state]
    return format_html(
        '<span class="state{}"><span class="dot"></span>{}</span>{}',
        f" state-{tone}" if tone else " state-open",
        state.label,
        format_html(' <span class="meta">{}</span>', reason)
        if (reason := reason_of(webhook))
        else "",
    )


def reason_of(webhook: Webhook) -> str:
    """Return why the webhook is paused or disabled, as a sentence; empty when a person did it."""
    reason = webhook.control.reason
    if not reason:
        return ""
    return str(STATE_REASONS.get(reason) or answers.reason_sentence(reason))


def test_word(test: TestSend) -> SafeString:
    return format_html(
        '<span class="state state-{}"><span class="dot"></span>{}</span>',
        "green" if test.accepted else "red",
        _("Accepted") if test.accepted else _("Failed"),
    )


def more_than_shown(count: int) -> str:
    more = count - NAMES_SHOWN
    if more <= 0:
        return ""
    return ngettext(" and %(count)s more", " and %(count)s more", more) % {"count": more}
