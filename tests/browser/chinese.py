"""Which English words and spaces are left on a page that ought to be Chinese."""

import re
from typing import Final

from django.conf import settings
from playwright.sync_api import Page

# What people read as it stands in every language: names, kinds of ID, codes and formats.
ALLOWED: Final = frozenset(
    re.findall(
        r"\w+",
        """
        AES API Alt Asia CRM CSV Cookie Ctrl DD Del Delete EMAIL English Enter GCM HH HTTP HTTPS ID
        ISO JSON Lines MD5 MM MOBILE Markdown Name POST QAID SHA Shanghai Standard URL UTC
        UTF Webhook Webhooks YYYY base64 gzip
        content https ms qa value
        """,
    )
)
# Codes and addresses; an ID may be broken where its first part ends.
FORMAL: Final = (
    r"import_audience|(?:key|dlv|msg)_\s*\S+|\$[A-Z_]+|\$?\{[^}]*\}"
    r"|\S+@\S+|https?://\S+|x-qa-\S*"
)
# The text that can be seen, and the names that are spoken instead of one.
READ: Final = """
() => {
  const found = [];
  const seen = (element) => element.checkVisibility({visibilityProperty: true});
  const silent = "code, pre, script, style, svg, body [lang]";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.closest(silent) && seen(parent)) found.push(walker.currentNode.data);
  }
  for (const element of document.querySelectorAll("[aria-label], [title], [placeholder]")) {
    if (!seen(element)) continue;
    for (const name of ["aria-label", "title", "placeholder"]) {
      found.push(element.getAttribute(name) ?? "");
    }
  }
  return found;
}
"""


# Wide punctuation has its own room; a dot between two things stands apart from both.
_ROOM: Final = re.compile(
    r".{0,12}[，。：；！？、（）“] (?!·)\S.{0,12}|.{0,12}[^\s·] [，。：；！？、（）”]"
)
# Latin letters stand apart from Chinese. Digits may touch it, as in a date.
_TOUCHING: Final = re.compile(r".{0,12}(?:[\u3400-\u9fff][A-Za-z]|[A-Za-z][\u3400-\u9fff]).{0,12}")


def spaces(page: Page) -> set[str]:
    """Return where a space stands beside wide punctuation, or none beside Latin letters."""
    text: str = page.evaluate("() => document.body.innerText")
    # What people typed, with what was filled in, stands as it is.
    for example in page.locator("dl.preview dd").all_inner_texts():
        text = text.replace(example, "")
    return {*_ROOM.findall(text), *_TOUCHING.findall(text)}


def foreign_words(page: Page, *, names: frozenset[str] = frozenset()) -> set[str]:
    """Return the English words that can be read or heard on the page."""
    texts = "\n".join(page.evaluate(READ))
    texts = re.sub(FORMAL, "", texts)
    allowed = ALLOWED | names | {settings.PRODUCT_NAME}
    return set(re.findall(r"[A-Za-z][A-Za-z0-9]+", texts)) - allowed
