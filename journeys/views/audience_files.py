"""The list of an audience: a file is looked into, imported, and its rejects downloaded."""

import csv
from typing import Any, Final

from django.core.cache import cache
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from identity.choices import AudienceKind
from identity.forms import AudienceFileForm
from identity.importing import ImportFileError, ImportReport, Reject, import_audience, read
from identity.importing.preview import preview_audience
from identity.models import Audience
from journeys.views.access import may
from journeys.views.audience_people import get_audience
from journeys.views.deliveries import harmless
from workspaces.choices import Via
from workspaces.points import Point
from workspaces.views import WorkspaceRequest, workspace_view

KEPT_REJECTS: Final = 10_000
REJECTS_SHOWN: Final = 20
KEPT_SECONDS: Final = 3600


def _get_list(request: WorkspaceRequest, pk: int) -> Audience:
    found = get_audience(request, pk)
    if found.kind != AudienceKind.LIST:
        raise Http404
    return found


@require_http_methods(["GET", "POST"])
@workspace_view(Point.MANAGE_DATA)
def audience_upload(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Import an audience's list, and see what came of it."""
    audience = _get_list(request, pk)
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = AudienceFileForm(*sent, audience=audience)
    report: ImportReport | None = None
    if form.is_valid():
        try:
            report = _import(form, audience, request)
        except ImportFileError as error:
            form.add_error("file", str(error))
    shown = {
        "audience": audience,
        "form": form,
        "report": report,
        "reasons": _reasons(report) if report else [],
        "rejects": report.rejects[:REJECTS_SHOWN] if report else [],
        "kept": min(report.rejected, KEPT_REJECTS) if report else 0,
    }
    status = 422 if form.is_bound and report is None else 200
    return render(request, "journeys/audience_upload.html", shown, status=status)


def _reasons(report: ImportReport) -> list[tuple[str, int]]:
    """Return why lines were left out, and how many, where the table does not show each of them."""
    return report.reasons.most_common(10) if report.rejected > REJECTS_SHOWN else []


def _import(form: AudienceFileForm, audience: Audience, request: WorkspaceRequest) -> ImportReport:
    chosen = form.cleaned_data
    rejects: list[Reject] = []

    def keep(reject: Reject) -> None:
        if len(rejects) < KEPT_REJECTS:
            rejects.append(reject)

    report = import_audience(
        audience=audience,
        source=chosen["source"],
        table=read(chosen["file"].file, encoding=chosen["encoding"]),
        now=timezone.now(),
        replace=chosen["replace"],
        create_people=chosen["create_people"],
        on_reject=keep,
        actor=request.user,
        via=Via.WEB,
    )
    rows = [[each.line, each.column, each.reason] for each in rejects]
    cache.set(_key(audience, request), rows, KEPT_SECONDS)
    return report


def _key(audience: Audience, request: WorkspaceRequest) -> str:
    return f"audience-rejects-{audience.pk}-{request.user.pk}"


@require_POST
@workspace_view(Point.MANAGE_DATA)
def audience_look(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """What is in the chosen file, and what would come of it; nothing is imported."""
    audience = _get_list(request, pk)
    form = AudienceFileForm(request.POST, request.FILES, audience=audience)
    shown: dict[str, Any] = {"audience": audience, "form": form}
    if not request.FILES:
        return HttpResponse("")
    if not form.is_valid():
        shown["errors"] = [str(error) for errors in form.errors.values() for error in errors]
        return render(request, "journeys/_audience_look.html", shown)
    chosen = form.cleaned_data
    try:
        shown["found"] = preview_audience(
            audience=audience,
            source=chosen["source"],
            table=read(chosen["file"].file, encoding=chosen["encoding"]),
            now=timezone.now(),
            in_clear=may(request, Point.VIEW_PROFILES),
        )
    except ImportFileError as error:
        shown["errors"] = [str(error)]
    shown["creates"] = chosen["create_people"]
    shown["replaces"] = chosen["replace"]
    return render(request, "journeys/_audience_look.html", shown)


@require_GET
@workspace_view(Point.MANAGE_DATA)
def audience_rejects(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """The lines that the visitor's last import left out, for an hour."""
    audience = _get_list(request, pk)
    rows = cache.get(_key(audience, request))
    if rows is None:
        raise Http404
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="audience-{audience.pk}-rejects.csv"'
    answer.write("\ufeff")
    writer = csv.writer(answer)
    writer.writerow(["line", "column", "reason"])
    writer.writerows([line, harmless(column), harmless(reason)] for line, column, reason in rows)
    return answer
