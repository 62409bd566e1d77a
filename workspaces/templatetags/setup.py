"""What the lists of the set-up ask about themselves."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from workspaces.sentences import spaced

register = template.Library()


@register.filter
def is_first_use(cl: Any) -> bool:
    """Tell whether a list is empty though nothing was searched, filtered or paged away."""
    asked = cl.query or cl.has_active_filters or getattr(cl, "after", "")
    return not asked and not cl.result_list


@register.filter
def inline_data(formset: Any) -> str:
    """Return what Django's script is told of related rows, in sentence case."""
    told = json.loads(formset.inline_formset_data())
    name = formset.opts.verbose_name
    told["options"]["addText"] = spaced(
        _("Add another %(verbose_name)s") % {"verbose_name": name}
        if formset.formset.initial_forms
        else _("Add %(name)s") % {"name": name}
    )
    return json.dumps(told)


@register.filter
def name_and_address(who: str) -> str:
    """Return “Li Mei <li.mei@example.com>” as a name and a small address."""
    name, opened, address = who.partition(" <")
    if not opened:
        return name
    box, at, host = address.removesuffix(">").partition("@")
    # Where an address may break when its column is narrow.
    return format_html(
        '<span class="who">{} <span class="meta">{}{}<wbr>{}</span></span>', name, box, at, host
    )


@register.filter
def labelled(
    cells: Sequence[SafeString], headers: Sequence[dict[str, Any]]
) -> Iterator[SafeString]:
    """Return the cells of a row of Django's list, each with its column's name for phones.

    What is empty is left out there.
    """
    for cell, header in zip(cells, headers, strict=False):
        if cell.startswith("<td") and "action-checkbox" not in cell[:40]:
            label = format_html('<td data-label="{}"', capfirst(header["text"]))
            rest = cell.removeprefix("<td")
            if rest.endswith(">–</td>"):
                rest = rest.replace(' class="', ' class="phone-hide ', 1)
            yield mark_safe(label + rest)  # noqa: S308 - Django's own, and ours
        else:
            yield cell
