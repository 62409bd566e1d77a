"""Numbers and reasons as sentences, for the review, the run page and the list of versions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webhooks import plans
from webhooks.answers import reason_sentence
from workspaces.models import Workspace


def number(value: int) -> str:
    return str(formats.number_format(value, force_grouping=True))


def duration(seconds: float) -> str:
    """Return about how long something takes, in the largest unit that says enough."""
    minutes = round(seconds / 60)
    if seconds < 50:
        return _("less than a minute")
    if minutes < 90:
        found = ngettext("about %(count)d minute", "about %(count)d minutes", max(minutes, 1))
        return found % {"count": max(minutes, 1)}
    hours = round(seconds / 3600)
    if hours < 36:
        return ngettext("about %(count)d hour", "about %(count)d hours", hours) % {"count": hours}
    days = round(seconds / 86_400)
    return ngettext("about %(count)d day", "about %(count)d days", days) % {"count": days}


def left(seconds: float) -> str:
    """Return how long it still takes until something, to the second when that is soon."""
    count = max(1, round(seconds))
    if count < 90:
        return ngettext("%(count)d second", "%(count)d seconds", count) % {"count": count}
    return duration(seconds)


def expected_a_day(count: float) -> str:
    """Return how many a day would have entered last week."""
    if 0 < count < 1:
        return _("Fewer than 1 a day would have matched last week.")
    shown = {"count": number(round(count))}
    return _("About %(count)s a day would have matched last week.") % shown


def moment(at: datetime, workspace: Workspace, *, now: datetime) -> str:
    """Return a time with its zone, as “3 Dec, 09:00 (Asia/Shanghai)”; the year when it differs."""
    local = timezone.localtime(at, workspace.zone)
    same_year = local.year == timezone.localtime(now, workspace.zone).year
    day = formats.date_format(local, "MONTH_DAY_FORMAT" if same_year else "DATE_FORMAT")
    time = formats.date_format(local, "TIME_FORMAT")
    words = _("%(day)s, %(time)s") % {"day": day, "time": time}
    return _("%(time)s (%(zone)s)") % {"time": words, "zone": workspace.time_zone}


def reason(code: str, definition: Mapping[str, Any]) -> str:
    """Return why people of one step were skipped or failed; an ID type is named."""
    for missing, kind in (("no_id", "id_type"), ("no_reach_id", "reach_id_type")):
        if code == missing:
            shown = {"id_type": plans.id_type_name(definition[kind])}
            return _("No %(id_type)s known in any data source.") % shown
    return str(reason_sentence(code))
