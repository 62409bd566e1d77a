"""What a page tells at first sight."""

import html
import re


def told(page: str) -> str:
    """Return the text of a page without what is folded behind *Details*."""
    body = re.sub(
        r"<details.*?</details>|<(script|template|style).*?</\1>", "", page, flags=re.DOTALL
    )
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def heading(page: str) -> str:
    """Return what the page is headed with."""
    found = re.search(r"<h1.*?</h1>", page, re.DOTALL)
    return told(found.group()) if found else ""
