"""What one event must look like, in a file and in the live API alike."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.utils.translation import gettext as _

from identity.models.events import MAX_EVENT_ID_LENGTH
from identity.normalising import InvalidValueError
from identity.typed_values import from_json, from_text
from workspaces.models import Workspace


class InvalidItemError(ValueError):
    """What is wrong with an event: a full sentence, the field it is about, and a code."""

    def __init__(self, message: str, *, field: str, code: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


@dataclass(frozen=True, slots=True)
class KnownType:
    """An event type with its attributes' types by code."""

    pk: int
    code: str
    attributes: Mapping[str, str]
    required: frozenset[str]


def types_of(workspace: Workspace) -> dict[str, KnownType]:
    """Return the workspace's event types by code, read in one statement."""
    rows = workspace.event_types.order_by("pk", "attributes__pk").values_list(
        "pk", "code", "attributes__code", "attributes__type", "attributes__required"
    )
    types: dict[str, KnownType] = {}
    for (pk, code), found in groupby(rows, itemgetter(0, 1)):
        attributes = [(name, kind, needed) for *_, name, kind, needed in found if name]
        types[code] = KnownType(
            pk,
            code,
            {name: kind for name, kind, _needed in attributes},
            frozenset(name for name, _kind, needed in attributes if needed),
        )
    return types


def find_type(types: Mapping[str, KnownType], code: Any) -> KnownType:
    if isinstance(code, str) and code in types:
        return types[code]
    if code is None or code == "":
        raise InvalidItemError(
            _("The event type is missing."), field="event_type", code="unknown_event_type"
        )
    raise InvalidItemError(
        _("There is no event type “%(code)s”.") % {"code": str(code)[:64]},
        field="event_type",
        code="unknown_event_type",
    )


def event_id(value: Any) -> str:
    """Return the id that makes an event the same one when it is reported again."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InvalidItemError(
            _("The event id is missing."), field="event_id", code="invalid_event_id"
        )
    name = value.strip()
    if len(name) > MAX_EVENT_ID_LENGTH or not name.isprintable():
        raise InvalidItemError(
            _("An event id has at most 100 characters, none of them control characters."),
            field="event_id",
            code="invalid_event_id",
        )
    return name


def attributes(known: KnownType, values: Any, *, is_text: bool, zone: tzinfo) -> str:
    """Return an event's attributes as JSON; empty cells and nulls are left out.

    ``is_text`` reads the values as the cells of a CSV file do.
    """
    if values is None or values == "":
        values = {}
    if not isinstance(values, dict):
        raise InvalidItemError(
            _("“attributes” must be an object."), field="attributes", code="invalid_attribute"
        )
    parse = from_text if is_text else from_json
    kept: dict[str, Any] = {}
    for code, value in values.items():
        if value is None or value == "":
            continue
        if code not in known.attributes:
            raise InvalidItemError(
                _("The event type “%(type)s” has no attribute “%(code)s”.")
                % {"type": known.code, "code": str(code)[:64]},
                field=str(code)[:64],
                code="unknown_attribute",
            )
        try:
            kept[code] = parse(value, value_type=known.attributes[code], zone=zone)
        except InvalidValueError as error:
            raise InvalidItemError(
                _("“%(code)s” %(must)s.") % {"code": code, "must": error},
                field=code,
                code="invalid_attribute",
            ) from None
    if missing := sorted(known.required - kept.keys()):
        raise InvalidItemError(
            _("The attribute “%(code)s” is missing.") % {"code": missing[0]},
            field=missing[0],
            code="missing_attribute",
        )
    return json.dumps(kept, ensure_ascii=False)
