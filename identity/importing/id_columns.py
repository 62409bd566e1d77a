"""The ID columns of a file: which there are, and their values in one spelling."""

import difflib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.utils.translation import gettext as _

from identity.importing.chunks import Chunk
from identity.importing.report import ImportFileError
from identity.models import IdType
from identity.normalising import InvalidValueError, normalise, normalise_column
from identity.staging import SLOTS
from workspaces.models import Workspace
from workspaces.sentences import joined, listed

_NONE = ""


@dataclass(frozen=True, slots=True)
class IdColumns:
    """The workspace's enabled ID types by code, those in ID Mapping by their slot."""

    types: dict[str, IdType]
    mapping: list[IdType]
    disabled: frozenset[str]

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        every = list(workspace.id_types.order_by("priority"))
        enabled = {id_type.code: id_type for id_type in every if id_type.enabled}
        mapping = [id_type for id_type in enabled.values() if id_type.in_mapping]
        disabled = frozenset(id_type.code for id_type in every if not id_type.enabled)
        return cls(enabled, mapping, disabled)

    def found_in(self, columns: Iterable[str]) -> list[IdType]:
        return [self.types[name] for name in columns if name in self.types]

    def slots_of(self, types: Iterable[IdType]) -> list[int]:
        """Return the slots (1 is v1) of those types that are in ID Mapping."""
        return sorted(self.mapping.index(id_type) + 1 for id_type in types if id_type.in_mapping)

    def complain(self, name: str, known: Collection[str]) -> str:
        """Return why a column cannot be here, and what to do."""
        if name in self.disabled:
            return _("The ID type “%(name)s” is disabled. Enable it, or remove its column.") % {
                "name": name
            }
        every = [*self.types, *known]
        sentence = _("“%(name)s” is not known here.") % {"name": name}
        if close := difflib.get_close_matches(name, every, 1, 0.7) or [
            code for code in every if code.lower() == name.lower()
        ]:
            return joined([sentence, _("Did you mean “%(name)s”?") % {"name": close[0]}])
        return joined([sentence, _("Known are: %(columns)s.") % {"columns": listed(every[:20])}])

    def check_header(self, columns: Sequence[str], known: Collection[str]) -> None:
        """Refuse a header with an unknown column or without an ID column."""
        for name in columns:
            if name not in self.types and name not in known:
                raise ImportFileError(self.complain(name, known))
        if not self.found_in(columns):
            raise ImportFileError(
                _("The file has no ID column. Name one of its columns %(codes)s.")
                % {"codes": listed(list(self.types)[:20])}
            )

    def reject_unknown(self, chunk: Chunk, known: Collection[str]) -> None:
        """Leave out JSON lines that name something else."""
        for name, column in chunk.columns.items():
            if name not in self.types and name not in known:
                reason = self.complain(name, known)
                for place, value in enumerate(column):
                    if value != "":
                        chunk.reject(place, name, reason, "unknown_field")

    def stage(self, chunk: Chunk) -> tuple[list[Sequence[str]], Sequence[str | None]]:
        """Return the columns v1 … v5 and ``others`` of the staging table.

        A line with a value that its ID type does not accept, or without any ID, is left out.
        """
        empty = [_NONE] * len(chunk.lines)
        slots: list[Sequence[str]] = [empty for _slot in SLOTS]
        others: list[tuple[str, list[str]]] = []
        for id_type in self.found_in(chunk.columns):
            values = self._normalise(chunk, id_type)
            if id_type.in_mapping:
                slots[self.mapping.index(id_type)] = values
            else:
                others.append((str(id_type.pk), values))
        self._reject_without_id(chunk, [*slots, *(values for _pk, values in others)])
        return slots, _as_objects(others, len(chunk.lines))

    def _normalise(self, chunk: Chunk, id_type: IdType) -> list[str]:
        column = chunk.columns[id_type.code]
        if not chunk.is_text:
            column = [_cell(value) for value in column]
        values = normalise_column(column, id_type.kind)
        if None in values:
            for place, value in enumerate(values):
                if value is None:
                    reason = _complaint(column[place], id_type)
                    chunk.reject(place, id_type.code, reason, "invalid_id")
        return [value or _NONE for value in values] if None in values else values  # type: ignore[return-value] # no None here

    @property
    def no_id(self) -> str:
        return _("No ID says whose this is.")

    def _reject_without_id(self, chunk: Chunk, columns: Sequence[Sequence[str]]) -> None:
        for place, values in enumerate(zip(*columns, strict=True)):
            if not any(values):
                chunk.reject(place, "", self.no_id, "missing_user_id")


def _cell(value: Any) -> str:
    """Return a JSON value as the text of an ID: digits may come as a number."""
    if value is None:
        return _NONE
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return "\x00"  # No ID type accepts it.


def _complaint(value: str, id_type: IdType) -> str:
    if "\x00" in value:
        return _("An ID must be a text.")
    try:
        normalise(value, id_type.kind)
    except InvalidValueError as error:
        return str(error)
    raise AssertionError("normalise_column() refused what normalise() accepts")


def _as_objects(others: Sequence[tuple[str, Sequence[str]]], size: int) -> Sequence[str | None]:
    if not others:
        return [None] * size
    keys = [key for key, _values in others]
    return [
        json.dumps({key: value for key, value in zip(keys, row, strict=True) if value})
        if any(row)
        else None
        for row in zip(*(values for _key, values in others), strict=True)
    ]
