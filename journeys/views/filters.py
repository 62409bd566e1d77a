"""The filter of the deliveries page: read from the address, written as lists to choose from.

What an address names and this workspace does not have is left out: the list says what it shows.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from journeys import components, stages
from journeys.definition import Document
from journeys.deliveries import Filter
from journeys.models import Journey, Run
from journeys.views import words
from webhooks import progress
from webhooks.answers import reason_sentence
from webhooks.choices import DeliveryState
from webhooks.models import Plan, Webhook
from workspaces.models import Workspace
from workspaces.typed import line, whole

JOURNEYS_OFFERED: Final = 500
RUNS_OFFERED: Final = 100
PEOPLE_AT_MOST: Final = 20
_NAMES: Final = (
    "journey",
    "run",
    "step",
    "webhook",
    "state",
    "tally",
    "person",
    "since",
    "until",
)

TONES: Final = {
    DeliveryState.DELIVERED: "green",
    DeliveryState.DEAD: "red",
    DeliveryState.EXPIRED: "amber",
    DeliveryState.UNCERTAIN: "amber",
    DeliveryState.QUEUED: "open",
}


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str | Promise
    chosen: bool


def address(run: Run, **narrowed: Any) -> str:
    """Return the address of the people behind one number of a run."""
    query = {"journey": run.journey_id, "run": run.pk, **narrowed}
    here = reverse("journeys:deliveries", args=[run.journey.workspace.slug])
    return f"{here}?{urlencode({key: value for key, value in query.items() if value})}"


def read(query: QueryDict, workspace: Workspace) -> Filter:
    """Return the filter that an address asks for. A journey without a run means its newest."""
    run = _run(query, workspace)
    webhook = Webhook.objects.filter(
        workspace=workspace, pk=whole(query.get("webhook")) or 0
    ).first()
    asked = query.get("state", "")
    return Filter(
        workspace=workspace,
        journey=run.journey if run else None,
        run=run,
        step=_step(query.get("step", ""), run),
        webhook=webhook,
        state=DeliveryState(asked) if asked in DeliveryState else None,
        tally=line(query.get("tally"), at_most=300),
        qaids=qaids_of(query.get("person", "")),
        since=_moment(query.get("since", "")),
        until=_moment(query.get("until", "")),
    )


def query_of(chosen: Filter) -> str:
    """Return the query of an address that asks for exactly this filter."""
    parts = {
        "journey": chosen.journey and chosen.journey.pk,
        "run": chosen.run and chosen.run.pk,
        "step": chosen.step,
        "webhook": chosen.webhook and chosen.webhook.pk,
        "state": chosen.state,
        "tally": chosen.tally,
        "person": ",".join(map(str, chosen.qaids)),
        "since": chosen.since and chosen.since.isoformat(),
        "until": chosen.until and chosen.until.isoformat(),
    }
    return urlencode({name: str(value) for name, value in parts.items() if value})


def is_understood(query: QueryDict, chosen: Filter) -> bool:
    """Tell whether all that an address names is in the filter that was read from it.

    A list may leave out what is gone, since it shows what it is a list of. Whatever acts on all
    that match may not: it would act on more people than were meant.
    """
    asked = {name: query.get(name) for name in _NAMES if query.get(name)}
    held = QueryDict(query_of(chosen))
    return all(held.get(name) for name in asked) and asked.get("run") in (None, held.get("run"))


def _run(query: QueryDict, workspace: Workspace) -> Run | None:
    found = Run.objects.filter(workspace=workspace).select_related("journey", "version")
    journey = whole(query.get("journey"))
    if (pk := whole(query.get("run"))) is not None:
        run = found.filter(pk=pk).first()
        if run is not None and journey in (None, run.journey_id):
            return run
    return found.filter(journey=journey).first() if journey is not None else None


def _step(raw: str, run: Run | None) -> UUID | None:
    """Read a step of the run: after another journey is chosen the old one's is still there."""
    keys = [stage.step_key for stage in stages.of(run.pk)] if run else []
    return next((key for key in keys if str(key) == raw), None)


def qaids_of(raw: str) -> tuple[int, ...]:
    """Read the people that an address names."""
    found = [whole(part) for part in raw.split(",")[:PEOPLE_AT_MOST]]
    return tuple(qaid for qaid in found if qaid is not None)


def _moment(raw: str) -> datetime | None:
    """Read a local time of the workspace, as ``<input type="datetime-local">`` writes it."""
    try:
        found = parse_datetime(raw)
    except ValueError:
        return None
    # Beyond these years a zone may lead out of the calendar.
    if found is None or not 1900 <= found.year <= 2900:
        return None
    return timezone.make_aware(found) if timezone.is_naive(found) else found


# --- To choose from -------------------------------------------------------------------------------


def shown(chosen: Filter) -> dict[str, Any]:
    """Return the lists of ``journeys/_deliveries_filter.html``, and what is chosen as chips."""
    lists = {
        "journeys": _journeys(chosen),
        "runs": _runs(chosen),
        "steps": _steps(chosen),
        "webhooks": _webhooks(chosen),
        "states": [Option(state, state.label, chosen.state == state) for state in DeliveryState],
        "reasons": _reasons(chosen),
    }
    return {
        **lists,
        "chosen": chosen,
        "named": _named(chosen, lists),
        "since": _typed(chosen.since),
        "until": _typed(chosen.until),
        "is_filtered": chosen != Filter(chosen.workspace),
    }


def _named(chosen: Filter, lists: dict[str, list[Option]]) -> str:
    """Return what the filter asks for, in the words of its lists."""
    # A list of one leaves nothing to choose, and is not drawn.
    can_be_one = {"journeys", "webhooks", "states", "reasons"}
    labels = [
        str(option.label)
        for name, options in lists.items()
        if len(options) > 1 or name in can_be_one
        for option in options
        if option.chosen
    ]
    now = timezone.now()
    if chosen.since:
        since = words.moment(chosen.since, chosen.workspace, now=now)
        labels.append(_("From %(since)s") % {"since": since})
    if chosen.until:
        until = words.moment(chosen.until, chosen.workspace, now=now)
        labels.append(_("Before %(until)s") % {"until": until})
    return " · ".join(labels)


def _typed(at: datetime | None) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%dT%H:%M") if at else ""


def _journeys(chosen: Filter) -> list[Option]:
    found = Journey.objects.filter(workspace=chosen.workspace, runs__isnull=False).distinct()
    names = found.order_by("name").values_list("pk", "name")[:JOURNEYS_OFFERED]
    current = chosen.journey.pk if chosen.journey else None
    return [Option(str(pk), name, pk == current) for pk, name in names]


def _runs(chosen: Filter) -> list[Option]:
    if chosen.journey is None:
        return []
    found = chosen.journey.runs.select_related("version")[:RUNS_OFFERED]
    return [
        Option(
            str(run.pk),
            _("Version %(number)d, %(time)s")
            % {
                "number": run.version.number,
                "time": date_format(timezone.localtime(run.starts_at), "SHORT_DATETIME_FORMAT"),
            },
            run == chosen.run,
        )
        for run in found
    ]


def _steps(chosen: Filter) -> list[Option]:
    if chosen.run is None:
        return []
    document = Document.from_json(chosen.run.version.document)
    found = [document.step(stage.step_key) for stage in stages.of(chosen.run.pk)]
    return [
        Option(str(step.key), step.name or components.of(step).label, step.key == chosen.step)
        for step in found
        if step
    ]


def _webhooks(chosen: Filter) -> list[Option]:
    names = Webhook.objects.filter(workspace=chosen.workspace).order_by("name")
    current = chosen.webhook.pk if chosen.webhook else None
    return [Option(str(pk), name, pk == current) for pk, name in names.values_list("pk", "name")]


_FILLED: Final = {
    "default": gettext_lazy("Default for %(variable)s"),
    "blank": gettext_lazy("Nothing for %(variable)s"),
}


def _reasons(chosen: Filter) -> list[Option]:
    """Return why people were not accepted, and what was filled in, the commonest first.

    Without a run: why lately. What was filled in belongs to one step's variables.
    """
    if chosen.run is None:
        return _reasons_of_all(chosen)
    plan_ids = replace(chosen, webhook=None).plan_ids()
    definitions = dict(Plan.objects.filter(pk__in=plan_ids).values_list("pk", "definition"))
    labels: dict[str, str] = {}
    totals: dict[str, int] = {}
    for plan_id, counts in progress.counts(plan_ids).items():
        for key, count in counts.tallies.items():
            totals[key] = totals.get(key, 0) + count
            labels.setdefault(key, tally_label(key, definitions[plan_id]))
    if chosen.tally and chosen.tally not in totals:
        totals[chosen.tally] = 0
        definition: dict[str, Any] = next(iter(definitions.values()), {})
        labels[chosen.tally] = tally_label(chosen.tally, definition)
    ordered = sorted(totals, key=lambda key: -totals[key])
    return [Option(key, labels[key], key == chosen.tally) for key in ordered]


def _reasons_of_all(chosen: Filter) -> list[Option]:
    found = progress.reasons_lately(chosen.plan_ids())
    if chosen.tally and chosen.tally not in found:
        found.append(chosen.tally)
    return [Option(key, tally_label(key, {}), key == chosen.tally) for key in found]


def tally_label(tally: str, definition: dict[str, Any]) -> str:
    """Return a key of ``Chunk.tallies`` as people read it; with no definition, of any step."""
    kind, _colon, rest = tally.partition(":")
    if kind in _FILLED:
        return str(_FILLED[kind]) % {"variable": "${" + rest.rpartition(":")[2] + "}"}
    return words.reason(rest, definition) if definition else str(reason_sentence(rest))
