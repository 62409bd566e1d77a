"""Starting runs: the snapshot of the audience, and its people into the first step's chunks.

The audience is frozen in pages by one statement, so that everybody is counted at one
moment; then each page is planned in a transaction of its own, in which the page goes. A
planner that is killed anywhere leaves whole pages behind, planned or not.
"""

from datetime import datetime
from typing import Final

from django.db import connection, transaction

from journeys import components, context, ending, stages
from journeys.choices import JourneyState, RunState
from journeys.component import PeopleQuery
from journeys.definition import Document
from journeys.models import Journey, Run
from webhooks import control, grants, outbox, pressure
from webhooks.models import Plan, Webhook
from webhooks.outbox import NewChunk

# People planned in one transaction: a matter of some 20 ms.
PAGE_CHUNKS: Final = 20

_FREEZE: Final = """
WITH people AS MATERIALIZED (
    SELECT qaid, (row_number() OVER (ORDER BY qaid) - 1) / %s AS page FROM ({sql}) AS one (qaid)
), pages AS (
    INSERT INTO journeys_snapshotpage (run_id, number, qaids)
    SELECT %s, page, array_agg(qaid ORDER BY qaid) FROM people GROUP BY page
)
SELECT count(*) FROM people
"""

_TAKE_PAGE: Final = """
DELETE FROM journeys_snapshotpage WHERE id = (
    SELECT id FROM journeys_snapshotpage WHERE run_id = %s ORDER BY number LIMIT 1
) RETURNING qaids
"""


def start_due(*, now: datetime) -> int:
    """Start the runs whose time has come; return how many."""
    due = Run.objects.filter(state=RunState.SCHEDULED, starts_at__lte=now).order_by("starts_at")
    started = 0
    for run_id in due.values_list("pk", flat=True):
        with ending.alone(run_id, now=now):
            started += start(run_id, now=now)
    return started


def start(run_id: int, *, now: datetime) -> bool:
    """Freeze the audience of one run; False when there is nothing to start.

    Both gates are looked at once more: a run whose responsible member lost one is paused
    before anybody is planned.
    """
    with transaction.atomic():
        run = _locked(run_id, RunState.SCHEDULED)
        if run is None or run.starts_at > now:
            return False
        if reason := lost_gate(run):
            ending.pause_for(run, reason=reason, now=now)
            return False
        people = _people(run, now)
        if people is None:
            ending.fail(run, reason="audience_gone", now=now)
            return False
        webhook = Webhook.objects.get(pk=stages.of(run.pk)[0].webhook_id)
        run.people = _freeze(run, people, outbox.chunk_people(webhook) * PAGE_CHUNKS)
        run.state, run.started_at = RunState.PLANNING, now
        run.save(update_fields=["people", "state", "started_at"])
        Journey.objects.filter(pk=run.journey_id, state=JourneyState.SCHEDULED).update(
            state=JourneyState.RUNNING, state_reason=""
        )
    return True


def plan_pages(*, now: datetime) -> int:
    """Plan one page of each run that has some left; return how many people.

    A run whose first webhook has enough people waiting keeps its pages until some are sent to.
    """
    collecting = Run.objects.filter(state=RunState.PLANNING).order_by("pk")
    run_ids = list(collecting.values_list("pk", flat=True))
    first = stages.first_webhooks(run_ids)
    full = pressure.full(first.values())
    people = 0
    for run_id in run_ids:
        if first.get(run_id) in full:
            continue
        with ending.alone(run_id, now=now):
            people += plan_page(run_id, now=now)
    return people


def plan_page(run_id: int, *, now: datetime) -> int:
    """Plan the next page of one run; with the last one the run is in progress.

    The page, the chunks and the checkpoint change in one transaction, so that a page is
    planned once, whoever is killed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        run = _locked(run_id, RunState.PLANNING)
        if run is None:
            return 0
        cursor.execute(_TAKE_PAGE, [run.pk])
        row = cursor.fetchone()
        qaids: list[int] = row[0] if row else []
        if qaids:
            plan = stages.plan(stages.of(run.pk)[0])
            submit(run, plan, qaids, now=now)
            run.planned_to = qaids[-1]
        if not run.pages.exists():
            run.state = RunState.RUNNING
        run.save(update_fields=["planned_to", "next_chunk", "state"])
    return len(qaids)


def submit(run: Run, plan: Plan, qaids: list[int], *, now: datetime) -> None:
    """Hand people to a plan in whole chunks, numbered by the locked run, which the caller saves."""
    size = outbox.chunk_people(plan.webhook)
    chunks = [
        NewChunk(run.next_chunk + number, qaids[first : first + size])
        for number, first in enumerate(range(0, len(qaids), size))
    ]
    outbox.submit(plan=plan, chunks=chunks, now=now)
    run.next_chunk += len(chunks)


def lost_gate(run: Run) -> str:
    """Return why the run's responsible member may no longer send, or an empty string."""
    if run.responsible is None:
        return "responsible_gone"
    webhooks = list(Webhook.objects.filter(plans__run_id=run.pk).distinct())
    standings = grants.gates(run.responsible, webhooks, run.workspace).values()
    return "" if all(standing.open for standing in standings) else control.PERMISSION_LOST


def _locked(run_id: int, state: RunState) -> Run | None:
    """Lock a run that is in this state; None when it is not, or another planner has it."""
    return (
        Run.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("journey", "version", "workspace", "responsible")
        .filter(pk=run_id, state=state)
        .first()
    )


def _people(run: Run, now: datetime) -> PeopleQuery | None:
    document = Document.from_json(run.version.document)
    if document.start is None:
        return None
    loaded = context.load(workspace=run.workspace, documents=[document], now=now)
    return components.start_of(document.start).people(document.start, loaded)


def _freeze(run: Run, people: PeopleQuery, page: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_FREEZE.format(sql=people.sql), [page, *people.params, run.pk])
        (count,) = cursor.fetchone()
    return int(count)
