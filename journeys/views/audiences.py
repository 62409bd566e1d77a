"""The audiences of the workspace: the list, one of them, and what is done to it as a whole."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from identity import audiences
from identity.choices import AudienceKind
from identity.models import Audience
from identity.rule_sentences import Words, sentence
from journeys import audience_uses
from journeys.audience_uses import Use
from journeys.forms.audiences import CreateForm, NameForm
from journeys.views import audience_rows, readers
from journeys.views.access import may
from journeys.views.answers import go_to, onward, refused, show_again
from journeys.views.audience_people import address, get_audience
from workspaces.points import POINT_LABELS, Point
from workspaces.sentences import listed
from workspaces.typed import line
from workspaces.views import WorkspaceRequest, workspace_view

PAGE_SIZE: Final = 50


@require_GET
@workspace_view()
def audience_list(request: WorkspaceRequest) -> HttpResponse:
    readers.let_read(request, readers.OF_AUDIENCES)
    words = line(request.GET.get("q"), at_most=200)
    found = audiences.find(request.workspace, words=words)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    shown = {
        "rows": _rows(list(page), request),
        "page": page,
        "words": words,
        "is_first_use": not page.paginator.count and not words,
        "may_edit": may(request, Point.MANAGE_DATA),
    }
    return render(request, "journeys/audiences.html", shown)


def _rows(found: Sequence[Audience], request: WorkspaceRequest) -> list[dict[str, Any]]:
    sizes = audiences.sizes(found)
    changed_by = audiences.last_changed_by(found)
    uses = audience_uses.of(found, request.workspace)
    return [
        {
            "audience": each,
            "size": sizes.get(each.pk),
            "changed_by": changed_by.get(each.pk) or each.created_by or "",
            "uses": uses[each.pk],
        }
        for each in found
    ]


@require_http_methods(["GET", "POST"])
@workspace_view(Point.MANAGE_DATA)
def audience_create(request: WorkspaceRequest) -> HttpResponse:
    """The dialog of a new audience; it leads on to its rules or to its file."""
    form = CreateForm(request.POST if request.method == "POST" else None)
    slug = request.workspace.slug
    if form.is_valid():
        name = form.cleaned_data["name"]
        try:
            if form.cleaned_data["kind"] == AudienceKind.RULES:
                audiences.checked_name(name, request.workspace)
                query = urlencode({"name": name})
                return go_to(request, f"{reverse('journeys:audience_new', args=[slug])}?{query}")
            made = audiences.create(
                workspace=request.workspace,
                name=name,
                kind=AudienceKind.LIST,
                actor=request.user,
                now=timezone.now(),
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return go_to(request, reverse("journeys:audience_upload", args=[slug, made.pk]))
    status = 422 if form.is_bound else 200
    return render(request, "journeys/_audience_create.html", {"form": form}, status=status)


@require_http_methods(["GET", "POST"])
@workspace_view()
def audience(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """One audience: its list, or its rules, which a POST changes."""
    readers.let_read(request, readers.OF_AUDIENCES)
    found = get_audience(request, pk)
    uses = audience_uses.of([found], request.workspace)[found.pk]
    if request.method == "POST" and not may(request, Point.MANAGE_DATA):
        raise PermissionDenied(POINT_LABELS[Point.MANAGE_DATA])
    may_edit = may(request, Point.MANAGE_DATA)
    builder: dict[str, Any] = {}
    status = 200
    if found.kind == AudienceKind.RULES and may_edit:
        builder, status = audience_rows.edit(request, found)
        if builder.get("is_saved"):
            messages.success(request, _("“%(name)s” is saved.") % {"name": found.name})
            return go_to(request, onward(request, address(request, found)))
    changed_by = audiences.last_changed_by([found]).get(found.pk) or found.created_by
    shown = {
        **builder,
        "audience": found,
        "sentence": _sentence(found),
        "uses": uses,
        "later": [use for use in uses if use.takes_it_later],
        "changed_by": changed_by,
        "may_edit": may_edit,
        "is_unsaved": status != 200,
        "point": POINT_LABELS[Point.MANAGE_DATA],
    }
    is_refused = bool(request.htmx) and status != 200
    template = "journeys/_audience_form.html" if is_refused else "journeys/audience.html"
    return render(request, template, shown, status=status)


def _sentence(found: Audience) -> str:
    if found.rules is None:
        return ""
    return sentence(found.rules, Words.of(found.workspace))


@require_http_methods(["GET", "POST"])
@workspace_view(Point.MANAGE_DATA)
def audience_rename(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """The dialog that renames an audience; the page is shown anew afterwards."""
    found = get_audience(request, pk)
    form = NameForm(
        request.POST if request.method == "POST" else None, initial={"name": found.name}
    )
    if form.is_valid():
        try:
            audiences.rename(audience=found, name=form.cleaned_data["name"], actor=request.user)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return show_again(request, address(request, found))
    shown = {"audience": found, "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "journeys/_audience_rename.html", shown, status=status)


@require_POST
@workspace_view(Point.MANAGE_DATA)
def audience_duplicate(request: WorkspaceRequest, pk: int) -> HttpResponse:
    found = get_audience(request, pk)
    copy = audiences.duplicate(audience=found, actor=request.user, now=timezone.now())
    messages.success(request, _("This is “%(name)s”.") % {"name": copy.name})
    return go_to(request, address(request, copy))


@require_POST
@workspace_view(Point.MANAGE_DATA)
def audience_delete(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Delete an audience that no journey uses."""
    found = get_audience(request, pk)
    if uses := audience_uses.of([found], request.workspace)[found.pk]:
        return refused(_in_use(uses), status=422)
    audiences.delete(audience=found, actor=request.user)
    messages.success(request, _("“%(name)s” is deleted.") % {"name": found.name})
    return go_to(request, reverse("journeys:audiences", args=[request.workspace.slug]))


def _in_use(uses: Sequence[Use]) -> str:
    names = listed(use.journey.name for use in uses[:5])
    more = f" (+{len(uses) - 5})" if len(uses) > 5 else ""
    sentence = _("It is used by: %(names)s. Give these journeys another audience first.")
    return sentence % {"names": f"{names}{more}"}
