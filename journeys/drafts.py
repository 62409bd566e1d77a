"""Editing a journey's draft. Every write names the revision it was made from, or is refused.

Who may edit is checked here, and both gates of every webhook that a write puts into a step
or whose step it changes.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from journeys import components, context, uses
from journeys.definition import Document, Step
from journeys.models import DraftChange, Journey, JourneyVersion
from webhooks import grants
from webhooks.models import Webhook
from workspaces import audit, permissions
from workspaces.models import User, Workspace
from workspaces.permissions import Point

MAX_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Written:
    """A write that was accepted. The journey that was passed in is up to date with it."""

    revision: int
    document: Document
    step: Step | None = None  # The one that was added, copied, moved or saved.


class StaleDraft(Exception):  # noqa: N818 - a name that says what happened
    """Somebody else wrote since the revision that a write was made from; nothing was changed."""

    def __init__(self, *, journey: Journey, change: DraftChange, key: UUID | None) -> None:
        """Describe it by ``change``: the latest one of the step ``key``, else the latest one."""
        super().__init__(journey.pk, change.revision)
        self.revision = journey.draft_revision
        self.document = Document.from_json(journey.draft)
        self.changed_by: User | None = change.changed_by
        self.changed_at: datetime = change.changed_at
        self.action: str = change.action
        self.step_key: UUID | None = change.step_key
        self.zone = journey.workspace.zone
        # Whether the very step that was to be written is what changed.
        self.is_same_step = key is not None and change.step_key == key

    @property
    def theirs(self) -> Step | None:
        """Return the step as it is now; None when it was deleted."""
        return self.document.step(self.step_key) if self.step_key else None

    @property
    def message(self) -> str:
        """Return a sentence like “Li Mei changed this step at 10:42.”"""
        at = timezone.localtime(self.changed_at, self.zone)
        shown = {
            "who": str(self.changed_by) if self.changed_by else _("Somebody"),
            "time": formats.time_format(at, "H:i"),
            "step": self.theirs.name if self.theirs else "",
        }
        if self.is_same_step and self.theirs is None:
            return _("%(who)s deleted this step at %(time)s.") % shown
        if self.is_same_step:
            return _("%(who)s changed this step at %(time)s.") % shown
        if shown["step"]:
            return _("%(who)s changed the step “%(step)s” at %(time)s.") % shown
        return _("%(who)s changed this journey at %(time)s.") % shown

    def __str__(self) -> str:
        return self.message


def differences(
    theirs: Step, mine_name: str, mine: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return what differs as ``{field: (theirs, mine)}``, parameters' values one by one."""
    left = _flat({"name": theirs.name, **theirs.config})
    right = _flat({"name": mine_name, **mine})
    return {
        field: (left.get(field), right.get(field))
        for field in {**left, **right}
        if left.get(field) != right.get(field)
    }


def taken(mine: Step, theirs: Step, field: str) -> Step:
    """Return my step with their value of one field that differs, a text with its variables."""
    if field == "name":
        return replace(mine, name=theirs.name)
    config, other = dict(mine.config), theirs.config
    kind, _colon, parameter = field.partition(":")
    if kind == "parameter":
        for part in ("values", "variables"):
            kept = {**(config.get(part) or {})}
            kept.pop(parameter, None)
            their = other.get(part) or {}
            config[part] = kept | ({parameter: their[parameter]} if parameter in their else {})
    elif field in other:
        config[field] = other[field]
    return replace(mine, config=config)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in config.items() if name not in ("values", "revision")}
    for name, value in (config.get("values") or {}).items():
        found[f"parameter:{name}"] = value
    return found


def create(
    *, workspace: Workspace, user: User, name: str, start: str = "audience", now: datetime
) -> Journey:
    """Make a journey that holds its start alone.

    Raises:
        ValidationError: the name is empty.
        PermissionDenied: the user may not edit journeys here.
    """
    component = components.start_of(Step(key=uuid.uuid4(), component=start))
    step = Step(key=uuid.uuid4(), component=start, config=component.new_config())
    return _create(workspace, user, name, Document(start=step), now, "created")


def duplicate(*, journey: Journey, user: User, name: str = "", now: datetime) -> Journey:
    """Make a new journey out of the draft of another, with steps of its own."""
    document = Document.from_json(journey.draft)
    require_gates(user, journey.workspace, document)
    name = name or _("%(name)s (copy)") % {"name": journey.name[:190]}
    return _create(journey.workspace, user, name, document.renewed(), now, "duplicated")


def _create(
    workspace: Workspace, user: User, name: str, document: Document, now: datetime, action: str
) -> Journey:
    permissions.require(user, workspace, Point.AUTOMATED_MARKETING)
    with transaction.atomic():
        journey = Journey.objects.create(
            workspace=workspace,
            name=_checked_name(name),
            draft=document.to_json(),
            created_by=user,
            changed_by=user,
        )
        DraftChange.objects.create(
            journey=journey,
            revision=0,
            document=journey.draft,
            name=journey.name,
            action=action,
            changed_by=user,
        )
        uses.sync(journey)
        audit.record(actor=user, workspace=workspace, action=f"journey.{action}", obj=journey)
    return journey


def add_step(
    *,
    journey: Journey,
    revision: int,
    user: User,
    component: str,
    after: UUID | None,
    now: datetime,
    config: Mapping[str, Any] | None = None,
    name: str = "",
) -> Written:
    """Add a step behind the one of the key ``after``; None puts it right behind the start.

    Raises:
        StaleDraft: somebody else wrote meanwhile.
        PermissionDenied: a right or a gate is missing; the message names it.
    """
    kind = components.COMPONENTS[component]
    step = Step(
        key=uuid.uuid4(), component=component, name=name, config=config or kind.new_config()
    )

    def change(document: Document) -> Document:
        if len(document.steps) >= MAX_STEPS:
            raise ValidationError(_("A journey has 100 steps at most."), "too_many_steps")
        return document.inserted(_refreshed(journey, document, step, now), after)

    return _write(journey, revision, user, "added", change, step.key, now, check=[step])


def save_step(
    *,
    journey: Journey,
    revision: int,
    user: User,
    key: UUID,
    name: str,
    config: Mapping[str, Any],
    now: datetime,
) -> Written:
    """Keep what the panel holds, complete or not; the start is saved like any step.

    Args:
        revision: the one that the panel was drawn from. What happened to other steps since
            then, as moving this one, hinders nobody.

    Raises:
        StaleDraft: somebody else changed this step meanwhile, or deleted it.
        PermissionDenied: a right is missing, or a gate of the webhook before or after.
    """
    before, revision = _untouched(journey, revision, key)
    step = replace(before, name=name.strip(), config=dict(config))

    def change(document: Document) -> Document:
        return document.replaced(_refreshed(journey, document, step, now))

    return _write(journey, revision, user, "saved", change, key, now, check=[before, step])


def change_start(
    *, journey: Journey, revision: int, user: User, component: str, now: datetime
) -> Written:
    """Let the journey start in another way; variables that this one lacks become unavailable."""
    step = Step(key=uuid.uuid4(), component=component)
    step = replace(step, config=components.start_of(step).new_config())
    return _write(
        journey,
        revision,
        user,
        "saved",
        lambda document: replace(document, start=step),
        step.key,
        now,
    )


def move_step(
    *, journey: Journey, revision: int, user: User, key: UUID, after: UUID | None, now: datetime
) -> Written:
    """Put a step behind another one; None puts it right behind the start."""
    step = _step(journey, revision, key)

    def change(document: Document) -> Document:
        return document if after == key else document.without(key).inserted(step, after)

    return _write(journey, revision, user, "moved", change, key, now)


def copy_step(
    *,
    journey: Journey,
    revision: int,
    user: User,
    key: UUID,
    now: datetime,
    after: UUID | None = None,
) -> Written:
    """Copy a step, behind itself or behind the one of the key ``after``."""
    step = _step(journey, revision, key)
    name = _("%(name)s (copy)") % {"name": step.name[:190]} if step.name else ""
    copy = replace(step, key=uuid.uuid4(), name=name)
    return _write(
        journey,
        revision,
        user,
        "copied",
        lambda document: document.inserted(copy, after or key),
        copy.key,
        now,
        check=[copy],
    )


def delete_step(
    *, journey: Journey, revision: int, user: User, key: UUID, now: datetime
) -> Written:
    """Take a step out; ``undo`` brings it back. The start cannot be deleted, only changed."""
    return _write(
        journey, revision, user, "deleted", lambda document: document.without(key), key, now
    )


def rename(*, journey: Journey, revision: int, user: User, name: str, now: datetime) -> Written:
    name = _checked_name(name)
    before = journey.name
    with transaction.atomic():
        written = _write(
            journey, revision, user, "renamed", lambda document: document, None, now, name=name
        )
        audit.record(
            actor=user,
            workspace=journey.workspace,
            action="journey.renamed",
            obj=journey,
            changes={"name": [before, name]},
        )
    return written


def undo(*, journey: Journey, revision: int, user: User, now: datetime) -> Written:
    """Take back the change that made ``revision``, as a new change; undoing that redoes it.

    What came after it has to be undone first.

    Raises:
        StaleDraft: the draft is not as that change left it.
        ValidationError: there is nothing before it.
    """
    undone = journey.changes.filter(revision=revision).first()
    before = journey.changes.filter(revision=revision - 1).first()
    if before is None or undone is None:
        raise ValidationError(_("There is nothing to undo."), "nothing_to_undo")
    latest = journey.changes.all()[0]
    if (latest.document, latest.name) == (undone.document, undone.name):
        revision = latest.revision
    restored = Document.from_json(before.document)
    current = Document.from_json(undone.document)
    brought_back = [step for step in restored if step != current.step(step.key)]
    return _write(
        journey,
        revision,
        user,
        "undone",
        lambda document: restored,
        undone.step_key,
        now,
        name=before.name,
        check=brought_back,
    )


def restore(
    *, journey: Journey, revision: int, user: User, version: JourneyVersion, now: datetime
) -> Written:
    """Put a published version into the draft; ``undo`` brings back what stood there.

    Raises:
        StaleDraft: somebody else wrote meanwhile.
        PermissionDenied: a right is missing, or a gate of a webhook that comes back.
    """
    document = Document.from_json(version.document)
    current = Document.from_json(journey.draft)
    brought_back = [step for step in document if step != current.step(step.key)]
    return _write(
        journey, revision, user, "restored", lambda _: document, None, now, check=brought_back
    )


def archive(*, journey: Journey, user: User, archived: bool = True) -> None:
    """Take a journey out of the list, or bring it back; what runs goes on."""
    permissions.require(user, journey.workspace, Point.AUTOMATED_MARKETING)
    with transaction.atomic():
        changed = Journey.objects.filter(pk=journey.pk, is_archived=not archived).update(
            is_archived=archived
        )
        if changed:
            action = "journey.archived" if archived else "journey.unarchived"
            audit.record(actor=user, workspace=journey.workspace, action=action, obj=journey)
    journey.is_archived = archived


def _write(
    journey: Journey,
    revision: int,
    user: User,
    action: str,
    change: Callable[[Document], Document],
    key: UUID | None,
    now: datetime,
    *,
    name: str | None = None,
    check: Iterable[Step] = (),
) -> Written:
    """Make one change by conditional UPDATE and remember the state it led to."""
    permissions.require(user, journey.workspace, Point.AUTOMATED_MARKETING)
    require_gates(user, journey.workspace, check)
    with transaction.atomic():
        current = Journey.objects.get(pk=journey.pk)
        if current.draft_revision != revision:
            raise stale(journey, key, revision)
        try:
            document = change(Document.from_json(current.draft))
        except KeyError:
            raise ValidationError(
                _("The step to put it behind is gone. Choose another place."), "step_gone"
            ) from None
        values = {
            "draft": document.to_json(),
            "draft_revision": revision + 1,
            "name": current.name if name is None else name,
            "changed_at": now,
            "changed_by": user,
        }
        if not Journey.objects.filter(pk=journey.pk, draft_revision=revision).update(**values):
            raise stale(journey, key, revision)
        for field, value in values.items():
            setattr(journey, field, value)
        DraftChange.objects.create(
            journey=journey,
            revision=revision + 1,
            document=journey.draft,
            name=journey.name,
            step_key=key,
            action=action,
            changed_by=user,
        )
        uses.sync(journey)
    return Written(revision + 1, document, document.step(key) if key else None)


def stale(journey: Journey, key: UUID | None, since: int = -1) -> StaleDraft:
    """Return the refusal of a write to ``key``, as the draft is now.

    Args:
        since: the revision that the write was made from; who wrote after it is named.
    """
    current = Journey.objects.select_related("workspace").get(pk=journey.pk)
    everything = current.changes.select_related("changed_by")
    changes = everything.filter(revision__gt=since)
    # A version that was put back may have changed any step.
    of_step = changes.filter(Q(step_key=key) | Q(action="restored")) if key else changes
    change = of_step.first() or changes.first() or everything[0]
    return StaleDraft(journey=current, change=change, key=key)


def _step(journey: Journey, revision: int, key: UUID) -> Step:
    """Return a step of the draft as it is stored.

    Raises:
        StaleDraft: the draft has moved on, perhaps without this step.
    """
    current = Journey.objects.get(pk=journey.pk)
    step = Document.from_json(current.draft).step(key)
    if current.draft_revision != revision or step is None:
        raise stale(journey, key, revision)
    return step


def _untouched(journey: Journey, revision: int, key: UUID) -> tuple[Step, int]:
    """Return a step that is as it was at ``revision``, and the revision that the draft has now.

    Raises:
        StaleDraft: the step has been changed since, or deleted.
    """
    current = Journey.objects.get(pk=journey.pk)
    step = Document.from_json(current.draft).step(key)
    if step is None or step != step_at(journey, revision, key):
        raise stale(journey, key, revision)
    return step, current.draft_revision


def step_at(journey: Journey, revision: int, key: UUID) -> Step | None:
    """Return a step as the draft had it at a revision; None when it was not in it."""
    change = journey.changes.filter(revision=revision).first()
    return Document.from_json(change.document).step(key) if change else None


def _refreshed(journey: Journey, document: Document, step: Step, now: datetime) -> Step:
    """Return the step as its component keeps it."""
    loaded = context.load(
        workspace=journey.workspace, documents=[replace(document, steps=(step,))], now=now
    )
    return components.of(step).refreshed(step, loaded)


def require_gates(user: User, workspace: Workspace, steps: Iterable[Step]) -> None:
    """Refuse a write to these steps.

    Raises:
        PermissionDenied: a gate of one of their webhooks is closed; it says which.
        ValidationError: one of their webhooks is gone.
    """
    wanted: set[int] = set()
    for step in steps:
        wanted |= components.of(step).needs(step.config).webhooks
    webhooks = list(Webhook.objects.filter(workspace=workspace, pk__in=wanted))
    if len(webhooks) < len(wanted):
        raise ValidationError(
            _("The chosen webhook no longer exists. Choose another one."), "webhook_gone"
        )
    for standing in grants.gates(user, webhooks, workspace).values() if webhooks else ():
        if not standing.open:
            raise PermissionDenied(standing.missing)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise ValidationError(_("Enter a name."), "required")
    if len(name) > 200:
        raise ValidationError(_("A name has 200 characters at most."), "too_long")
    return name
