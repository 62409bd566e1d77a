"""Telling the webhooks app which journeys use which webhook, since it cannot look upward."""

from typing import Final

from journeys import components
from journeys.choices import RunState
from journeys.component import Needs
from journeys.definition import Document
from journeys.models import Journey, JourneyVersion
from webhooks.models import Webhook, WebhookUse

# A version is live while a run of it is not over.
OPEN_STATES: Final = (RunState.SCHEDULED, RunState.PLANNING, RunState.RUNNING, RunState.PAUSED)


def sync(journey: Journey) -> None:
    """Make the rows of ``WebhookUse`` say what the draft and the live versions hold.

    Called in the transaction of every change of a draft, a publication and the end of a run.
    """
    live: dict[int, int] = {}
    versions = JourneyVersion.objects.filter(
        pk__in=journey.runs.filter(state__in=OPEN_STATES).order_by().values("version")
    )
    for version in versions:
        for webhook_id, number in needs_of(version.document).revisions:
            live[webhook_id] = min(number, live.get(webhook_id, number))
    used = needs_of(journey.draft).webhooks | live.keys()
    known = Webhook.objects.filter(workspace=journey.workspace_id, pk__in=used)
    rows = [
        WebhookUse(
            webhook_id=pk,
            journey_id=journey.pk,
            journey_name=journey.name,
            url=journey.get_absolute_url(),
            is_live=pk in live,
            live_revision=live.get(pk),
        )
        for pk in known.values_list("pk", flat=True)
    ]
    WebhookUse.objects.filter(journey_id=journey.pk).exclude(
        webhook__in=[row.webhook_id for row in rows]
    ).delete()
    WebhookUse.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["webhook", "journey_id"],
        update_fields=["journey_name", "url", "is_live", "live_revision"],
    )


def needs_of(document: dict[str, object]) -> Needs:
    """Return what all steps of a document need."""
    found = Needs()
    for step in Document.from_json(document):
        found |= components.of(step).needs(step.config)
    return found
