"""Some thousand lines of a table, turned on their side: one list a column."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from identity.importing.reading import Table
from identity.importing.report import Reject


@dataclass(slots=True)
class Chunk:
    """Columns of equal length; ``lines`` says where each place came from.

    ``is_text`` tells the cells of a CSV file from JSON values. "" is an empty cell and what an
    object does not name; None is JSON's null.
    """

    lines: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    is_text: bool
    bad: dict[int, Reject] = field(default_factory=dict)

    def reject(self, place: int, column: str, reason: str, code: str = "invalid") -> None:
        """Leave a line out; the first reason stands."""
        self.bad.setdefault(place, Reject(self.lines[place], column, reason, code))

    def good(self, rows: Iterable[Any]) -> list[Any]:
        """Return the rows of the lines that nothing is wrong with."""
        bad = self.bad
        if not bad:
            return list(rows)
        return [row for place, row in enumerate(rows) if place not in bad]

    def column(self, name: str) -> Sequence[Any]:
        """Return a column, empty cells where the chunk has none of that name."""
        return self.columns.get(name) or [""] * len(self.lines)


def chunks(table: Table, size: int) -> Iterator[Chunk]:
    rows = iter(table.rows)
    while batch := list(islice(rows, size)):
        lines = [line for line, _ in batch]
        if table.columns is not None:
            turned = zip(*(row for _, row in batch), strict=True)
            yield Chunk(lines, dict(zip(table.columns, turned, strict=True)), True)
        else:
            names: dict[str, None] = {}
            for _, row in batch:
                names.update(dict.fromkeys(row))
            columns = {name: [row.get(name, "") for _, row in batch] for name in names}
            yield Chunk(lines, columns, False)
