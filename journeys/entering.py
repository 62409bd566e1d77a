"""What events started: the journeys that each let its person into, and why others did not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from identity.models import EventAttribute, EventType, IncomingEvent
from journeys import enrolling
from journeys.components.event import EventConfig
from journeys.models import Enrollment, Run
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run did with one event."""

    run: Run
    why_not: str = ""  # A sentence; empty when the person was let in.

    @property
    def entered(self) -> bool:
        return not self.why_not


def listeners(event_types: Collection[EventType]) -> dict[int, list[Run]]:
    """Return the runs that listen now, by event type."""
    found: dict[int, list[Run]] = {event_type.pk: [] for event_type in event_types}
    for run in enrolling.listening(found):
        found[run.event_type_id or 0].append(run)
    return found


def outcomes(events: Sequence[IncomingEvent], workspace: Workspace) -> dict[int, list[Outcome]]:
    """Return what came of a page of events, by their keys; those who were let in first.

    An event that waits to be taken, or that nobody listened for, has none.
    """
    taken = [(event, event.taken_at) for event in events if event.taken_at]
    if not taken:
        return {}
    runs = _runs(taken, workspace)
    entered = set(
        Enrollment.objects.filter(
            run__in=runs, event_id__in=[event.event_id for event, _at in taken]
        ).values_list("run", "event_id")
    )
    judges = _judges(runs)
    found: dict[int, list[Outcome]] = {event.pk: [] for event, _at in taken}
    for event, at in taken:
        for judge in judges:
            if judge.run.event_type_id != event.event_type_id:
                continue
            if (judge.run.pk, event.event_id) in entered:
                found[event.pk].insert(0, Outcome(judge.run))
            elif judge.listened(at):
                found[event.pk].append(Outcome(judge.run, judge.why_not(event, at)))
    return found


def _runs(taken: Sequence[tuple[IncomingEvent, datetime]], workspace: Workspace) -> list[Run]:
    """Return the runs that listened while these events were taken."""
    times = [at for _event, at in taken]
    found = Run.objects.filter(
        Q(closed_at__isnull=True) | Q(closed_at__gt=min(times)),
        workspace=workspace,
        is_event=True,
        event_type__in={event.event_type_id for event, _at in taken},
        started_at__lte=max(times),
    )
    return list(found.select_related("version", "journey").order_by("pk"))


@dataclass(frozen=True, slots=True)
class _Judge:
    """One run, and what it listens for."""

    run: Run
    config: EventConfig
    types: Mapping[str, str]
    names: Mapping[str, str]

    def listened(self, at: datetime) -> bool:
        opened, closed = self.run.started_at, self.run.closed_at
        return bool(opened and opened <= at and (closed is None or at < closed))

    def why_not(self, event: IncomingEvent, taken_at: datetime) -> str:
        return why_not(
            self.run,
            self.config,
            event.attributes,
            taken_at=taken_at,
            types=self.types,
            names=self.names,
        )


def _judges(runs: Sequence[Run]) -> list[_Judge]:
    attributes = EventAttribute.objects.filter(event_type__in={run.event_type_id for run in runs})
    types: dict[int | None, dict[str, str]] = {run.event_type_id: {} for run in runs}
    names: dict[int | None, dict[str, str]] = {run.event_type_id: {} for run in runs}
    for each in attributes:
        types[each.event_type_id][each.code] = each.type
        names[each.event_type_id][each.code] = each.name
    return [
        _Judge(run, enrolling.start_config(run), types[run.event_type_id], names[run.event_type_id])
        for run in runs
    ]


def why_not(
    run: Run,
    config: EventConfig,
    attributes: Mapping[str, Any],
    *,
    taken_at: datetime,
    types: Mapping[str, str],
    names: Mapping[str, str],
) -> str:
    """Return why an event of the run's type let nobody in, to stand after a colon.

    Args:
        types, names: those of the event type's attributes, by code.
    """
    if run.started_at and taken_at < run.started_at:
        return _("the event came in before the journey listened.")
    if run.closed_at and taken_at >= run.closed_at:
        return _("the event came in after the journey had stopped listening.")
    if not config.matches(attributes, types):
        failed = [each for each in config.conditions if not each.holds(attributes, types)]
        shown = {"conditions": "; ".join(each.sentence(names, types) for each in failed)}
        return _("the event does not meet: %(conditions)s.") % shown
    return _("the re-entry rule keeps the person out: already entered before.")
