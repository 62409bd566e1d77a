"""COPY into a staging table; the one place that speaks it."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper


def copy_rows(
    cursor: CursorWrapper,
    *,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    not_null: Sequence[str] = (),
) -> None:
    """Copy rows into a temporary table; None and "" become "" in ``not_null``, else NULL.

    Values are written as text, in the format of the column's type. They may not hold NUL.
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    buffer.seek(0)
    force = f", FORCE_NOT_NULL ({', '.join(not_null)})" if not_null else ""
    cursor.copy_expert(
        f"COPY {table} ({', '.join(columns)}) FROM STDIN WITH (FORMAT csv{force})", buffer
    )
