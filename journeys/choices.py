"""The closed lists of the journeys app."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class JourneyState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    SCHEDULED = "scheduled", _("Not started")
    RUNNING = "running", _("In progress")
    PAUSED = "paused", _("Paused")
    STOPPED = "stopped", _("Stopped")
    FINISHED = "finished", _("Finished")
    FAILED = "failed", _("Ended abnormally")


class RunState(models.TextChoices):
    SCHEDULED = "scheduled", _("Not started")
    # Not everybody has been handed over yet: for whoever looks the same as the next.
    PLANNING = "planning", _("In progress")
    RUNNING = "running", _("In progress")
    PAUSED = "paused", _("Paused")
    STOPPED = "stopped", _("Stopped")
    FINISHED = "finished", _("Finished")
    FAILED = "failed", _("Ended abnormally")
