"""The list of journeys: one page of rows with their figures, in as many queries for 50 as for 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Case, Count, F, FloatField, OuterRef, QuerySet, Subquery, Sum, When
from django.db.models.functions import Cast, NullIf

from journeys import components, context
from journeys.attention import Mark, marks_of
from journeys.choices import JourneyState
from journeys.component import Context
from journeys.definition import Document
from journeys.ending import REASONS
from journeys.models import Journey, Run
from webhooks.models import Chunk, Plan
from workspaces.models import Workspace
from workspaces.sentences import listed

ARCHIVED: Final = "archived"
DEFAULT_SORT: Final = "-changed"
_SORTED_BY: Final = {
    "name": "name",
    "people": "people",
    "accepted": "share",
    "changed": "changed_at",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One journey; the figures are those of its newest run."""

    journey: Journey
    run: int | None
    people: int | None
    accepted: float | None  # Per cent of those whose way has ended; None while nobody's has.
    start: str
    webhooks: str
    why: str  # Why it is paused or ended, where nobody decided it.
    marks: list[Mark]

    @property
    def start_lines(self) -> list[str]:
        """Return whom it starts with, and when or on what condition, if it says so."""
        return self.start.rsplit(" · ", 1)


def find(workspace: Workspace, *, words: str) -> QuerySet[Journey]:
    """Return the journeys whose name holds the words, archived ones too."""
    found = Journey.objects.filter(workspace=workspace)
    return found.filter(name__icontains=words) if words else found


def totals(journeys: QuerySet[Journey]) -> dict[str, int]:
    """Return how many journeys are in each state, and archived."""
    rows = journeys.order_by().values_list("state", "is_archived").annotate(Count("pk"))
    found: dict[str, int] = {}
    for state, is_archived, count in rows:
        key = ARCHIVED if is_archived else state
        found[key] = found.get(key, 0) + count
    return found


def page_of(journeys: QuerySet[Journey], *, state: str, sort: str) -> QuerySet[Journey]:
    """Return the journeys of one state, or all that are not archived, in the wanted order."""
    kept = journeys.filter(is_archived=state == ARCHIVED)
    if state in JourneyState.values:
        kept = kept.filter(state=state)
    newest = Run.objects.filter(journey=OuterRef("pk")).order_by("-pk")
    key = F(_SORTED_BY.get(sort.removeprefix("-"), _SORTED_BY[DEFAULT_SORT[1:]]))
    order = key.desc(nulls_last=True) if sort.startswith("-") else key.asc(nulls_last=True)
    found = kept.select_related("workspace", "changed_by").annotate(
        run=Subquery(newest.values("pk")[:1]),
        # Nobody is counted before it starts; the journeys without a number stand last.
        people=Subquery(
            newest.values_list(Case(When(started_at__isnull=False, then="people")))[:1]
        ),
    )
    if sort.removeprefix("-") == "accepted":
        found = found.annotate(share=_accepted_share())
    return found.order_by(order, "-pk")


def _accepted_share() -> Subquery:
    """Return the order of ``accepted``, of the run that a journey is annotated with."""
    ended = NullIf(Sum("size") - Sum("queued"), 0)
    return Subquery(
        Chunk.objects.filter(plan__run_id=OuterRef("run"))
        .order_by()
        .values("plan__run_id")
        .values_list(Cast(Sum("delivered"), FloatField()) / ended)
    )


def is_sort(sort: str) -> bool:
    return sort.removeprefix("-") in _SORTED_BY


def rows(journeys: Sequence[Journey], *, workspace: Workspace, now: datetime) -> list[Row]:
    """Return the rows of journeys that ``page_of`` selected."""
    documents = [Document.from_json(journey.draft) for journey in journeys]
    loaded = context.load(workspace=workspace, documents=documents, now=now)
    newest: dict[int, int] = {
        journey.pk: run for journey in journeys if (run := getattr(journey, "run", None))
    }
    shares = accepted(list(newest.values()))
    marks = marks_of(journeys)
    return [
        Row(
            journey=journey,
            run=newest.get(journey.pk),
            people=getattr(journey, "people", None),
            accepted=shares.get(newest.get(journey.pk, 0)),
            start=_start(document, loaded),
            webhooks=_webhooks(document, loaded),
            why=str(REASONS.get(journey.state_reason, "")),
            marks=marks.get(journey.pk, []),
        )
        for journey, document in zip(journeys, documents, strict=True)
    ]


def accepted(run_ids: Sequence[int]) -> dict[int, float]:
    """Return the accepted part of those who ended, by run, from the chunks' counters alone."""
    runs = dict(Plan.objects.filter(run_id__in=run_ids).values_list("pk", "run_id"))
    sums = (
        Chunk.objects.filter(plan__in=list(runs))
        .order_by()
        .values_list("plan")
        .annotate(Sum("delivered"), Sum("size"), Sum("queued"))
    )
    delivered: dict[int, int] = {}
    ended: dict[int, int] = {}
    for plan_id, taken, size, queued in sums:
        run_id = runs[plan_id]
        delivered[run_id] = delivered.get(run_id, 0) + taken
        ended[run_id] = ended.get(run_id, 0) + size - queued
    return {run_id: delivered[run_id] * 100 / count for run_id, count in ended.items() if count}


def _start(document: Document, loaded: Context) -> str:
    if document.start is None:
        return ""
    component = components.start_of(document.start)
    return component.summary(document.start, loaded) or str(component.label)


def _webhooks(document: Document, loaded: Context) -> str:
    """Return the names of the webhooks that the draft's steps use, each once."""
    names: dict[str, None] = {}
    for step in document.steps:
        for pk in components.of(step).needs(step.config).webhooks:
            if pk in loaded.webhooks:
                names[loaded.webhooks[pk].name] = None
    return listed(names)
