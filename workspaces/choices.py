from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from workspaces.points import Point


class Language(models.TextChoices):
    """The languages of the screens, each by its own name."""

    ENGLISH = "en", "English"
    CHINESE = "zh-hans", "简体中文"


class Preset(models.TextChoices):
    """The roles that every workspace has from the start."""

    ADMINISTRATOR = "administrator", _("Administrator")
    MARKETER = "marketer", _("Marketer")
    ANALYST = "analyst", _("Analyst")
    DEVELOPER = "developer", _("Developer")


PRESET_POINTS: Final[dict[Preset, frozenset[Point]]] = {
    Preset.ADMINISTRATOR: frozenset(Point),
    Preset.MARKETER: frozenset(
        {
            Point.REACH_MARKETING_WEBHOOK,
            Point.AUTOMATED_MARKETING,
            Point.PUBLISH_JOURNEYS,
            Point.VIEW_DELIVERIES,
            Point.REDELIVER,
        }
    ),
    Preset.ANALYST: frozenset({Point.VIEW_DELIVERIES}),
    Preset.DEVELOPER: frozenset(
        {Point.WEBHOOK_MANAGEMENT, Point.MANAGE_DATA, Point.VIEW_DELIVERIES}
    ),
}


class Scope(models.TextChoices):
    """What an API key may be used for."""

    EVENTS_WRITE = "events:write", _("Send events")


class Via(models.TextChoices):
    """The door through which an audited change came."""

    WEB = "web", _("Console")
    ADMIN = "admin", _("Set-up")
    COMMAND = "command", _("Command line")
    API = "api", _("API")
    SYSTEM = "system", _("System")
