"""The webhook step: one request for each person, with the values that the marketer gave it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identity.models import IdType
from journeys import variables
from journeys.component import (
    Component,
    Context,
    Group,
    Needs,
    Problem,
    Sending,
    VariableSource,
)
from journeys.definition import Step
from webhooks import parameter_values, plans, revisions
from webhooks.choices import Encryption, ParameterType, WebhookState
from webhooks.models import WebhookRevision
from webhooks.rendering import BindingError, ParameterPlan, Variable
from workspaces.sentences import joined


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """What the panel sets; an empty one has no webhook yet."""

    webhook: int | None = None
    revision: int | None = None  # The webhook's when the step was saved.
    values: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, tuple[Variable, ...]] = field(default_factory=dict)
    id_type: int | None = None
    reach_id_type: int | None = None  # None is the same one.
    encryption: Encryption = Encryption.NONE

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        encryption = data.get("encryption")
        return cls(
            webhook=data.get("webhook") or None,
            revision=data.get("revision") or None,
            values=dict(data.get("values") or {}),
            variables={
                name: tuple(Variable.from_json(each) for each in each_of)
                for name, each_of in (data.get("variables") or {}).items()
            },
            id_type=data.get("id_type") or None,
            reach_id_type=data.get("reach_id_type") or None,
            encryption=Encryption(encryption)
            if encryption in Encryption.values
            else Encryption.NONE,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "webhook": self.webhook,
            "revision": self.revision,
            "values": dict(self.values),
            "variables": self.variables_json(),
            "id_type": self.id_type,
            "reach_id_type": self.reach_id_type,
            "encryption": self.encryption.value,
        }

    def variables_json(self) -> dict[str, list[dict[str, Any]]]:
        return {
            name: [variable.to_json() for variable in each_of]
            for name, each_of in self.variables.items()
        }

    def fingerprint(self, revision: WebhookRevision | None) -> str:
        """Return a hash of all that a test send tests: it tells whether the step has changed.

        What the panel keeps beside it is left out, and what saving adds: a value that the
        webhook's ``revision`` does not ask for, a variable that no text uses.
        """
        asked = [each["name"] for each in revision.parameters] if revision else []
        tested = replace(
            self,
            revision=revision.number if revision else None,
            values={name: self.values.get(name) or "" for name in asked},
            variables={name: self.used_variables(name) for name in asked},
        )
        return hashlib.sha256(json.dumps(tested.to_json(), sort_keys=True).encode()).hexdigest()

    def used_variables(self, parameter: str) -> tuple[Variable, ...]:
        """Return the variables that the parameter's text holds, in reading order."""
        text = str(self.values.get(parameter) or "")
        return tuple(variables.used_in(text, self.variables.get(parameter, ())))


class WebhookStep(Component):
    code = "webhook"
    label = gettext_lazy("Webhook")
    group = Group.PUSH
    icon = "webhook"

    def new_config(self) -> dict[str, Any]:
        return WebhookConfig().to_json()

    def needs(self, config: Mapping[str, Any]) -> Needs:
        saved = WebhookConfig.from_json(config)
        if saved.webhook is None:
            return Needs()
        made_with = {(saved.webhook, saved.revision)} if saved.revision else set()
        return Needs(webhooks=frozenset({saved.webhook}), revisions=frozenset(made_with))

    def problems(self, step: Step, context: Context) -> list[Problem]:
        config = WebhookConfig.from_json(step.config)
        found = []
        if not step.name.strip():
            found.append(Problem("name", _("Enter a step name."), "required"))
        if problem := _webhook_problem(config, context):
            return [*found, problem]
        revision = newest_revision(config, context)
        if revision is None:
            return [*found, Problem("webhook", _("The webhook is not complete."), "incomplete")]
        found += _revision_problems(config, revision, context)
        found += value_problems(config, revision, context.sources)
        found += _id_problems(config, revision, context)
        return found

    def summary(self, step: Step, context: Context) -> str:
        config = WebhookConfig.from_json(step.config)
        webhook = context.webhooks.get(config.webhook or 0)
        id_type = context.id_types.get(config.id_type or 0)
        parts = [webhook.name if webhook else "", id_type.name if id_type else ""]
        return " · ".join(filter(None, parts))

    def refreshed(self, step: Step, context: Context) -> Step:
        config = WebhookConfig.from_json(step.config)
        revision = newest_revision(config, context)
        if revision is None:
            return step
        used = {name: config.used_variables(name) for name in config.variables}
        kept = replace(
            config,
            revision=revision.number,
            variables={name: each_of for name, each_of in used.items() if each_of},
        )
        return replace(step, config=kept.to_json())

    def sending(self, step: Step, context: Context) -> Sending | None:
        config = WebhookConfig.from_json(step.config)
        revision = context.revisions[config.webhook or 0, config.revision or 0]
        webhook = context.webhooks[config.webhook or 0]
        definition = plans.define(
            revision=revision,
            values=config.values,
            variables=config.variables_json(),
            id_type=context.id_types[config.id_type or 0],
            reach_id_type=context.id_types[config.reach_id_type or config.id_type or 0],
            encryption=config.encryption,
            environment=webhook.carry_environment,
            time_zone=context.workspace.time_zone,
        )
        return Sending(webhook=webhook, revision=revision, definition=definition)


def newest_revision(config: WebhookConfig, context: Context) -> WebhookRevision | None:
    """Return the webhook's revision as it is now; None while there is no webhook."""
    webhook = context.webhooks.get(config.webhook or 0)
    return context.revisions.get((webhook.pk, webhook.revision)) if webhook else None


def allowed_id_types(revision: WebhookRevision, context: Context) -> list[IdType]:
    """Return the ID types that the webhook takes and the workspace still has, in its order."""
    found = (context.id_types.get(each["id"]) for each in revision.id_types)
    return [id_type for id_type in found if id_type and id_type.enabled]


def _webhook_problem(config: WebhookConfig, context: Context) -> Problem | None:
    if config.webhook is None:
        return Problem("webhook", _("Choose a webhook."), "required")
    webhook = context.webhooks.get(config.webhook)
    if webhook is None:
        message = _("The chosen webhook no longer exists. Choose another one.")
        return Problem("webhook", message, "webhook_gone")
    gates = context.gates.get(webhook.pk)
    if gates and not gates.open:
        return Problem("webhook", gates.missing, "gate")
    control = getattr(webhook, "control", None)
    if control and control.state == WebhookState.DISABLED:
        message = _("“%(name)s” is disabled. Choose another one, or ask an administrator.")
        return Problem("webhook", message % {"name": webhook.name}, "webhook_disabled")
    return None


def _revision_problems(
    config: WebhookConfig, newest: WebhookRevision, context: Context
) -> list[Problem]:
    """Tell of parameters that went or changed; what is new is asked for by its own field."""
    made_with = context.revisions.get((newest.webhook_id, config.revision or newest.number))
    if made_with is None or made_with.number == newest.number:
        return []
    difference = revisions.compare(revisions.content_in(made_with), revisions.content_in(newest))
    if not (difference.removed or difference.retyped):
        return []
    sentences = [*difference.sentences, _("Open the step, look at its values and click OK.")]
    return [Problem("webhook", joined(sentences), "webhook_changed")]


def value_problems(
    config: WebhookConfig, revision: WebhookRevision, sources: Sequence[VariableSource]
) -> list[Problem]:
    """Return what is wrong with the parameters' values and variables, in the webhook's order.

    The step's panel, a test send and publishing all ask here.
    """
    wrong = parameter_values.problems(revision.parameters, config.values)
    found = []
    for parameter in revision.parameters:
        name = parameter["name"]
        if parameter["is_constant"]:
            continue
        place, label = f"parameter:{name}", parameter["label"]
        if name in wrong:
            found.append(Problem(place, wrong[name], "invalid_value", label=label))
        if parameter["type"] == ParameterType.TEXT:
            text = str(config.values.get(name) or "")
            problems = variables.problems(text, config.variables.get(name, ()), sources)
            found += [Problem(place, each.sentence, each.code, label=label) for each in problems]
    if not found:
        found += _binding_problems(config, revision)
    return found


def _binding_problems(config: WebhookConfig, revision: WebhookRevision) -> list[Problem]:
    """Compile as the engine will, for the limits that only all parameters together show."""
    try:
        ParameterPlan(
            plans.bind(revision.parameters, values=config.values, variables=config.variables_json())
        )
    except BindingError as error:
        labels = {each["name"]: each["label"] for each in revision.parameters}
        place, label = f"parameter:{error.parameter}", labels.get(error.parameter, "")
        return [Problem(place, str(error.message), "invalid_value", label=label)]
    return []


def _id_problems(
    config: WebhookConfig, revision: WebhookRevision, context: Context
) -> list[Problem]:
    allowed = {id_type.pk for id_type in allowed_id_types(revision, context)}
    found = []
    if config.id_type is None:
        found.append(Problem("id_type", _("Choose the ID type to send."), "required"))
    elif config.id_type not in allowed:
        message = _("The webhook does not take this ID type. Choose another one.")
        found.append(Problem("id_type", message, "id_type_refused"))
    reach = context.id_types.get(config.reach_id_type or 0)
    if config.reach_id_type and (reach is None or not reach.enabled):
        message = _("This ID type is not in use. Choose another one.")
        found.append(Problem("reach_id_type", message, "id_type_gone"))
    if config.encryption == Encryption.AES and config.webhook not in context.with_aes_key:
        message = _(
            "The webhook has no AES key. Choose another encryption, or ask an administrator."
        )
        found.append(Problem("encryption", message, "no_aes_key"))
    return found
