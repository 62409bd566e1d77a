"""Finding, naming and erasing people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext as _

from identity import locks, masking, resolution
from identity.models import Identifier, IdType, Profile
from identity.normalising import InvalidValueError, normalise
from workspaces.models import Workspace

# A person is named by an ID of one of the first types; who has none of them, by any other.
NAMING_TYPES: Final = 5


class Named(NamedTuple):
    """A person as a list names them."""

    qaid: int  # The survivor's.
    label: str  # An ID, masked as the reader has to see it.


def find(workspace: Workspace, *, value: str, id_type: IdType | None = None) -> list[Profile]:
    """Return the people who have exactly this ID, the oldest first; of any type when none is given.

    A QAID finds its person too, and a merged one the person it was merged into.
    """
    types = [id_type] if id_type else list(workspace.id_types.enabled())
    wanted: list[tuple[int, str]] = []
    for candidate in types:
        try:
            normal = normalise(value, candidate.kind)
        except InvalidValueError:
            continue
        if normal:
            wanted.append((candidate.pk, normal))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT i.profile_id FROM identity_identifier i"
            " JOIN unnest(%s::bigint[], %s::text[]) AS wanted (id_type_id, value)"
            "   ON i.id_type_id = wanted.id_type_id AND i.value = wanted.value",
            [[pk for pk, _value in wanted], [normal for _pk, normal in wanted]],
        )
        qaids = {qaid for (qaid,) in cursor.fetchall()}
    if id_type is None and value.isascii() and value.isdigit() and len(value) < 19:
        qaids.add(int(value))
    found = Profile.objects.filter(workspace=workspace, qaid__in=qaids)
    survivors = {profile.merged_into_id or profile.qaid for profile in found}
    return list(Profile.objects.filter(workspace=workspace, qaid__in=survivors).order_by("qaid"))


def name(qaids: Sequence[int], *, id_types: Sequence[IdType], in_clear: bool) -> dict[int, Named]:
    """Return people by the QAIDs they are asked by, each named by the first known ID.

    Args:
        id_types: in the order in which they are looked at; disabled ones are left out.
    """
    enabled = [id_type for id_type in id_types if id_type.enabled]
    types, others = enabled[:NAMING_TYPES], enabled[NAMING_TYPES:]
    with connection.cursor() as cursor:
        found = resolution.read_people(
            cursor, qaids=qaids, id_type_ids=[id_type.pk for id_type in types], tag_codes=()
        )
    rest = _rarer(
        [person.profile for person in found if not any(person.ids)] if others else [], others
    )
    named = {}
    for person in found:
        known = ((value, kind) for value, kind in zip(person.ids, types, strict=True) if value)
        value, kind = next(known, rest.get(person.profile, ("", None)))
        label = masking.shown(value, kind, in_clear=in_clear) if kind else unnamed()
        named[person.qaid] = Named(person.profile, label)
    return named


def _rarer(qaids: Sequence[int], id_types: Sequence[IdType]) -> dict[int, tuple[str, IdType]]:
    """Return an ID of these types for each of the people, of the first type that there is."""
    if not qaids:
        return {}
    types = {id_type.pk: id_type for id_type in id_types}
    rows = Identifier.objects.filter(profile__in=qaids, id_type__in=types)
    # The last one written stays: the reverse order.
    rows = rows.order_by("-id_type__priority", "last_seen", "-value")
    return {
        qaid: (value, types[type_id])
        for qaid, value, type_id in rows.values_list("profile_id", "value", "id_type_id")
    }


def label(profile: Profile, *, in_clear: bool) -> str:
    """Return what one person is called."""
    id_types = list(profile.workspace.id_types.order_by("priority"))
    named = name([profile.qaid], id_types=id_types, in_clear=in_clear).get(profile.qaid)
    return named.label if named else unnamed()


def unnamed() -> str:
    """Return what somebody is called of whom no ID is known; the QAID is the code's."""
    return _("Person without an ID")


def former(profile: Profile) -> list[int]:
    """Return the QAID of a survivor and of all who were merged into it, the survivor's first."""
    return [profile.qaid, *profile.merged.order_by("qaid").values_list("qaid", flat=True)]


def erase(profile: Profile, *, now: datetime) -> None:
    """Forget everything that says who the person is; the QAID stays, so that counts hold.

    Events keep their QAID and lose their attributes. The engine cancels what is queued when it
    reads the person next.
    """
    with transaction.atomic():
        locks.exclusive(profile.workspace_id)
        survivor = Profile.objects.select_for_update().get(
            qaid=Profile.objects.get(pk=profile.pk).merged_into_id or profile.pk
        )
        former = [*survivor.merged.values_list("qaid", flat=True), survivor.qaid]
        with connection.cursor() as cursor:
            # By the identifiers, since keys have no index by person.
            cursor.execute(
                "DELETE FROM identity_mappingkey k USING identity_identifier i"
                " WHERE i.profile_id = %s AND k.id_type_id = i.id_type_id AND k.value = i.value",
                [survivor.qaid],
            )
        Identifier.objects.filter(profile=survivor).delete()
        survivor.tags, survivor.tag_times, survivor.erased_at = {}, {}, now
        survivor.save(update_fields=["tags", "tag_times", "erased_at"])
        with connection.cursor() as cursor:
            for table in ("identity_event", "identity_incomingevent"):
                cursor.execute(
                    f"UPDATE {table} SET attributes = '{{}}' WHERE profile_id = ANY(%s)",
                    [former],
                )
            cursor.execute(
                "DELETE FROM identity_audiencemember WHERE profile_id = ANY(%s)", [former]
            )
            cursor.execute(
                "DELETE FROM identity_mappingconflict"
                " WHERE kept_id = ANY(%s) OR other_id = ANY(%s)",
                [former, former],
            )
