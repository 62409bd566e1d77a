"""Times as they stand on screens: short, in the reader's language and the workspace's zone."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

register = template.Library()


@register.filter(expects_localtime=True)
def moment(value: datetime | None) -> str:
    """Return “3 Nov, 10:42” (“11月3日 10:42”), with the year when it is another one than now."""
    if not value:
        return ""
    parts = {"day": day(value), "time": date_format(value, "TIME_FORMAT")}
    return _("%(day)s, %(time)s") % parts


@register.filter(expects_localtime=True)
def day(value: datetime | None) -> str:
    """Return “3 Nov”, with the year when it is another one than now."""
    if not value:
        return ""
    same_year = value.year == timezone.localdate().year
    return date_format(value, "MONTH_DAY_FORMAT" if same_year else "DATE_FORMAT")


@register.filter(expects_localtime=True)
def in_full(value: datetime | None) -> str:
    """Return “3 Nov 2025, 10:42 (Asia/Shanghai)”."""
    if not value:
        return ""
    at = date_format(value, "DATETIME_FORMAT")
    return _("%(time)s (%(zone)s)") % {"time": at, "zone": timezone.get_current_timezone_name()}


@register.simple_tag
def zone() -> str:
    """Return the zone in which the page shows its times: “Asia/Shanghai (UTC+8)”."""
    name = timezone.get_current_timezone_name()
    if name == "UTC":
        return name
    minutes = round((timezone.localtime().utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    offset = f"{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"
    return _("%(zone)s (UTC%(offset)s)") % {"zone": name, "offset": offset}
