"""Columns of times, where the same moment often stands in many lines."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from django.utils.translation import gettext as _

from identity.importing.chunks import Chunk
from identity.typed_values import parse_time

# Another machine's clock may be ahead of ours by this much.
CLOCK_SKEW: Final = timedelta(minutes=5)


def stage_times(
    chunk: Chunk, name: str, *, zone: tzinfo, now: datetime, required: bool = False
) -> Sequence[str]:
    """Return a column of times as PostgreSQL reads them; where there is none, ``now``.

    A line with something else, or with a time that is still to come, is left out.
    """
    column = chunk.column(name)
    latest = now + CLOCK_SKEW
    this_moment = now.isoformat()
    if not required and name not in chunk.columns:
        return [this_moment] * len(chunk.lines)
    known: dict[object, str | None] = {}
    staged: list[str] = []
    for place, value in enumerate(column):
        if value is None or value == "":
            staged.append(this_moment)
            if required:
                chunk.reject(place, name, _("The time is missing."), "invalid_time")
            continue
        if not isinstance(value, str):
            staged.append("")
            chunk.reject(place, name, _not_a_time(), "invalid_time")
            continue
        if value not in known:
            known[value] = _parse(value, zone, latest)
        moment = known[value]
        if moment is None:
            chunk.reject(place, name, _not_a_time(), "invalid_time")
        elif moment == "":
            chunk.reject(place, name, _("The time lies in the future."), "in_future")
        staged.append(moment or "")
    return staged


def _not_a_time() -> str:
    return _("A time must look like 2026-11-24 or 2026-11-24T10:00:00+08:00.")


def _parse(value: str, zone: tzinfo, latest: datetime) -> str | None:
    """Return "" for a time to come and None for no time."""
    try:
        moment = parse_time(value, zone)
    except (ValueError, OverflowError):
        return None
    return moment.isoformat() if moment <= latest else ""
