"""Which journeys use which audience, for those who change one."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q

from identity.models import Audience
from journeys.choices import RunState
from journeys.models import Journey, JourneyVersion, Run
from journeys.uses import OPEN_STATES, needs_of
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class Use:
    """One journey that has the audience in its draft or in a version that is not over.

    ``takes_it_later``: a published version counts its people at a time that has not come.
    """

    journey: Journey
    takes_it_later: bool


def of(audiences: Collection[Audience], workspace: Workspace) -> dict[int, list[Use]]:
    """Return the uses of each of some audiences, by journey's name; archived drafts are none."""
    wanted = {each.pk for each in audiences}
    found: dict[int, dict[int, Use]] = {pk: {} for pk in wanted}
    if not wanted:
        return {}
    published: dict[int, list[tuple[bool, frozenset[int]]]] = {}
    runs = Run.objects.filter(workspace=workspace, state__in=OPEN_STATES)
    states = list(runs.values_list("version", "state"))
    later = {pk for pk, state in states if state == RunState.SCHEDULED}
    for version in JourneyVersion.objects.filter(pk__in=[pk for pk, _state in states]):
        used = needs_of(version.document).audiences & wanted
        published.setdefault(version.journey_id, []).append((version.pk in later, used))
    # The index on drafts finds those that hold one of the audiences.
    drafts = Q(pk__in=list(published))
    for pk in wanted:
        drafts |= Q(draft__contains={"start": {"config": {"audiences": [pk]}}}, is_archived=False)
    journeys = Journey.objects.filter(drafts, workspace=workspace).select_related("workspace")
    for journey in journeys.order_by("name"):
        in_draft = frozenset() if journey.is_archived else needs_of(journey.draft).audiences
        versions = published.get(journey.pk, [])
        for pk in wanted & in_draft.union(*(used for _later, used in versions)):
            takes_it_later = any(is_later and pk in used for is_later, used in versions)
            found[pk][journey.pk] = Use(journey, takes_it_later)
    return {pk: list(uses.values()) for pk, uses in found.items()}
