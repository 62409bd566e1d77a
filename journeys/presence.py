"""Who else has a journey open: its pages say so every 15 s, in the shared cache.

The cache holds keys of users and times alone; names are read when they are shown. Two pages
that say so at the same instant may overwrite each other: the next time puts it right.
"""

from datetime import datetime
from typing import Final

from django.core.cache import cache
from django.utils.translation import gettext as _

from journeys.models import Journey
from workspaces import permissions
from workspaces.models import User

BEAT_SECONDS: Final = 15
GONE_SECONDS: Final = 45


def beat(*, journey: Journey, user: User, now: datetime) -> list[str]:
    """Note that the user has the journey open, and return the names of the others who have.

    Whoever has left the workspace since is not among them.
    """
    key = f"journeys.open:{journey.pk}"
    at = now.timestamp()
    seen: dict[int, float] = cache.get(key) or {}
    seen = {pk: last for pk, last in seen.items() if last > at - GONE_SECONDS}
    others = [pk for pk in seen if pk != user.pk]
    cache.set(key, {**seen, user.pk: at}, GONE_SECONDS)
    if not others:
        return []
    found = User.objects.filter(pk__in=others, is_active=True)
    return sorted(
        each.name or _("Somebody")
        for each in found
        if permissions.workspaces_of(each).filter(pk=journey.workspace_id).exists()
    )
