"""The editor's page and its canvas: every change of the drawing answers with the new canvas."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import trigger_client_event

from journeys import components, context, drafts, presence, publishing, runs, uses
from journeys.attention import marks_of
from journeys.component import Context, Problem
from journeys.definition import Document, Step
from journeys.drafts import StaleDraft, Written
from journeys.layout import END_KEY, Canvas, Node, Number, lay_out
from journeys.models import Journey, Run
from journeys.views import access, progress
from journeys.views.access import get_journey, may
from journeys.views.lists import UNDER_WAY
from workspaces import parts
from workspaces.points import Point
from workspaces.sentences import joined, listed
from workspaces.typed import whole
from workspaces.views import WorkspaceRequest, workspace_view


@require_GET
@workspace_view()
def editor(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """The drawing of a journey; whoever may not edit it sees it read-only."""
    journey = get_journey(request, pk)
    shown = {
        **page_context(request, journey),
        "marks": marks_of([journey]).get(journey.pk, []),
        "may_find": may(request, Point.VIEW_DELIVERIES),
        "others": presence.beat(journey=journey, user=request.user, now=timezone.now()),
        "refusal": access.refusal(request),
        "may_archive": not journey.is_archived and journey.state not in UNDER_WAY,
    }
    return render(request, "journeys/editor.html", shown)


@require_GET
@workspace_view()
def others(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Who else has the journey open; the page that asks says that its reader has."""
    journey = get_journey(request, pk)
    found = presence.beat(journey=journey, user=request.user, now=timezone.now())
    shown = {"journey": journey, "others": found}
    return render(request, "journeys/_others.html", shown)


@require_GET
@workspace_view()
def numbers(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """The counts under the steps, renewed without drawing the canvas anew.

    When the run has only just begun there is no room for them yet: the canvas is asked for.
    """
    journey = get_journey(request, pk)
    run = _newest_run(journey)
    counts = _numbers(request, run)
    begins = bool(counts) and "drawn" not in request.GET
    document = Document.from_json(journey.draft)
    shown = {
        "journey": journey,
        "live": _live(run, counts),
        "counts": [] if begins else [(s.key, counts[s.key]) for s in document if s.key in counts],
        "is_renewal": True,
    }
    response = render(request, "journeys/_live.html", shown)
    return trigger_client_event(response, "numbers-began", {}) if begins else response


@require_GET
@workspace_view()
def canvas(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """The canvas as it is now: a fragment, asked for when a panel has been saved."""
    return _answer(request, get_journey(request, pk))


def page_context(request: WorkspaceRequest, journey: Journey) -> dict[str, Any]:
    now = timezone.now()
    document = Document.from_json(journey.draft)
    loaded = context.load(
        workspace=request.workspace, documents=[document], now=now, user=request.user
    )
    problems = publishing.problems_of(document, loaded, journey)
    run = _newest_run(journey)
    read = parts.read(lambda: _numbers(request, run))
    counts = read or {}
    return {
        "journey": journey,
        "canvas": _canvas(document, loaded, problems, counts),
        "live": _live(run, counts),
        "counts_failed": read is None,
        "starts": components.starts(),
        "addable": components.addable(),
        "may_edit": may(request, Point.AUTOMATED_MARKETING),
        "may_publish": may(request, Point.PUBLISH_JOURNEYS),
        "run": run,
    }


def _newest_run(journey: Journey) -> Run | None:
    return journey.runs.select_related("version", "journey__workspace").first()


def _live(run: Run | None, counts: Mapping[UUID, list[Number]]) -> dict[str, Any]:
    """Return whether the counts may still change, whether there are any, and all in a sentence."""
    total: dict[str, int] = {}
    for number in chain.from_iterable(counts.values()):
        total[str(number.word)] = total.get(str(number.word), 0) + number.value
    waits = any(each.kind == "waiting" and each.value for row in counts.values() for each in row)
    return {
        "is_open": run is not None and (run.state in uses.OPEN_STATES or waits),
        "is_drawn": bool(counts),
        "sentence": listed(
            f"{number_format(value, force_grouping=True)} {word}" for word, value in total.items()
        ),
    }


def _numbers(request: WorkspaceRequest, run: Run | None) -> dict[UUID, list[Number]]:
    """Return the counts under each step that the newest run has sent from."""
    if run is None or run.started_at is None or not may(request, Point.VIEW_DELIVERIES):
        return {}
    steps = runs.progress_of(run, now=timezone.now()).steps
    return {each.step.key: progress.numbers(run, each) for each in steps}


def _canvas(
    document: Document,
    loaded: Context,
    problems: list[Problem],
    numbers: Mapping[UUID, list[Number]],
) -> Canvas:
    nodes = [
        _node(step, loaded, problems, numbers, fixed=step == document.start) for step in document
    ]
    end = components.COMPONENTS["end"]
    nodes.append(Node(END_KEY, end.code, end.icon, str(end.label), fixed=True))
    return lay_out(nodes)


def _node(
    step: Step,
    loaded: Context,
    problems: list[Problem],
    numbers: Mapping[UUID, list[Number]],
    *,
    fixed: bool,
) -> Node:
    component = components.of(step)
    missing = sum(problem.step == step.key for problem in problems)
    gaps = ngettext("%(count)d thing missing", "%(count)d things missing", missing)
    return Node(
        key=step.key,
        component=component.code,
        icon=component.icon,
        name=step.name or str(component.label),
        summary=component.summary(step, loaded),
        gaps=gaps % {"count": missing} if missing else "",
        fixed=fixed,
        numbers=numbers.get(step.key, []),
    )


# --- Changes --------------------------------------------------------------------------------------


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def step_add(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Add a step behind another one and open its panel."""
    journey = get_journey(request, pk)
    kind = request.POST.get("kind", "")
    if kind not in [component.code for component in components.addable()]:
        return _refused(request, journey, _("There is no such component."))
    return _change(
        request,
        journey,
        lambda revision: drafts.add_step(
            journey=journey,
            revision=revision,
            user=request.user,
            component=kind,
            after=_key(request, "after"),
            now=timezone.now(),
        ),
        toast=_("Step added."),
        opens=True,
    )


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def step_paste(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Put a copy of the step that was copied behind another one."""
    journey = get_journey(request, pk)
    source = _key(request, "source")
    if source is None or Document.from_json(journey.draft).step(source) is None:
        return _refused(request, journey, _("The copied step is no longer in this journey."))
    return _copy(request, journey, source, after=_key(request, "step"), toast=_("Step pasted."))


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def step_duplicate(request: WorkspaceRequest, pk: int) -> HttpResponse:
    journey = get_journey(request, pk)
    return _copy(request, journey, _key(request, "step"), after=None, toast=_("Step duplicated."))


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def step_move(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Move a step one place up or down."""
    journey = get_journey(request, pk)
    key = _key(request, "step")
    document = Document.from_json(journey.draft)
    keys = [step.key for step in document.steps]
    if key is None or key not in keys:
        return _refused(request, journey, _("This step is no longer there."))
    place = keys.index(key) + (-1 if request.POST.get("direction") == "up" else 1)
    if not 0 <= place < len(keys):
        return _answer(request, journey)
    keys.remove(key)
    after = keys[place - 1] if place else None
    return _change(
        request,
        journey,
        lambda revision: drafts.move_step(
            journey=journey,
            revision=revision,
            user=request.user,
            key=key,
            after=after,
            now=timezone.now(),
        ),
        toast=_("Step moved."),
    )


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def step_delete(request: WorkspaceRequest, pk: int) -> HttpResponse:
    journey = get_journey(request, pk)
    key = _key(request, "step")
    if key is None or key not in [step.key for step in Document.from_json(journey.draft).steps]:
        return _refused(request, journey, _("This step is no longer there."))
    return _change(
        request,
        journey,
        lambda revision: drafts.delete_step(
            journey=journey, revision=revision, user=request.user, key=key, now=timezone.now()
        ),
        toast=_("Step deleted."),
    )


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def change_start(request: WorkspaceRequest, pk: int) -> HttpResponse:
    """Let the journey start in another way, and open the new start's panel."""
    journey = get_journey(request, pk)
    kind = request.POST.get("kind", "")
    if kind not in [component.code for component in components.starts()]:
        return _refused(request, journey, _("There is no such component."))
    return _change(
        request,
        journey,
        lambda revision: drafts.change_start(
            journey=journey,
            revision=revision,
            user=request.user,
            component=kind,
            now=timezone.now(),
        ),
        toast=_("The journey starts in another way now."),
        opens=True,
    )


@require_POST
@workspace_view(Point.AUTOMATED_MARKETING)
def undo(request: WorkspaceRequest, pk: int, revision: int) -> HttpResponse:
    """Take back the change that made ``revision``.

    The toast that asks for it swaps nothing itself, so the canvas comes out of band.
    """
    journey = get_journey(request, pk)
    return _change(
        request,
        journey,
        lambda _revision: drafts.undo(
            journey=journey, revision=revision, user=request.user, now=timezone.now()
        ),
        toast=_("Undone."),
        is_undo=True,
    )


def _copy(
    request: WorkspaceRequest, journey: Journey, key: UUID | None, *, after: UUID | None, toast: str
) -> HttpResponse:
    if key is None or key not in [step.key for step in Document.from_json(journey.draft).steps]:
        return _refused(request, journey, _("This step is no longer there."))
    return _change(
        request,
        journey,
        lambda revision: drafts.copy_step(
            journey=journey,
            revision=revision,
            user=request.user,
            key=key,
            after=after,
            now=timezone.now(),
        ),
        toast=toast,
    )


def _change(
    request: WorkspaceRequest,
    journey: Journey,
    change: Callable[[int], Written],
    *,
    toast: str,
    opens: bool = False,
    is_undo: bool = False,
) -> HttpResponse:
    try:
        written = change(_revision(request))
    except StaleDraft as stale:
        journey.refresh_from_db()
        return _refused(request, journey, stale.message, status=409)
    except ValidationError as error:
        return _refused(request, journey, joined(error.messages))
    response = _answer(request, journey, out_of_band=is_undo)
    detail = {"text": toast, "tone": "success"}
    if not is_undo:
        detail["undo"] = reverse(
            "journeys:undo", args=[request.workspace.slug, journey.pk, written.revision]
        )
    trigger_client_event(response, "toast", detail)
    if opens and written.step:
        trigger_client_event(response, "step-open", {"step": str(written.step.key)}, after="settle")
    return response


def _refused(
    request: WorkspaceRequest, journey: Journey, sentence: str, *, status: int = 422
) -> HttpResponse:
    """Answer with the canvas as it is now, and why nothing was changed."""
    response = _answer(request, journey, status=status)
    return trigger_client_event(response, "toast", {"text": sentence, "tone": "error"})


def _answer(
    request: WorkspaceRequest, journey: Journey, *, status: int = 200, out_of_band: bool = False
) -> HttpResponse:
    shown = {**page_context(request, journey), "out_of_band": out_of_band, "is_answer": True}
    return render(request, "journeys/_canvas.html", shown, status=status)


def _revision(request: WorkspaceRequest) -> int:
    given = whole(request.POST.get("revision"))
    return -1 if given is None else given


def _key(request: WorkspaceRequest, name: str) -> UUID | None:
    try:
        return UUID(request.POST.get(name, ""))
    except ValueError:
        return None
