"""All that is known of one person, as a member may see it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import OperationalError

from identity import audience_rules, audiences, masking
from identity.choices import AudienceKind
from identity.models import Audience, AudienceMember, Event, IdType, Profile

IDS_SHOWN: Final = 200
EVENTS_SHOWN: Final = 20
# Somebody waits: for one audience, and for all of them together.
PATIENCE_FOR_ONE: Final = timedelta(seconds=5)
PATIENCE_FOR_ALL: Final = timedelta(seconds=20)


class Id(NamedTuple):
    """One value that one data source reported; masked as the reader has to see it."""

    id_type: IdType
    value: str
    source: str
    first_seen: datetime
    last_seen: datetime


class TagValue(NamedTuple):
    name: str
    type: str
    value: Any
    at: datetime | None


class Tags(NamedTuple):
    values: list[TagValue]
    hidden: int  # How many sensitive ones the reader may not see.


class Membership(NamedTuple):
    """Whether a person is in an audience; None when it took too long to find out."""

    audience: Audience
    is_in: bool | None


def ids(person: Profile, *, in_clear: bool) -> list[Id]:
    """Return the person's IDs by type, the one seen last first."""
    rows = person.identifiers.select_related("id_type", "data_source").order_by(
        "id_type__priority", "-last_seen", "value"
    )
    return [
        Id(
            each.id_type,
            masking.shown(each.value, each.id_type, in_clear=in_clear),
            each.data_source.name,
            each.first_seen,
            each.last_seen,
        )
        for each in rows[:IDS_SHOWN]
    ]


def tags(person: Profile, *, in_clear: bool) -> Tags:
    """Return the values of the person's tags, by the tags' names."""
    shown: list[TagValue] = []
    hidden = 0
    for tag in person.workspace.tags.order_by("name"):
        if tag.code not in person.tags:
            continue
        if tag.sensitive and not in_clear:
            hidden += 1
            continue
        seconds = person.tag_times.get(tag.code)
        at = datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
        shown.append(TagValue(tag.name, tag.type, person.tags[tag.code], at))
    return Tags(shown, hidden)


def events(qaids: Sequence[int]) -> list[Event]:
    """Return the latest events of a person, who is named by all QAIDs that they ever had."""
    found = Event.objects.filter(profile__in=qaids).select_related("event_type")
    return list(found.order_by("-occurred_at")[:EVENTS_SHOWN])


def memberships(person: Profile, *, now: datetime) -> list[Membership]:
    """Tell for each audience whether the person is in it now, within the patience of a page.

    The lists come from one query; rules are asked one by one, and what takes too long is left out.
    """
    found = list(person.workspace.audiences.select_related("workspace").order_by("name"))
    lists = set(AudienceMember.objects.filter(profile=person).values_list("audience_id", flat=True))
    until = time.monotonic() + PATIENCE_FOR_ALL.total_seconds()
    return [
        Membership(
            audience,
            audience.pk in lists
            if audience.kind == AudienceKind.LIST
            else _fits(audience, person, until=until, now=now),
        )
        for audience in found
    ]


def _fits(audience: Audience, person: Profile, *, until: float, now: datetime) -> bool | None:
    left = timedelta(seconds=until - time.monotonic())
    if left < timedelta(milliseconds=1):
        return None
    try:
        with audiences.patience(min(left, PATIENCE_FOR_ONE)):
            return audience_rules.contains(audience, person.qaid, now=now)
    except OperationalError:
        return None
