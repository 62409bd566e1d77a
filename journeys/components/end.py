from django.utils.translation import gettext_lazy as _

from journeys.component import Component, Context, Group, Problem
from journeys.definition import Step


class End(Component):
    """Where people leave. Every journey has it behind its last step, so no document keeps it."""

    code = "end"
    label = _("End")
    group = Group.CONTROL
    icon = "flag"
    addable = False

    def problems(self, step: Step, context: Context) -> list[Problem]:
        return []

    def summary(self, step: Step, context: Context) -> str:
        return ""
