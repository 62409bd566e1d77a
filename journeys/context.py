"""Loading what documents speak of, each table once, whatever the number of documents and steps."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from django.db.models import F, Q

from identity.models import EventAttribute
from journeys import components
from journeys.component import Context, Needs
from journeys.definition import Document
from webhooks import grants
from webhooks.choices import SecretKind
from webhooks.models import Webhook, WebhookRevision, WebhookSecret
from workspaces.models import User, Workspace


def load(
    *,
    workspace: Workspace,
    documents: Sequence[Document],
    now: datetime,
    user: User | None = None,
) -> Context:
    """Return the context of the first document, with the objects of all of them.

    Args:
        user: whose rights the rules look at; None asks about nobody's.
    """
    needs = _needs(documents)
    webhooks = {
        webhook.pk: webhook
        for webhook in Webhook.objects.filter(
            workspace=workspace, pk__in=needs.webhooks
        ).select_related("control")
    }
    attributes: dict[int, list[EventAttribute]] = {pk: [] for pk in needs.event_types}
    for attribute in EventAttribute.objects.filter(
        event_type__workspace=workspace, event_type__in=needs.event_types
    ).order_by("pk"):
        attributes[attribute.event_type_id].append(attribute)
    context = Context(
        workspace=workspace,
        now=now,
        webhooks=webhooks,
        revisions=_revisions(needs),
        with_aes_key=set(
            WebhookSecret.objects.filter(
                Q(valid_until__isnull=True) | Q(valid_until__gt=now),
                webhook__in=webhooks,
                kind=SecretKind.AES,
            ).values_list("webhook_id", flat=True)
        ),
        audiences=workspace.audiences.in_bulk(list(needs.audiences)),
        event_types=workspace.event_types.in_bulk(list(needs.event_types)),
        attributes={pk: tuple(found) for pk, found in attributes.items()},
        id_types={id_type.pk: id_type for id_type in workspace.id_types.order_by("priority")},
        tags={tag.code: tag for tag in workspace.tags.order_by("name", "code")},
        gates=grants.gates(user, list(webhooks.values()), workspace) if user else {},
    )
    return of(context, documents[0]) if documents else context


def of(context: Context, document: Document) -> Context:
    """Return the context of another document, one of those it was loaded for."""
    context = replace(context, document=document, sources=())
    if document.start is None:
        return context
    start = components.start_of(document.start)
    return replace(context, sources=tuple(start.sources(document.start, context)))


def _needs(documents: Iterable[Document]) -> Needs:
    found = Needs()
    for document in documents:
        for step in document:
            found |= components.of(step).needs(step.config)
    return found


def _revisions(needs: Needs) -> dict[tuple[int, int], WebhookRevision]:
    """Read the newest revision of each webhook, and those that steps were made with."""
    wanted = Q(number=F("webhook__revision"))
    for webhook_id, number in needs.revisions:
        wanted |= Q(webhook=webhook_id, number=number)
    rows = WebhookRevision.objects.filter(wanted, webhook__in=needs.webhooks)
    return {(row.webhook_id, row.number): row for row in rows}
