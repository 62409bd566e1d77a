from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JourneysConfig(AppConfig):
    name = "journeys"
    verbose_name = _("Journeys")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from journeys import ending
        from webhooks.signals import deliveries_settled

        ending.register_notices()
        deliveries_settled.connect(_hint, dispatch_uid="journeys.hint")


def _hint(sender: object, **settled: Any) -> None:
    """Somebody may have to be handed on; the sweep finds them without this, only later."""
    from journeys import tasks

    tasks.hint()
