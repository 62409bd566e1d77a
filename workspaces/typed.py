"""Reading what arrives as text and may be anything: addresses, form fields, hidden fields."""

import re
from collections.abc import Mapping
from typing import Any, Final

# What a bigint holds for sure; more digits name nothing that there is.
_WHOLE: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


def whole(raw: str | None) -> int | None:
    """Return a whole number that a column can be compared with; None for anything else."""
    return int(raw) if raw and _WHOLE.fullmatch(raw) else None


def line(raw: str | None, *, at_most: int) -> str:
    """Return one line as somebody typed it: no NUL, no spaces around it, so many characters."""
    return (raw or "").replace("\x00", "").strip()[:at_most]


def is_storable(value: Any) -> bool:
    """Tell whether PostgreSQL keeps every text in a JSON value: no NUL, no half of a surrogate."""
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, Mapping):
        return all(is_storable(key) and is_storable(each) for key, each in value.items())
    return all(map(is_storable, value)) if isinstance(value, list | tuple) else True


def printable(text: str) -> str:
    """Return a text that UTF-8 can spell: half a surrogate, which JSON can name, becomes “?”."""
    return text.encode(errors="replace").decode()
