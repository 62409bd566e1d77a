"""Sentences and names one after the other on a screen."""

import re
from collections.abc import Iterable
from typing import Final

from django.template.defaultfilters import floatformat
from django.utils.translation import get_language, pgettext

_HAN: Final = "\u3400-\u9fff"
_BORDER: Final = re.compile(rf"(?<=[{_HAN}])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[{_HAN}])")


def space() -> str:
    """Return what stands between two: nothing in Chinese, whose punctuation has room enough."""
    return "" if (get_language() or "").startswith("zh") else " "


def percent(value: float, decimals: int = 0) -> str:
    """Return a share of a hundred as it is written on every screen: “92.9%”, with no space."""
    return f"{floatformat(value, decimals)}%"


def joined(sentences: Iterable[object]) -> str:
    """Return the sentences that are not empty as one text."""
    return space().join(filter(None, map(str, sentences)))


def listed(names: Iterable[object]) -> str:
    """Return names one after the other, as the language parts them."""
    return pgettext("between values", ", ").join(map(str, names))


def spaced(text: str) -> str:
    """Return a text of ours with room between Chinese and Latin letters.

    For sentences that the name of a kind was put into, which begins with either: “添加数据源”,
    “添加 Webhook”. Not for what people typed, which stays as it is.
    """
    return _BORDER.sub(" ", text)
