"""Sentences one after the other on a screen."""

from collections.abc import Iterable

from django.utils.translation import get_language


def space() -> str:
    """Return what stands between two: nothing in Chinese, whose punctuation has room enough."""
    return "" if (get_language() or "").startswith("zh") else " "


def joined(sentences: Iterable[object]) -> str:
    """Return the sentences that are not empty as one text."""
    return space().join(filter(None, map(str, sentences)))
