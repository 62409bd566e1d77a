"""The matrix, group by group; importing this registers every row."""

import re

from faults.matrix import ROWS, Row
from faults.rows import (
    brokers,
    crashes,
    hostile,
    lasting,
    load,
    lookups,
    machines,
    recovery,
    semantics,
)


def in_order() -> list[Row]:
    """Return the rows as the matrix numbers them."""

    def place(row: Row) -> tuple[str, int, str]:
        match = re.fullmatch(r"([A-Z]+)(\d+)(\w*)", row.id)
        return (match[1], int(match[2]), match[3]) if match else (row.id, 0, "")

    return sorted(ROWS.values(), key=place)


__all__ = [
    "brokers",
    "crashes",
    "hostile",
    "in_order",
    "lasting",
    "load",
    "lookups",
    "machines",
    "recovery",
    "semantics",
]
