"""What the change of a webhook asks of the journeys that use it, as their pages and the list say.

A published version keeps its own revision of each webhook, so it goes on; only a draft that was
made for an older one, or a webhook that is disabled, keeps people from being sent to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from journeys import uses
from journeys.models import Journey
from webhooks import revisions
from webhooks.choices import WebhookState
from webhooks.models import WebhookUse


@dataclass(frozen=True, slots=True)
class Mark:
    """A label, and the sentence that says why it is there and what to do."""

    label: str
    sentence: str
    tone: str

    @property
    def text(self) -> str:
        return _("%(label)s: %(sentence)s") % {"label": self.label, "sentence": self.sentence}


def marks_of(journeys: Sequence[Journey]) -> dict[int, list[Mark]]:
    """Return the marks of each journey that has some, in two queries for all of them."""
    drafts = {
        journey.pk: dict(uses.needs_of(journey.draft).revisions)
        for journey in journeys
        if not journey.is_archived
    }
    rows = list(
        WebhookUse.objects.filter(journey_id__in=drafts)
        .select_related("webhook__control")
        .order_by("webhook__name", "pk")
    )
    kept = {use: _revision_kept(use, drafts[use.journey_id]) for use in rows}
    outdated = revisions.outdated(
        (use.webhook, number) for use, number in kept.items() if number is not None
    )
    found: dict[int, list[Mark]] = {}
    for use, number in kept.items():
        difference = outdated.get((use.webhook_id, number or 0), revisions.Difference())
        if marks := list(_marks(use, difference)):
            found.setdefault(use.journey_id, []).extend(marks)
    return found


def _revision_kept(use: WebhookUse, of_draft: dict[int, int]) -> int | None:
    """Return which revision the live version was published with, or else the draft drawn for."""
    return use.live_revision if use.is_live else of_draft.get(use.webhook_id)


def _marks(use: WebhookUse, difference: revisions.Difference) -> Iterator[Mark]:
    name = {"webhook": use.webhook.name}
    if use.is_live and use.webhook.control.state == WebhookState.DISABLED:
        yield Mark(
            _("Needs attention"),
            _(
                "“%(webhook)s” is disabled, so nobody is sent to through it. Ask an administrator "
                "to enable it, or stop the journey."
            )
            % name,
            "amber",
        )
    if use.is_live and difference.update_available:
        yield Mark(
            _("Update available"),
            _(
                "“%(webhook)s” has changed; the journey goes on as published. Complete its step "
                "and publish again to use the change."
            )
            % name,
            "accent",
        )
    if not use.is_live and difference.needs_attention:
        yield Mark(
            _("Needs attention"),
            _("“%(webhook)s” has changed. Open its step and complete it.") % name,
            "amber",
        )
