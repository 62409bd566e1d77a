"""The plans of a run in the order that people take them."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from journeys.definition import Document
from journeys.models import Run
from webhooks.models import Plan


class Stage(NamedTuple):
    """One sending step of a run."""

    plan_id: int
    step_key: UUID
    webhook_id: int


@lru_cache(maxsize=2048)
def of(run_id: int) -> tuple[Stage, ...]:
    """Return the stages of a run; they are made with it and never change."""
    document = Run.objects.values_list("version__document", flat=True).get(pk=run_id)
    plans = {
        step_key: (plan_id, webhook_id)
        for plan_id, step_key, webhook_id in Plan.objects.filter(run_id=run_id).values_list(
            "pk", "step_key", "webhook_id"
        )
    }
    return tuple(
        Stage(plans[step.key][0], step.key, plans[step.key][1])
        for step in Document.from_json(document)
        if step.key in plans
    )


def first_webhooks(run_ids: Iterable[int]) -> dict[int, int]:
    """Return the webhook of each run's first stage: its plans are made in the order of its steps.

    Unlike ``of`` it reads no document, so that one that cannot be read is nobody else's matter.
    """
    plans = Plan.objects.filter(run_id__in=list(run_ids)).order_by("run_id", "pk")
    return dict(plans.distinct("run_id").values_list("run_id", "webhook_id"))


def plan(stage: Stage) -> Plan:
    """Return a stage's plan with its webhook, as it is now."""
    return Plan.objects.select_related("webhook").get(pk=stage.plan_id)
