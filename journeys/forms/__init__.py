"""The panels' forms, by the code of their component."""

from typing import Final

from journeys.definition import Step
from journeys.forms.audience import AudienceForm
from journeys.forms.event import EventForm
from journeys.forms.panels import PanelForm
from journeys.forms.webhook import WebhookForm

FORMS: Final[dict[str, type[PanelForm]]] = {
    "audience": AudienceForm,
    "event": EventForm,
    "webhook": WebhookForm,
}


def of(step: Step) -> type[PanelForm]:
    return FORMS[step.component]
