"""Changing an ID type: what must hold before, and what is rewritten for it."""

from collections.abc import Iterator

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _

from identity import locks
from identity.models import Identifier, IdType
from identity.models.id_types import MAX_ID_TYPES, MAX_MAPPING_TYPES


def is_used(id_type: IdType) -> bool:
    """Tell whether anybody has a value of this type."""
    return Identifier.objects.filter(id_type=id_type).exists()


def validate(id_type: IdType) -> None:
    """Check what the ID type would be after saving.

    Raises:
        ValidationError: with one sentence for each thing that stands against it.
    """
    if errors := list(_errors(id_type)):
        raise ValidationError(errors)


def _errors(id_type: IdType) -> Iterator[ValidationError]:
    others = IdType.objects.filter(workspace=id_type.workspace_id).exclude(pk=id_type.pk)
    if not id_type.pk and others.count() >= MAX_ID_TYPES:
        yield ValidationError(_("A workspace has at most 50 ID types."), "too_many")
    if id_type.in_mapping and others.filter(in_mapping=True).count() >= MAX_MAPPING_TYPES:
        yield ValidationError(
            _("Five ID types take part in ID Mapping already. Take one of them out first."),
            "too_many_in_mapping",
        )
    if not id_type.pk:
        return
    before = IdType.objects.get(pk=id_type.pk)
    if id_type.kind != before.kind and is_used(before):
        yield ValidationError(
            _("People have values of this type, so its kind cannot change."), "kind_in_use"
        )
    if id_type.in_mapping and not before.in_mapping and (shared := _shared_values(id_type)):
        yield ValidationError(
            _(
                "%(count)d values belong to several people, so that this type cannot take part in "
                "ID Mapping."
            )
            % {"count": shared},
            "values_are_shared",
        )
    if before.multi_value and not id_type.multi_value and (people := _people_with_several(id_type)):
        yield ValidationError(
            _("%(count)d people have several values of this type, so it cannot be single.")
            % {"count": people},
            "people_have_several",
        )


def _shared_values(id_type: IdType) -> int:
    return _count(
        "SELECT value FROM identity_identifier WHERE id_type_id = %s"
        " GROUP BY value HAVING count(DISTINCT profile_id) > 1",
        id_type,
    )


def _people_with_several(id_type: IdType) -> int:
    return _count(
        "SELECT profile_id FROM identity_identifier WHERE id_type_id = %s"
        " GROUP BY profile_id HAVING count(DISTINCT value) > 1",
        id_type,
    )


def _count(select: str, id_type: IdType) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({select}) found", [id_type.pk])
        (number,) = cursor.fetchone()
    return int(number)


def save(id_type: IdType) -> None:
    """Save an ID type and make its values keys of ID Mapping, or no longer.

    Raises:
        ValidationError: like ``validate``; nothing is changed then.
    """
    with transaction.atomic():
        # Nobody reports a value of this type between the check and the keys.
        locks.exclusive(id_type.workspace_id)
        validate(id_type)
        before = IdType.objects.filter(pk=id_type.pk).first()
        id_type.save()
        if before is None or before.in_mapping == id_type.in_mapping:
            return
        with connection.cursor() as cursor:
            if id_type.in_mapping:
                cursor.execute(
                    "INSERT INTO identity_mappingkey (id_type_id, value, profile_id)"
                    " SELECT DISTINCT id_type_id, value, profile_id FROM identity_identifier"
                    " WHERE id_type_id = %s ON CONFLICT DO NOTHING",
                    [id_type.pk],
                )
            else:
                cursor.execute(
                    "DELETE FROM identity_mappingkey WHERE id_type_id = %s", [id_type.pk]
                )
