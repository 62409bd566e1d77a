"""How records are shown: IDs masked for whoever may not see them, texts and tables as HTML."""

import json
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identity import masking
from identity.models import IdType
from webhooks.models import Delivery, Plan, Webhook
from workspaces.admin import scoping
from workspaces.points import POINT_LABELS, Point


class Masks:
    """What of an ID the visitor may see, asked once a request."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._types: dict[int, IdType | None] = {}

    @cached_property
    def _clear(self) -> frozenset[int]:
        rights = scoping.rights(self._request)
        return frozenset(rights.workspaces(Point.VIEW_PROFILES))

    def shown(self, value: str, plan: Plan, key: str) -> str:
        if not value or plan.workspace_id in self._clear:
            return value
        if plan.definition.get("encryption", "none") != "none":
            return f"{value[:4]}{masking.HIDDEN}"
        id_type = self._type(plan.definition[key]["id"])
        return masking.mask(value, id_type) if id_type else masking.HIDDEN

    def may_read(self, plan_or_webhook: Plan | Webhook) -> bool:
        """Whether to show what the other system wrote: it may repeat what was filled in."""
        return plan_or_webhook.workspace_id in self._clear

    def text(self, text: str, delivery: Delivery) -> str:
        """Return a text of ours that may hold the person's IDs, with them masked."""
        for value, key in (
            (delivery.sent_id, "id_type"),
            (delivery.reach_id, "reach_id_type"),
        ):
            shown = self.shown(value, delivery.plan, key)
            if value and shown != value:
                text = text.replace(value, shown).replace(json.dumps(value)[1:-1], shown)
        return text

    def texts(self, texts: Sequence[str | None] | None, plan: Plan) -> list[str | None]:
        """Return what was filled in for the person; hidden, since values of tags stand in it."""
        if plan.workspace_id in self._clear:
            return list(texts or ())
        return [text and masking.HIDDEN for text in texts or ()]

    def _type(self, pk: int) -> IdType | None:
        if pk not in self._types:
            self._types[pk] = IdType.objects.filter(pk=pk).first()
        return self._types[pk]


def hidden() -> str:
    return _("Hidden. To see it you need the permission “%(point)s”.") % {
        "point": POINT_LABELS[Point.VIEW_PROFILES]
    }


def milliseconds(value: int | None) -> str:
    return "–" if value is None else f"{value} ms"


def code(text: str) -> SafeString:
    return format_html('<div class="code"><pre tabindex="0">{}</pre></div>', text)


def answer(text: str, *, answered: bool) -> SafeString:
    """Return what the other system wrote, or that it wrote nothing, or a dash."""
    if text:
        return code(text)
    return format_html("{}", _("The answer was empty.") if answered else "–")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> SafeString:
    """Return a table whose rows are named by their first cell."""
    if not rows:
        return format_html("{}", "–")
    return format_html(
        '<div class="table-wrap" tabindex="0"><table class="table">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        format_html_join("", '<th scope="col">{}</th>', ((cell,) for cell in head)),
        format_html_join("", "<tr>{}</tr>", ((_cells(head, row),) for row in rows)),
    )


def _cells(head: Sequence[str], row: Sequence[Any]) -> SafeString:
    first = format_html('<th scope="row">{}</th>', row[0])
    return first + format_html_join(
        "", '<td data-label="{}">{}</td>', zip(head[1:], row[1:], strict=True)
    )
