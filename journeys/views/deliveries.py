"""The deliveries of the workspace: looked for, exported, sent again."""

import csv
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event

from identity import people
from journeys import deliveries
from journeys.deliveries import Row
from journeys.views import filters, readers, words
from journeys.views.access import may
from journeys.views.answers import refused, said
from webhooks import grants, ids, ledger, redelivery
from webhooks.models import Redelivery
from workspaces import audit
from workspaces.points import Point
from workspaces.sentences import joined
from workspaces.typed import line, whole
from workspaces.views import WorkspaceRequest, workspace_view

# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_ID_AT_MOST: Final = 500
# Many more than a page has.
TICKED_AT_MOST: Final = 1000


@require_http_methods(["GET", "POST"])
@workspace_view(Point.VIEW_DELIVERIES)
def delivery_list(request: WorkspaceRequest) -> HttpResponse:
    """The list. An ID is posted, so that no address holds it; its person's QAID stands there."""
    if request.method == "POST":
        return _find(request)
    chosen = filters.read(request.GET, request.workspace)
    page = deliveries.page(
        chosen, after=request.GET.get("after", ""), in_clear=may(request, Point.VIEW_PROFILES)
    )
    may_repeat = may(request, Point.REDELIVER) and chosen.may_hold_repeatable
    shown = {
        **filters.shown(chosen),
        "rows": [shown_row(row) for row in page.rows],
        "following": page.following,
        "is_first": not request.GET.get("after"),
        "orders": _open_orders(request),
        "may_redeliver": may_repeat,
        "may_choose": may_repeat and any(row.can_be_repeated for row in page.rows),
        "may_see_people": readers.may_read(request, readers.OF_PEOPLE),
        "query": filters.query_of(chosen),
    }
    return render(request, "journeys/deliveries.html", shown)


def _find(request: WorkspaceRequest) -> HttpResponse:
    """Lead to the deliveries of whoever has exactly this ID, or to the one with this number."""
    typed = line(request.POST.get("id"), at_most=_ID_AT_MOST)
    query = {key: value for key, value in request.GET.items() if key not in ("person", "after")}
    here = reverse("journeys:deliveries", args=[request.workspace.slug])
    if not typed:
        return redirect(f"{here}?{urlencode(query)}")
    delivery = ledger.find(typed, workspace=request.workspace)
    found = (
        [delivery.qaid]
        if delivery
        else [each.pk for each in people.find(request.workspace, value=typed)]
    )
    # Nobody: a number that is no person's, so that the page says that nothing matches.
    query["person"] = ",".join(map(str, found)) or "0"
    return redirect(f"{here}?{urlencode(query)}")


def shown_row(row: Row) -> dict[str, Any]:
    """Return what ``journeys/_delivery.html`` shows of one row."""
    return {
        "row": row,
        "label": row.state.label,
        "tone": filters.TONES.get(row.state, ""),
        "reason": words.reason(row.reason, row.plan.definition) if row.reason else "",
    }


# --- Sending again --------------------------------------------------------------------------------


def _open_orders(request: WorkspaceRequest) -> QuerySet[Redelivery]:
    return Redelivery.objects.filter(
        workspace=request.workspace, finished_at__isnull=True
    ).order_by("pk")


@require_GET
@workspace_view(Point.VIEW_DELIVERIES)
def orders(request: WorkspaceRequest) -> HttpResponse:
    """How far the open orders to send again are; renewed every two seconds while there are any."""
    return render(request, "journeys/_orders.html", {"orders": _open_orders(request)})


@require_http_methods(["GET", "POST"])
@workspace_view(Point.REDELIVER)
def send_again(request: WorkspaceRequest) -> HttpResponse:
    """Ask with the number of people, then order it: those ticked, else all that match."""
    given = request.GET if request.method == "GET" else request.POST
    ticked = given.getlist("delivery")[:TICKED_AT_MOST]
    wanted = filters.read(request.GET, request.workspace)
    if not ticked and not filters.is_understood(request.GET, wanted):
        sentence = _("Something that the filter names is gone. Load the list again and choose.")
        return refused(sentence, status=422)
    try:
        chosen = _ticked(ticked) if ticked else wanted.to_send_again()
    except ValidationError as error:
        return refused(joined(error.messages), status=422)
    count = redelivery.count(request.workspace, chosen)
    if request.method == "GET":
        query = "" if ticked else filters.query_of(wanted)
        return _ask(request, chosen, ticked, count, query=query)
    if not count:
        return refused(_("There is nothing to send again."), status=422)
    confirmed = whole(request.POST.get("confirmed"))
    if confirmed is not None and count > confirmed:
        query = "" if ticked else filters.query_of(wanted)
        return _ask(request, chosen, ticked, count, query=query, has_grown=True)
    try:
        job = redelivery.order(
            workspace=request.workspace, actor=request.user, chosen=chosen, now=timezone.now()
        )
    except PermissionDenied as denied:
        return refused(str(denied), status=403)
    text = ngettext(
        "%(count)s delivery is being sent again.",
        "%(count)s deliveries are being sent again.",
        job.total,
    )
    response = said(HttpResponse(status=204), text % {"count": words.number(job.total)})
    return trigger_client_event(response, "orders-changed", {})


def _ticked(delivery_ids: list[str]) -> dict[str, Any]:
    """Return the selection of what was ticked; what is no delivery's number selects nothing."""
    known = [each for each in delivery_ids if ids.is_delivery_id(each)]
    return redelivery.selection(delivery_ids=known, states=redelivery.STATES)


def _ask(
    request: WorkspaceRequest,
    chosen: dict[str, Any],
    ticked: list[str],
    count: int,
    *,
    query: str,
    has_grown: bool = False,
) -> HttpResponse:
    """Ask with the number of people; once more when there are more of them than were named."""
    webhooks = redelivery.webhooks_of(request.workspace, chosen)
    standings = grants.gates(request.user, webhooks, request.workspace) if webhooks else {}
    shown = {
        "count": count,
        "ticked": ticked,
        "webhooks": webhooks,
        "closed": [
            f"{webhook.name}: {standings[webhook.pk].missing}"
            for webhook in webhooks
            if not standings[webhook.pk].open
        ],
        "query": query,
        "has_grown": has_grown,
    }
    return render(request, "journeys/_send_again.html", shown, status=409 if has_grown else 200)


# --- Export ---------------------------------------------------------------------------------------


_HEAD: Final = (
    gettext_lazy("Changed"),
    gettext_lazy("QAID"),
    gettext_lazy("Sent to"),
    gettext_lazy("Journey"),
    gettext_lazy("Step"),
    gettext_lazy("Webhook"),
    gettext_lazy("State"),
    gettext_lazy("Reason"),
    gettext_lazy("HTTP status"),
    gettext_lazy("Attempts"),
    gettext_lazy("Delivery"),
)


class _Echo:
    """A file that hands back what is written, for the CSV writer."""

    def write(self, text: str) -> str:
        return text


@require_GET
@workspace_view(Point.VIEW_DELIVERIES)
def export(request: WorkspaceRequest) -> HttpResponseBase:
    """Everything that matches as CSV, row by row, in the language and time zone of the page."""
    chosen = filters.read(request.GET, request.workspace)
    audit.record(
        actor=request.user,
        workspace=request.workspace,
        action="delivery.exported",
        obj=None,
        changes={"filter": filters.query_of(chosen)},
    )
    rows = deliveries.everything(chosen, in_clear=may(request, Point.VIEW_PROFILES))
    lines = _lines(rows, translation.get_language(), timezone.get_current_timezone())
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"deliveries-{timezone.localtime():%Y-%m-%d-%H%M}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _lines(rows: Iterator[Row], language: str | None, zone: tzinfo) -> Iterator[str]:
    """Write the rows as the view's reader speaks: it has returned when the first one is asked."""
    writer = csv.writer(_Echo())
    with translation.override(language), timezone.override(zone):
        # A spreadsheet knows by the mark that the file is UTF-8.
        yield "\ufeff" + writer.writerow([str(word) for word in _HEAD])
        for row in rows:
            cells = [
                timezone.localtime(row.at).isoformat(timespec="seconds"),
                row.qaid,
                row.sent_to,
                row.journey,
                row.step,
                row.webhook,
                row.state.label,
                words.reason(row.reason, row.plan.definition) if row.reason else "",
                row.status_code or "",
                row.attempts,
                row.delivery_id,
            ]
            yield writer.writerow([harmless(str(cell)) for cell in cells])


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet runs: a quote goes before what begins like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
