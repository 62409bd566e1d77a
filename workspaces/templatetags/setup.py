"""What the lists of the set-up ask about themselves."""

from typing import Any

from django import template

register = template.Library()


@register.filter
def is_first_use(cl: Any) -> bool:
    """Tell whether a list is empty though nothing was searched, filtered or paged away."""
    asked = cl.query or cl.has_active_filters or getattr(cl, "after", "")
    return not asked and not cl.result_list
