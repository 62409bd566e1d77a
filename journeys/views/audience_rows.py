"""The builder of rules: rows that are added, read as one sentence, counted and saved."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from identity import audience_rules, audiences, rule_rows
from identity.audiences import StaleAudienceError
from identity.choices import AudienceKind
from identity.models import Audience
from identity.rule_rows import Rows
from identity.rule_sentences import Words, sentence
from journeys.views.answers import go_to, onward
from journeys.views.audience_people import address, people_of
from workspaces.points import Point
from workspaces.sentences import joined
from workspaces.views import WorkspaceRequest, workspace_view


class Builder:
    """The rows of one request, drawn, and the rules they make."""

    def __init__(self, request: WorkspaceRequest, rows: Rows) -> None:
        self.words = Words.of(request.workspace)
        self.rows = rows
        self.tree = rule_rows.drawn(rows, self.words)
        self.errors: list[str] = []

    def read(self, request: WorkspaceRequest) -> dict[str, Any] | None:
        """Return valid rules, or None with what is wrong in ``errors`` and the rows."""
        rules = rule_rows.rules_of(self.rows, self.tree, request.workspace)
        if not self.tree:
            self.errors.append(_("Add at least one condition."))
        if rules is None:
            return None
        try:
            audience_rules.validate(request.workspace, rules)
        except ValidationError as error:
            self.errors.extend(error.messages)
            return None
        return rules

    def shown(self, *, focus: int | None = None) -> dict[str, Any]:
        """Return the context of ``journeys/_audience_rows.html``."""
        return {
            "match": self.rows.match,
            "tree": self.tree,
            "row_count": len(self.rows.rows),
            "words_of": self.words,
            "is_full": len(self.rows.rows) >= rule_rows.MAX_ROWS - 1,
            "errors": self.errors,
            "focus": focus,
        }


def edit(request: WorkspaceRequest, audience: Audience) -> tuple[dict[str, Any], int]:
    """Return the builder of an audience and the status; a POST saves, and says ``is_saved``."""
    if request.method != "POST":
        builder = Builder(request, rule_rows.of_rules(audience.rules or {}))
        return builder.shown(), 200
    builder = Builder(request, rule_rows.posted(request.POST))
    rules = builder.read(request)
    if rules is None:
        return builder.shown(), 422
    try:
        audiences.change_rules(
            audience=audience,
            rules=rules,
            seen=_moment(request.POST.get("seen", "")),
            actor=request.user,
            now=timezone.now(),
        )
    except StaleAudienceError:
        who = audiences.last_changed_by([audience]).get(audience.pk) or _("Somebody")
        builder.errors.append(
            _(
                "%(who)s has changed these rules meanwhile: %(rules)s "
                "Save again to replace them by yours."
            )
            % {"who": who, "rules": sentence(audience.rules or {}, builder.words)}
        )
        return builder.shown(), 409
    return {"is_saved": True}, 200


def _moment(raw: str) -> Any:
    try:
        return parse_datetime(raw)
    except ValueError:
        return None


@require_http_methods(["GET", "POST"])
@workspace_view(Point.MANAGE_DATA)
def audience_new(request: WorkspaceRequest) -> HttpResponse:
    """The page of a new audience of rules."""
    name = request.GET.get("name", "")[: audiences.NAME_LENGTH]
    name_error = ""
    status = 200
    builder = Builder(request, Rows())
    if request.method == "POST":
        name = request.POST.get("name", "")
        builder = Builder(request, rule_rows.posted(request.POST))
        status = 422
        rules = builder.read(request)
        try:
            audiences.checked_name(name, request.workspace)
            if rules is not None:
                made = audiences.create(
                    workspace=request.workspace,
                    name=name,
                    kind=AudienceKind.RULES,
                    rules=rules,
                    actor=request.user,
                    now=timezone.now(),
                )
                messages.success(request, _("“%(name)s” is saved.") % {"name": made.name})
                return go_to(request, onward(request, address(request, made)))
        except ValidationError as error:
            name_error = joined(error.messages)
    shown = {
        **builder.shown(),
        "name": name,
        "name_error": name_error,
        "is_unsaved": status != 200,
    }
    is_refused = bool(request.htmx) and status != 200
    template = "journeys/_audience_form.html" if is_refused else "journeys/audience_new.html"
    return render(request, template, shown, status=status)


@require_POST
@workspace_view(Point.MANAGE_DATA)
def audience_rows(request: WorkspaceRequest) -> HttpResponse:
    """The rows after a button or another choice; what was typed stays in them."""
    rows, focus = rule_rows.changed(rule_rows.posted(request.POST), request.POST.get("action", ""))
    shown = Builder(request, rows).shown(focus=focus)
    answer = render(request, "journeys/_audience_rows.html", shown)
    return trigger_client_event(answer, "rules-changed", after="settle")


@require_POST
@workspace_view(Point.MANAGE_DATA)
def audience_said(request: WorkspaceRequest) -> HttpResponse:
    """The rows as one sentence, at once; the people are counted by the next request."""
    builder = Builder(request, rule_rows.posted(request.POST))
    rules = builder.read(request)
    shown = {"sentence": sentence(rules, builder.words) if rules else "", "errors": builder.errors}
    return render(request, "journeys/_audience_said.html", shown)


@require_POST
@workspace_view(Point.MANAGE_DATA)
def audience_count(request: WorkspaceRequest) -> HttpResponse:
    """How many people the rows hold for, and some of them."""
    rules = Builder(request, rule_rows.posted(request.POST)).read(request)
    if rules is None:
        return HttpResponse("")
    unsaved = Audience(workspace=request.workspace, kind=AudienceKind.RULES, rules=rules)
    shown = people_of(unsaved, request, sample=True)
    return render(request, "journeys/_audience_people.html", shown)
