"""Statements that one connection runs again and again: parsed and planned once, then executed.

For the hot path alone. There PostgreSQL spends as long on reading and planning a statement for a
hundred people as on a fifth of them. Needs a session of its own, as senders have: behind a pooler
that hands sessions round, the next one would not know the statement.
"""

import re
from collections.abc import Sequence
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db.backends.utils import CursorWrapper

_PLACE: Final = re.compile(r"%(.)")
# By the driver's connection, so that a new one begins with nothing: the names of its statements.
_names: Final[WeakKeyDictionary[Any, dict[str, str]]] = WeakKeyDictionary()


def execute(cursor: CursorWrapper, label: str, statement: str, params: Sequence[Any]) -> None:
    """Run a statement with positional parameters; this connection plans it the first time.

    Args:
        label: begins the name under which the server's views and logs show it.
    """
    names = _names.setdefault(cursor.connection, {})
    name = names.get(statement)
    if name is None:
        name = f"{label}_{len(names)}"
        cursor.execute(f"PREPARE {name} AS {_numbered(statement)}")
        names[statement] = name
    cursor.execute(f"EXECUTE {name} ({', '.join(['%s'] * len(params))})", params)


def _numbered(statement: str) -> str:
    """Write the driver's places as the server's: ``%s, %s`` as ``$1, $2``."""
    numbers = count(1)
    return _PLACE.sub(lambda found: f"${next(numbers)}" if found[1] == "s" else "%", statement)
