"""A published webhook step as data: how its definition is written, kept and compiled.

``Plan.definition`` has this shape, all of it plain JSON::

    {"parameters": [webhooks.rendering.Binding.to_json(), …],
     "id_type": {"id": 3, "code": "MOBILE", "name": "Mobile number"}, "reach_id_type": {…},
     "encryption": "none", "environment": false, "body": null, "time_zone": "UTC"}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings

from webhooks import rendering
from webhooks.bodies import Body, compile_body
from webhooks.choices import Encryption, ParameterType
from webhooks.ids import DeliveryIds
from webhooks.models import Plan, WebhookRevision
from webhooks.rendering import Binding, ParameterPlan, Variable

if TYPE_CHECKING:
    from identity.models import IdType
    from workspaces.models import User

# A compiled plan is some kilobytes; a process rarely serves more at a time.
CACHED_PLANS: Final = 256


def bind(
    parameters: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    variables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> list[Binding]:
    """Return one binding for each frozen parameter of a revision, in its order.

    Args:
        values: what was typed or chosen, by parameter name; constants take their own value.
        variables: the variables of each text parameter, by parameter name.
    """
    found = variables or {}
    return [
        Binding(
            name=parameter["name"],
            type=ParameterType(parameter["type"]),
            value=_value(parameter, values),
            required=parameter["required"] and not parameter["is_constant"],
            variables=tuple(Variable.from_json(each) for each in found.get(parameter["name"], ()))
            if parameter["type"] == ParameterType.TEXT and not parameter["is_constant"]
            else (),
            format=parameter["date_format"] if parameter["type"] == ParameterType.DATE else "",
            max_length=parameter["max_length"],
        )
        for parameter in parameters
    ]


def _value(parameter: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    if not parameter["is_constant"]:
        return values.get(parameter["name"])
    constant = parameter["constant_value"]
    if parameter["type"] == ParameterType.TEXT:
        return rendering.escape(constant)  # A constant has no variables.
    return constant


def id_type_name(named: Mapping[str, Any]) -> str:
    """Return what an ID type of a definition is called, which may be gone by now.

    A plan of before names were kept has the code alone.
    """
    return str(named.get("name") or named["code"])


def define(
    *,
    revision: WebhookRevision,
    values: Mapping[str, Any],
    variables: Mapping[str, Sequence[Mapping[str, Any]]],
    id_type: "IdType",
    reach_id_type: "IdType | None" = None,
    encryption: str = Encryption.NONE,
    environment: bool = False,
    time_zone: str = "UTC",
) -> dict[str, Any]:
    """Return the definition of a step that uses this revision of a webhook.

    Raises:
        BindingError: a value is missing or wrong, or a text names an unknown variable.
    """
    bound = bind(revision.parameters, values, variables)
    ParameterPlan(bound, zone=ZoneInfo(time_zone))
    reach = reach_id_type or id_type
    return {
        "parameters": [binding.to_json() for binding in bound],
        "id_type": {"id": id_type.pk, "code": id_type.code, "name": id_type.name},
        "reach_id_type": {"id": reach.pk, "code": reach.code, "name": reach.name},
        "encryption": str(encryption),
        "environment": environment,
        "body": revision.body,
        "time_zone": time_zone,
    }


def create(
    *,
    revision: WebhookRevision,
    run_id: int,
    step_key: str,
    definition: Mapping[str, Any],
    labels: Mapping[str, str],
    responsible: "User | None",
    send_until: datetime | None = None,
) -> Plan:
    """Return the plan of one step of one run; made once, however often it is asked for."""
    plan, _created = Plan.objects.get_or_create(
        run_id=run_id,
        step_key=step_key,
        defaults={
            "workspace_id": revision.webhook.workspace_id,
            "webhook_id": revision.webhook_id,
            "revision": revision,
            "definition": dict(definition),
            "labels": dict(labels),
            "responsible": responsible,
            "send_until": send_until,
        },
    )
    return plan


@dataclass(frozen=True)
class CompiledPlan:
    """A plan made ready once a process: nothing in it changes, so many chunks share it."""

    id: int
    workspace_id: int
    webhook_id: int
    run_id: int
    step_key: str
    definition: Mapping[str, Any]
    labels: Mapping[str, str]

    @cached_property
    def parameters(self) -> ParameterPlan:
        bound = [Binding.from_json(each) for each in self.definition["parameters"]]
        return ParameterPlan(bound, zone=ZoneInfo(self.definition.get("time_zone", "UTC")))

    @cached_property
    def body(self) -> Body:
        return compile_body(
            self.definition.get("body"),
            self.parameters,
            id_type=self.definition["id_type"]["code"],
            reach_id_type=self.definition["reach_id_type"]["code"],
        )

    @cached_property
    def id_type_ids(self) -> tuple[int, ...]:
        """The ID types to read: one when sent and reach ID are of the same type, else both."""
        sent, reach = self.definition["id_type"]["id"], self.definition["reach_id_type"]["id"]
        return (sent,) if sent == reach else (sent, reach)

    @property
    def encryption(self) -> str:
        return str(self.definition.get("encryption", Encryption.NONE))

    @property
    def carries_environment(self) -> bool:
        return bool(self.definition.get("environment"))

    def delivery_ids(self, day: date) -> DeliveryIds:
        return DeliveryIds(settings.DELIVERY_KEY, run=self.run_id, step_key=self.step_key, day=day)

    def variable_keys(self, mask: int) -> list[str]:
        """Return ``parameter:variable`` for each bit of a delivery's mask."""
        return [":".join(pair) for pair in self.parameters.mask_names(mask)]


def compiled(plan: Plan) -> CompiledPlan:
    return CompiledPlan(
        id=plan.pk,
        workspace_id=plan.workspace_id,
        webhook_id=plan.webhook_id,
        run_id=plan.run_id,
        step_key=str(plan.step_key),
        definition=plan.definition,
        labels=plan.labels,
    )


class PlanCache:
    """The compiled plans of one process, by id; the longest unused goes first."""

    def __init__(self) -> None:
        self._plans: dict[int, CompiledPlan] = {}

    def get(self, plan_id: int) -> CompiledPlan:
        plan = self._plans.pop(plan_id, None) or compiled(Plan.objects.get(pk=plan_id))
        self._plans[plan_id] = plan
        if len(self._plans) > CACHED_PLANS:
            del self._plans[next(iter(self._plans))]
        return plan
