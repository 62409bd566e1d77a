"""Numbered revisions of a webhook: parameters, ID types, body and content template, frozen.

A published version keeps its own revision, so an edit never changes a journey that runs.
Everything else about a webhook (URL, authentication, rate …) acts at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Sum
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webhooks.models import Chunk, Webhook, WebhookRevision, WebhookUse
from workspaces.sentences import listed

if TYPE_CHECKING:
    from workspaces.models import User


@dataclass(frozen=True, slots=True)
class Content:
    """What a revision freezes, as plain JSON."""

    parameters: list[dict[str, Any]]
    id_types: list[dict[str, Any]]
    body: Any
    content_template: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What one revision has that the one before had not; parameters by name, ID types by code."""

    added_required: tuple[str, ...] = ()
    added_constant: tuple[str, ...] = ()
    added_optional: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    now_required: tuple[str, ...] = ()
    removed_id_types: tuple[str, ...] = ()
    added_id_types: tuple[str, ...] = ()
    # Labels, help, limits, choices, order, constant values, body or content template.
    details: bool = False

    def __bool__(self) -> bool:
        return self != Difference()

    @property
    def needs_attention(self) -> bool:
        """Tell whether a draft made for the older revision has something to mend."""
        return bool(
            self.added_required
            or self.removed
            or self.retyped
            or self.now_required
            or self.removed_id_types
        )

    @property
    def update_available(self) -> bool:
        """Tell whether a live journey that keeps the older revision should be published anew."""
        return self.needs_attention or bool(self.added_constant)

    @property
    def sentences(self) -> list[str]:
        """Return what changed, one full sentence each."""
        told = [
            (_("New required parameters: %(names)s."), self.added_required),
            (_("New constant parameters: %(names)s."), self.added_constant),
            (_("New optional parameters: %(names)s."), self.added_optional),
            (_("Removed parameters: %(names)s."), self.removed),
            (_("Parameters of another type: %(names)s."), self.retyped),
            (_("Parameters that are required now: %(names)s."), self.now_required),
            (_("Removed ID types: %(names)s."), self.removed_id_types),
            (_("New ID types: %(names)s."), self.added_id_types),
        ]
        sentences = [text % {"names": listed(names)} for text, names in told if names]
        if self.details:
            sentences.append(_("Texts, limits, choices or order of the parameters changed."))
        return sentences


@dataclass(frozen=True, slots=True)
class AffectedJourney:
    """One journey that uses the webhook, and what an edit does to it."""

    journey_id: int
    name: str
    url: str
    is_live: bool
    waiting: int
    happens: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What an edit does to the journeys that use the webhook."""

    difference: Difference
    journeys: tuple[AffectedJourney, ...] = ()
    waiting: int = 0

    def __bool__(self) -> bool:
        return bool(self.journeys)

    @property
    def sentence(self) -> str:
        """Return the line above the list, like “Affects 4 journeys, 1,204 people waiting”."""
        journeys = ngettext(
            "Affects %(count)s journey",
            "Affects %(count)s journeys",
            len(self.journeys),
        ) % {"count": grouped(len(self.journeys))}
        people = ngettext("%(count)s person waiting", "%(count)s people waiting", self.waiting) % {
            "count": grouped(self.waiting)
        }
        return _("%(journeys)s, %(people)s") % {"journeys": journeys, "people": people}


def grouped(number: int) -> str:
    """Return the number as it stands on a screen, with its thousands apart."""
    return number_format(number, force_grouping=True)


def content_of(webhook: Webhook) -> Content:
    """Return what a revision made now would freeze."""
    parameters = webhook.parameters.select_related("choice_list").prefetch_related(
        "choice_list__choices"
    )
    id_types = webhook.id_types.order_by("priority", "pk")
    return Content(
        parameters=[parameter.frozen() for parameter in parameters],
        id_types=[
            {"id": id_type.pk, "code": id_type.code, "name": id_type.name} for id_type in id_types
        ],
        body=webhook.body,
        content_template=webhook.content_template,
    )


def content_in(revision: WebhookRevision) -> Content:
    return Content(
        parameters=revision.parameters,
        id_types=revision.id_types,
        body=revision.body,
        content_template=revision.content_template,
    )


def freeze(*, webhook: Webhook, actor: "User | None") -> WebhookRevision:
    """Return the webhook's revision as stored now: a new one only when something differs.

    Two saves at once get two numbers: the webhook's row is the lock.
    """
    with transaction.atomic():
        locked = Webhook.objects.select_for_update().get(pk=webhook.pk)
        content = content_of(locked)
        last = locked.revisions.order_by("-number").first()
        if last and content_in(last) == content:
            webhook.revision = last.number
            return last
        made = WebhookRevision.objects.create(
            webhook=locked,
            number=last.number + 1 if last else 1,
            parameters=content.parameters,
            id_types=content.id_types,
            body=content.body,
            content_template=content.content_template,
            created_by=actor,
        )
        Webhook.objects.filter(pk=webhook.pk).update(revision=made.number)
    webhook.revision = made.number
    return made


def latest(webhook: Webhook) -> WebhookRevision | None:
    """Return the newest revision; None only before the first save."""
    return webhook.revisions.order_by("-number").first()


def compare(old: Content, new: Content) -> Difference:
    """Return what differs between two contents of one webhook."""
    before = {parameter["name"]: parameter for parameter in old.parameters}
    after = {parameter["name"]: parameter for parameter in new.parameters}
    added = [parameter for name, parameter in after.items() if name not in before]
    kept = [(before[name], parameter) for name, parameter in after.items() if name in before]
    old_types = {id_type["id"]: id_type["code"] for id_type in old.id_types}
    new_types = {id_type["id"]: id_type["code"] for id_type in new.id_types}
    named = {
        "added_required": _names(p for p in added if p["required"] and not p["is_constant"]),
        "added_constant": _names(p for p in added if p["is_constant"]),
        "added_optional": _names(p for p in added if not (p["required"] or p["is_constant"])),
        "removed": tuple(name for name in before if name not in after),
        "retyped": _names(now for was, now in kept if was["type"] != now["type"]),
        "now_required": _names(now for was, now in kept if _asked_for(now) and not _asked_for(was)),
        "removed_id_types": tuple(code for pk, code in old_types.items() if pk not in new_types),
        "added_id_types": tuple(code for pk, code in new_types.items() if pk not in old_types),
    }
    return Difference(**named, details=not any(named.values()) and old != new)


def between(webhook: Webhook, older: int, newer: int | None = None) -> Difference:
    """Return what differs between two revisions by number; ``newer`` None means the newest.

    Raises:
        WebhookRevision.DoesNotExist: there is no such revision.
    """
    newer = webhook.revision if newer is None else newer
    found = {row.number: row for row in webhook.revisions.filter(number__in=[older, newer])}
    if missing := {older, newer} - found.keys():
        raise WebhookRevision.DoesNotExist(f"Webhook {webhook.pk} has no revision {missing}.")
    return compare(content_in(found[older]), content_in(found[newer]))


def outdated(made_with: Iterable[tuple[Webhook, int]]) -> dict[tuple[int, int], Difference]:
    """Return, by webhook and older revision, what differs from the newest; in one query at most."""
    stale = {(webhook, number) for webhook, number in made_with if number != webhook.revision}
    if not stale:
        return {}
    rows = WebhookRevision.objects.filter(webhook__in={webhook for webhook, _number in stale})
    contents = {(row.webhook_id, row.number): content_in(row) for row in rows}
    found: dict[tuple[int, int], Difference] = {}
    for webhook, number in stale:
        old = contents.get((webhook.pk, number))
        new = contents.get((webhook.pk, webhook.revision))
        if old and new:
            found[webhook.pk, number] = compare(old, new)
    return found


def effect(*, webhook: Webhook, difference: Difference) -> Effect:
    """Return what the difference does to each journey that uses the webhook, live ones first."""
    waiting = people_waiting(webhook)
    uses = webhook.uses.order_by("-is_live", "journey_name")
    return Effect(
        difference=difference,
        waiting=sum(waiting.values()),
        journeys=tuple(
            AffectedJourney(
                journey_id=use.journey_id,
                name=use.journey_name,
                url=use.url,
                is_live=use.is_live,
                waiting=waiting.get(use.journey_name, 0),
                happens=_what_happens(use, difference),
            )
            for use in uses
        ),
    )


def people_waiting(webhook: Webhook) -> dict[str, int]:
    """Return how many people wait to be sent to through the webhook, by the journey's label.

    Counted from the chunks, so that it costs the same with a million people.
    """
    rows = (
        Chunk.objects.filter(webhook=webhook, queued__gt=0)
        .order_by()
        .values_list("plan", "plan__labels")
        .annotate(people=Sum("queued"))
    )
    found: dict[str, int] = {}
    for _plan, labels, people in rows:
        journey = str(labels.get("journey", ""))
        found[journey] = found.get(journey, 0) + people
    return found


def _what_happens(use: WebhookUse, difference: Difference) -> str:
    if use.is_live and difference.update_available:
        return _(
            "Goes on as published and is marked “Update available”; publish it again to "
            "use the new parameters."
        )
    if use.is_live:
        return _("Goes on as published; nothing has to be done.")
    if difference.needs_attention:
        return _("The draft is marked “Needs attention” until its step is completed.")
    return _("The draft takes the change over when its step is opened.")


def _asked_for(parameter: Mapping[str, Any]) -> bool:
    """Tell whether a marketer must give the parameter a value."""
    return bool(parameter["required"] and not parameter["is_constant"])


def _names(parameters: Any) -> tuple[str, ...]:
    found: Sequence[str] = [parameter["name"] for parameter in parameters]
    return tuple(found)
