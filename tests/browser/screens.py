"""``make screens``: one page to look through the pictures that the walk over all pages kept."""

import html
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PICTURE: Final = re.compile(r"(?P<page>.+)_(?P<look>(?P<width>\d+)_(?:light|dark)_[\w-]+)\.png")
_STYLE: Final = """
body { margin: 24px; font: 14px/20px sans-serif; color: #1c2127; background: #eef0f3 }
nav { columns: 4 220px } nav a { display: block; color: inherit }
section > div { display: flex; gap: 16px; overflow-x: auto; align-items: start }
figure { flex: none; margin: 0 } figcaption { color: #5c6470; font-size: 12px }
img { display: block; width: 480px; border: 1px solid #ccd1d9; background: #fff }
img.narrow { width: 160px }
"""


def index(names: Iterable[str]) -> str:
    """Return the page: a section a screen, in it each width, theme and language."""
    found: dict[str, list[tuple[str, str, bool]]] = defaultdict(list)
    for name in sorted(names):
        if told := _PICTURE.fullmatch(name):
            found[told["page"]].append((told["look"], name, int(told["width"]) < 768))
    links = "".join(f'<a href="#{html.escape(page)}">{html.escape(page)}</a>' for page in found)
    sections = "".join(_section(page, looks) for page, looks in found.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Screens</title>'
        f"<style>{_STYLE}</style><h1>{len(found)} screens</h1><nav>{links}</nav>{sections}</html>\n"
    )


def _section(page: str, looks: list[tuple[str, str, bool]]) -> str:
    figures = "".join(
        f'<figure><a href="{html.escape(name)}"><img loading="lazy" src="{html.escape(name)}"'
        f'{" class=narrow" if is_narrow else ""} alt="{html.escape(look)}"></a>'
        f"<figcaption>{html.escape(look.replace('_', ' '))}</figcaption></figure>"
        for look, name, is_narrow in looks
    )
    title = html.escape(page)
    return f'<section id="{title}"><h2>{title}</h2><div>{figures}</div></section>'


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    written = folder / "index.html"
    written.write_text(index(each.name for each in folder.glob("*.png")), encoding="utf-8")
    sys.stdout.write(f"{written}\n")
