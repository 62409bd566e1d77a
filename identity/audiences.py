"""Making and changing audiences, whatever page it is done on."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from identity import audience_rules
from identity.choices import AudienceKind
from identity.models import Audience, AudienceMember
from workspaces import audit
from workspaces.models import AuditEntry, User, Workspace

NAME_LENGTH: Final = 200
# Somebody waits for the number, and the database has others to serve.
PATIENCE: Final = timedelta(seconds=20)


class StaleAudienceError(Exception):
    """Somebody else changed it since it was shown."""


def find(workspace: Workspace, *, words: str) -> QuerySet[Audience]:
    found = Audience.objects.filter(workspace=workspace).select_related("created_by")
    return (found.filter(name__icontains=words) if words else found).order_by("name")


def sizes(audiences: Collection[Audience]) -> dict[int, int]:
    """Return how many people the lists among some audiences hold, in one query."""
    lists = [each.pk for each in audiences if each.kind == AudienceKind.LIST]
    members = AudienceMember.objects.filter(audience__in=lists).values_list("audience_id")
    return dict.fromkeys(lists, 0) | dict(members.annotate(size=Count("profile_id")))


def last_changed_by(audiences: Collection[Audience]) -> dict[int, str]:
    """Return who changed each of them last, as the audit trail tells; without an entry, nobody."""
    entries = (
        AuditEntry.objects.filter(
            object_type=Audience._meta.label_lower,
            object_id__in=[str(each.pk) for each in audiences],
        )
        .select_related("actor")
        .order_by("object_id", "-at", "-pk")
        .distinct("object_id")
    )
    return {int(each.object_id): str(each.actor or each.who) for each in entries}


@contextmanager
def patience(at_most: timedelta = PATIENCE) -> Iterator[None]:
    """Give up what is asked in this block after a while.

    Raises:
        OperationalError: it took longer.
    """
    is_within = connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('statement_timeout'),"
                " set_config('statement_timeout', %s, true)",
                [str(int(at_most.total_seconds() * 1000))],
            )
            before = cursor.fetchone()[0]
        yield
        if is_within:  # The transaction goes on, with the time that it had.
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])


def create(
    *,
    workspace: Workspace,
    name: str,
    kind: str,
    rules: Mapping[str, Any] | None = None,
    actor: User,
    now: datetime,
) -> Audience:
    """Make an audience.

    Raises:
        ValidationError: the name is empty or taken, or the rules make no sense.
    """
    audience = Audience(
        workspace=workspace,
        name=checked_name(name, workspace),
        kind=kind,
        rules=dict(rules) if rules is not None else None,
        created_by=actor,
        updated_at=now,
    )
    if kind == AudienceKind.RULES:
        audience_rules.validate(workspace, audience.rules)
    with transaction.atomic():
        audience.save()
        audit.record(actor=actor, workspace=workspace, action="audience.created", obj=audience)
    return audience


def change_rules(
    *,
    audience: Audience,
    rules: Mapping[str, Any],
    seen: datetime | None,
    actor: User,
    now: datetime,
) -> None:
    """Replace the rules of an audience.

    Args:
        seen: ``updated_at`` of what the change was made from; None changes whatever is there.

    Raises:
        ValidationError: the rules make no sense.
        StaleAudienceError: somebody else has changed them meanwhile; nothing is written.
    """
    audience_rules.validate(audience.workspace, rules)
    with transaction.atomic():
        locked = Audience.objects.select_for_update().get(pk=audience.pk)
        if seen is not None and locked.updated_at != seen:
            raise StaleAudienceError
        before, locked.rules, locked.updated_at = locked.rules, dict(rules), now
        locked.save(update_fields=["rules", "updated_at"])
        audit.record(
            actor=actor,
            workspace=audience.workspace,
            action="audience.rules_changed",
            obj=locked,
            changes={"rules": [before, locked.rules]},
        )
    audience.rules, audience.updated_at = locked.rules, now


def rename(*, audience: Audience, name: str, actor: User) -> None:
    """Rename an audience; raises ``ValidationError`` when the name is empty or taken."""
    before, audience.name = audience.name, checked_name(name, audience.workspace, but=audience)
    with transaction.atomic():
        audience.save(update_fields=["name"])
        audit.record(
            actor=actor,
            workspace=audience.workspace,
            action="audience.renamed",
            obj=audience,
            changes={"name": [before, audience.name]},
        )


def duplicate(*, audience: Audience, actor: User, now: datetime) -> Audience:
    """Make a copy under a name that is free; of a list, with its people."""
    with transaction.atomic():
        copy = Audience.objects.create(
            workspace=audience.workspace,
            name=_free_name(audience),
            kind=audience.kind,
            rules=audience.rules,
            created_by=actor,
            updated_at=now,
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO identity_audiencemember (audience_id, profile_id)"
                " SELECT %s, profile_id FROM identity_audiencemember WHERE audience_id = %s",
                [copy.pk, audience.pk],
            )
        audit.record(actor=actor, workspace=audience.workspace, action="audience.created", obj=copy)
    return copy


def _free_name(audience: Audience) -> str:
    taken = set(audience.workspace.audiences.values_list("name", flat=True))
    number = 1
    while True:
        ending = _(" (copy)") if number == 1 else _(" (copy %(number)d)") % {"number": number}
        name = audience.name[: NAME_LENGTH - len(ending)] + ending
        if name not in taken:
            return name
        number += 1


def delete(*, audience: Audience, actor: User) -> None:
    """Delete an audience and its list; whoever uses it is the caller's to ask."""
    with transaction.atomic():
        audit.record(
            actor=actor, workspace=audience.workspace, action="audience.deleted", obj=audience
        )
        with connection.cursor() as cursor:
            # By the database: a list may have a million people.
            cursor.execute(
                "DELETE FROM identity_audiencemember WHERE audience_id = %s", [audience.pk]
            )
        audience.delete()


def checked_name(name: str, workspace: Workspace, *, but: Audience | None = None) -> str:
    """Return the name as it is kept.

    Raises:
        ValidationError: it is empty, too long or another audience's; under the key ``name``.
    """
    name = name.replace("\x00", "").strip()
    others = workspace.audiences.filter(name=name)
    others = others.exclude(pk=but.pk) if but else others
    problem = ""
    if not name:
        problem = _("Enter a name.")
    elif len(name) > NAME_LENGTH:
        problem = _("A name has at most %(count)d characters.") % {"count": NAME_LENGTH}
    elif others.exists():
        problem = _("Another audience has this name.")
    if problem:
        raise ValidationError({"name": problem})
    return name
