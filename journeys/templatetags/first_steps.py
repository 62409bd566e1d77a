"""The checklist for the first page of the set-up."""

from typing import Any

from django import template
from django.utils import timezone

from journeys import checklist
from journeys.checklist import Checklist

register = template.Library()


@register.simple_tag(takes_context=True)
def first_steps(context: dict[str, Any]) -> Checklist | None:
    """Return what is still to do in the current workspace; None when nothing is."""
    workspace = context["current_workspace"]
    if workspace is None:
        return None
    found = checklist.of(workspace=workspace, points=context["frame"].points, now=timezone.now())
    return None if found.is_done else found
