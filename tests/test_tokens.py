"""The colours and spaces of the style sheets, read and reckoned without a browser."""

import re
from pathlib import Path
from typing import Final

import pytest
from django.conf import settings

SHEETS: Final = sorted((Path(settings.BASE_DIR) / "static/css").glob("*.css"))
TOKENS: Final = (Path(settings.BASE_DIR) / "static/css/tokens.css").read_text(encoding="utf-8")
NEUTRALS: Final = (
    "ground",
    "surface",
    "raised",
    "fill",
    "line",
    "border",
    "muted",
    "text",
    "backdrop",
)
THEMES: Final = ("light", "dark")
GROUNDS: Final = ("ground", "surface", "raised", "fill", "accent-soft")


def colours(theme: str) -> dict[str, str]:
    found = re.findall(r"--([a-z-]+): light-dark\((#\w{6,8}), (#\w{6,8})\)", TOKENS)
    chosen = {name: light if theme == "light" else dark for name, light, dark in found}
    return {**chosen, "on-accent": "#ffffff", "accent": chosen["brand"]}


def contrast(one: str, other: str) -> float:
    """Return the ratio of WCAG 2."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_the_borders_of_controls_can_be_seen(theme: str) -> None:
    known = colours(theme)
    ratios = {
        (name, ground): contrast(known[name], known[ground])
        for ground in GROUNDS
        for name in ("text", "muted", "accent-text", "border", "green", "amber", "red")
    }
    least = {"text": 4.5, "muted": 4.5, "accent-text": 4.5}

    assert {pair: ratio for pair, ratio in ratios.items() if ratio < least.get(pair[0], 3)} == {}
    assert contrast(known["on-accent"], known["accent"]) >= 4.5
    assert contrast(known["on-accent"], known["accent-hover"]) >= 4.5


def test_nine_neutrals_one_accent_and_three_signals_are_all_there_is() -> None:
    accents = {"brand", "accent-hover", "accent-text", "accent-soft"}

    assert set(colours("light")) - {"accent", "on-accent"} == {
        *NEUTRALS,
        *accents,
        *("green", "amber", "red"),
    }


def test_spaces_are_of_the_scale() -> None:
    """In pixels stand corrections by a border or a line's height, and the room of an icon."""
    spaced = re.compile(
        r"^\s*((?:padding|margin|gap|row-gap|column-gap)[a-z-]*): (.*);", re.MULTILINE
    )
    allowed = {
        "1px",
        "2px",
        "3px",
        "4px",
        "5px",
        "6px",
        "7px",
        "11px",
        "14px",
        "20px",
        "32px",
        "44px",
        "64px",
    }
    wrong = [
        f"{sheet.name}: {name}: {value}"
        for sheet in SHEETS
        for name, value in spaced.findall(sheet.read_text(encoding="utf-8"))
        if set(re.findall(r"\d+(?:\.\d+)?px", value)) - allowed
    ]
    assert wrong == []
