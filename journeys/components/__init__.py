"""The components of the canvas. A new one is one module here, one template, and a line below."""

from typing import Final

from journeys.component import (
    Component,
    Context,
    Group,
    Needs,
    Opening,
    PeopleQuery,
    Problem,
    Sending,
    StartComponent,
    VariableSource,
)
from journeys.components.audience import AudienceStart
from journeys.components.end import End
from journeys.components.event import EventStart
from journeys.components.webhook import WebhookStep
from journeys.definition import Step

__all__ = [
    "COMPONENTS",
    "Component",
    "Context",
    "Group",
    "Needs",
    "Opening",
    "PeopleQuery",
    "Problem",
    "Sending",
    "StartComponent",
    "VariableSource",
    "addable",
    "of",
    "start_of",
    "starts",
]

COMPONENTS: Final[dict[str, Component]] = {
    component.code: component for component in (AudienceStart(), EventStart(), WebhookStep(), End())
}


def of(step: Step) -> Component:
    """Return the component of a step.

    Raises:
        KeyError: no such component is registered.
    """
    return COMPONENTS[step.component]


def start_of(step: Step) -> StartComponent:
    """Return the component of a start.

    Raises:
        KeyError: the step is no start.
    """
    component = COMPONENTS[step.component]
    if not isinstance(component, StartComponent):
        raise KeyError(step.component)
    return component


def starts() -> list[StartComponent]:
    """Return what a journey may start with, in the picker's order."""
    return [each for each in COMPONENTS.values() if isinstance(each, StartComponent)]


def addable() -> list[Component]:
    """Return what may be added after the start, in the picker's order."""
    return [
        each
        for each in COMPONENTS.values()
        if each.addable and not isinstance(each, StartComponent)
    ]
