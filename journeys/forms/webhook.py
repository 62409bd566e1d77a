"""The panel of the webhook step: the seed's seven steps as one form."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import blake2b
from itertools import chain
from typing import Any, Final

from django import forms
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identity.models import IdType
from journeys import previews
from journeys.component import Context, VariableSource
from journeys.components.webhook import (
    WebhookConfig,
    allowed_id_types,
    newest_revision,
)
from journeys.definition import Step
from journeys.forms.panels import PanelForm
from journeys.previews import Coverage
from webhooks import grants
from webhooks.bodies import fill_content
from webhooks.choices import Encryption, ParameterType, WebhookState
from webhooks.models import Webhook, WebhookRevision
from webhooks.rendering import EmptyRule, Variable, clean_name
from workspaces.sentences import listed
from workspaces.typed import is_storable, whole

_PREFIX: Final = "value_"


@dataclass(frozen=True, slots=True)
class Barred:
    """A webhook that the member may not use, and the gate that is missing."""

    name: str
    missing: str


@dataclass(frozen=True, slots=True)
class Chip:
    """A variable that stands in a text."""

    name: str
    token: str
    source: str
    empty: str
    gone: bool


class WebhookForm(PanelForm):
    template = "journeys/_panel_webhook.html"
    # How long the panel waits for its numbers, unless told otherwise.
    patience: timedelta | None = None

    webhook = forms.ChoiceField(label=gettext_lazy("Webhook"), required=False)
    id_type = forms.CharField(label=gettext_lazy("ID type to send"), required=False)
    reach_id_type = forms.ChoiceField(
        label=gettext_lazy("ID type to reach the user"), required=False
    )
    encryption = forms.ChoiceField(label=gettext_lazy("Encryption"), choices=Encryption.choices)
    # What was typed for parameters that the chosen webhook does not have: kept for its return.
    kept = forms.CharField(required=False, widget=forms.HiddenInput)
    variables = forms.CharField(required=False, widget=forms.HiddenInput)

    @classmethod
    def read(cls, data: QueryDict, step: Step) -> Step:
        config = WebhookConfig.from_json(
            {
                "webhook": whole(data.get("webhook")),
                "revision": step.config.get("revision"),
                "values": {**_kept_values(data), **_typed_values(data)},
                "variables": variables_in(data),
                "id_type": whole(data.get("id_type")),
                "reach_id_type": whole(data.get("reach_id_type")),
                "encryption": data.get("encryption"),
            }
        )
        return replace(step, name=data.get("name", "").strip(), config=config.to_json())

    def build(self) -> None:
        self.chosen = WebhookConfig.from_json(self.step.config)
        self.revision = newest_revision(self.chosen, self.context)
        self.barred = self._offer_webhooks()
        for parameter in self._asked():
            name = field_name(parameter["name"])
            self.fields[name] = _field(parameter, self.chosen.values.get(parameter["name"]))
        self._offer_id_types()
        asked = {parameter["name"] for parameter in self._asked()}
        rest = {name: value for name, value in self.chosen.values.items() if name not in asked}
        self.put("kept", json.dumps(rest))
        self.put("variables", json.dumps(self.chosen.variables_json()))
        self.initial = {"encryption": self.chosen.encryption.value}

    @property
    def config(self) -> Mapping[str, Any]:
        """Return what is kept: without the values of other webhooks' parameters."""
        asked = {parameter["name"] for parameter in self._asked()}
        chosen = replace(
            self.chosen,
            values={name: value for name, value in self.chosen.values.items() if name in asked},
        )
        return chosen.to_json()

    def field_of(self, place: str) -> str | None:
        kind, colon, name = place.partition(":")
        return super().field_of(field_name(name) if kind == "parameter" and colon else place)

    def text_of(self, place: str, value: Any) -> str:
        if place == "id_type":
            id_type = self.context.id_types.get(value)
            return id_type.name if id_type else "–"
        if place == "webhook" and value:
            # Theirs may be one that this panel does not offer.
            return str(Webhook.objects.filter(workspace=self.context.workspace, pk=value).first())
        if place == "variables":
            return "; ".join(map(self._told, chain.from_iterable((value or {}).values()))) or "–"
        return super().text_of(place, value)

    def _told(self, data: Mapping[str, Any]) -> str:
        """Tell a variable with its rule: of two who changed the default each sees both."""
        variable = Variable.from_json(data)
        (chip,) = chips([variable], self.context.sources)
        rule = _("%(source)s, %(empty)s") % {"source": chip.source, "empty": chip.empty}
        return " · ".join(filter(None, [chip.token, rule, variable.format]))

    # --- What the template draws ------------------------------------------------------------------

    @property
    def parameter_rows(self) -> Iterator[dict[str, Any]]:
        """Yield each parameter's field, and the variables of a text."""
        for parameter in self._asked():
            name = parameter["name"]
            is_text = parameter["type"] == ParameterType.TEXT
            yield {
                "name": name,
                "field": self[field_name(name)],
                "field_id": f"id_{field_name(name)}",
                "is_text": is_text,
                "chips": self.chips_of(name) if is_text else [],
            }

    def chips_of(self, parameter: str) -> list[Chip]:
        return chips(self.chosen.variables.get(parameter, ()), self.context.sources)

    @property
    def constants(self) -> int:
        parameters = self.revision.parameters if self.revision else []
        return sum(parameter["is_constant"] for parameter in parameters)

    @property
    def content(self) -> str:
        """Return the content template filled with what the panel holds."""
        if self.revision is None or not self.revision.content_template:
            return ""
        values = {
            parameter["name"]: parameter["constant_value"]
            if parameter["is_constant"]
            else str(self.chosen.values.get(parameter["name"]) or "")
            for parameter in self.revision.parameters
        }
        return fill_content(
            self.revision.content_template,
            {name: value or "{" + name + "}" for name, value in values.items()},
        )

    @cached_property
    def coverage(self) -> Coverage:
        at_most = self.patience or previews.AT_ONCE
        return previews.coverage_within(self.context, self.id_types, at_most)

    @property
    def id_type_rows(self) -> list[dict[str, Any]]:
        covered = self.coverage.covered
        chosen = self.chosen.id_type
        return [
            {
                "id_type": id_type,
                "covered": covered.get(id_type.pk, 0),
                "checked": id_type.pk == chosen or (len(self.id_types) == 1),
            }
            for id_type in self.id_types
        ]

    @property
    def skipped(self) -> int | None:
        """Return how many lack the chosen ID type; None while nobody or none is chosen."""
        if not self.coverage.people or self.chosen.id_type not in self.coverage.covered:
            return None
        return self.coverage.people - self.coverage.covered.get(self.chosen.id_type or 0, 0)

    @property
    def is_recent(self) -> bool:
        return previews.is_recent(self.context)

    @property
    def is_empty(self) -> bool:
        """Tell whether the start is chosen and nobody would enter by it."""
        is_nobody = self.coverage.is_known and self.coverage.is_nobody
        return is_nobody and previews.people_of(self.context) is not None

    @property
    def is_nobody_covered(self) -> bool:
        covered = self.coverage.covered
        return bool(self.coverage.people and covered and not any(covered.values()))

    @property
    def id_types_named(self) -> str:
        """Return the names of the ID types that can be sent, as “Mobile number or Member ID”."""
        *others, last = [each.name for each in self.id_types]
        if not others:
            return last
        return _("%(others)s or %(last)s") % {
            "others": listed(others),
            "last": last,
        }

    @property
    def folded(self) -> str:
        """Return the reach ID and encryption as one sentence."""
        reach = self.context.id_types.get(self.chosen.reach_id_type or 0)
        by = (
            _("Reached by %(id_type)s") % {"id_type": reach.name}
            if reach
            else _("Reached by the same ID")
        )
        if self.chosen.encryption == Encryption.NONE:
            return _("%(reached)s, not encrypted") % {"reached": by}
        return _("%(reached)s, encrypted with %(way)s") % {
            "reached": by,
            "way": self.chosen.encryption.label,
        }

    @property
    def is_unfolded(self) -> bool:
        return any(self.has_error(name) for name in ("reach_id_type", "encryption"))

    # --- Building ---------------------------------------------------------------------------------

    def _asked(self) -> list[Mapping[str, Any]]:
        parameters = self.revision.parameters if self.revision else []
        return [parameter for parameter in parameters if not parameter["is_constant"]]

    def _offer_webhooks(self) -> list[Barred]:
        """Offer the webhooks both gates are open for; return the others with what is missing."""
        webhooks = list(
            Webhook.objects.filter(workspace=self.context.workspace)
            .exclude(control__state=WebhookState.DISABLED)
            .order_by("name")
        )
        chosen = self.context.webhooks.get(self.chosen.webhook or 0)
        asked = [*webhooks, chosen] if chosen else webhooks
        standing = grants.gates(self.user, asked, self.context.workspace)
        offered = [("", _("Choose a webhook"))]
        barred = []
        for webhook in webhooks:
            if standing[webhook.pk].open:
                offered.append((str(webhook.pk), webhook.name))
            else:
                barred.append(Barred(webhook.name, standing[webhook.pk].missing))
        if chosen and str(chosen.pk) not in dict(offered):
            is_open = standing[chosen.pk].open
            label = _("%(name)s (disabled)") if is_open else _("%(name)s (you may not use it)")
            offered.append((str(chosen.pk), label % {"name": chosen.name}))
        self.fields["webhook"] = forms.ChoiceField(
            label=_("Webhook"),
            choices=offered,
            initial=self.chosen.webhook,
            error_messages={"required": _("Choose a webhook.")},
        )
        self.is_nothing_offered = len(offered) == 1
        return barred

    def _offer_id_types(self) -> None:
        self.id_types: list[IdType] = (
            allowed_id_types(self.revision, self.context) if self.revision else []
        )
        if len(self.id_types) == 1 and self.chosen.id_type is None:
            self.chosen = replace(self.chosen, id_type=self.id_types[0].pk)
            self.step = replace(self.step, config=self.chosen.to_json())
        enabled = [each for each in self.context.id_types.values() if each.enabled]
        self.fields["reach_id_type"] = forms.ChoiceField(
            label=_("ID type to reach the user"),
            choices=[("", _("The same ID")), *((each.pk, each.name) for each in enabled)],
            required=False,
            initial=self.chosen.reach_id_type,
            help_text=_("The address that the other system will use."),
        )


def field_name(parameter: str) -> str:
    """Return a name for a parameter's field that is safe in markup, whatever its letters."""
    return _PREFIX + blake2b(clean_name(parameter).encode(), digest_size=8).hexdigest()


def variables_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that the panel's hidden field carries; what is broken is left out."""
    found: dict[str, Any] = {}
    for parameter, each_of in _object(data.get("variables")).items():
        if not isinstance(each_of, list):
            continue
        good = []
        for each in each_of:
            try:
                good.append(_variable(each).to_json())
            except (KeyError, TypeError, ValueError):
                continue
        found[parameter] = good
    return found


def carried(data: Any) -> WebhookConfig:
    """Return the config that a dialog carries as JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        config = WebhookConfig.from_json(data)
        for each_of in config.variables.values():
            for each in each_of:
                _variable(each.to_json())
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("no config of a webhook step") from error
    keys = (config.webhook, config.revision, config.id_type, config.reach_id_type)
    if any(each is not None and whole(str(each)) is None for each in keys):
        raise ValueError("no key")
    if not all(map(_is_value, config.values.values())):
        raise ValueError("no value")
    return config


def _variable(data: Mapping[str, Any]) -> Variable:
    found = Variable.from_json(data)
    if not all(isinstance(part, str) and is_storable(part) for part in found.to_json().values()):
        raise TypeError("a variable is made of texts that can be kept")
    return found


def chips(variables: Any, sources: tuple[VariableSource, ...]) -> list[Chip]:
    names = {(source.source, source.code): source.name for source in sources}
    empties = {
        EmptyRule.NOTHING: _("else nothing"),
        EmptyRule.SKIP: _("else the person is skipped"),
    }
    return [
        Chip(
            name=variable.name,
            token="${" + variable.name + "}",
            source=names.get((variable.source, variable.code), variable.code),
            empty=empties.get(variable.empty)
            or _("else “%(default)s”") % {"default": variable.default},
            gone=(variable.source, variable.code) not in names,
        )
        for variable in variables
    ]


def _kept_values(data: QueryDict) -> dict[str, Any]:
    kept = _object(data.get("kept"))
    return {name: value for name, value in kept.items() if _is_value(value) and is_storable(name)}


def _is_value(value: Any) -> bool:
    return not isinstance(value, dict | list) and is_storable(value)


def _typed_values(data: QueryDict) -> dict[str, Any]:
    """Return the posted values by parameter name; the names travel beside them."""
    return {
        name: data.get(field_name(name), "").replace("\r\n", "\n")
        for name in data.getlist("parameter")
        if field_name(name) in data
    }


class _AnyChoiceField(forms.ChoiceField):
    """A list whose choice is checked by the step's component, with its own sentence."""

    def valid_value(self, value: Any) -> bool:
        return True


def _field(parameter: Mapping[str, Any], value: Any) -> forms.Field:
    label = parameter["label"]
    initial = "" if value is None else str(value)
    help_text = _help(parameter)
    kind = ParameterType(parameter["type"])
    if kind == ParameterType.CHOICE:
        choices = [("", _("Choose one")), *(tuple(each) for each in parameter["choices"])]
        if initial and initial not in dict(choices):
            choices.append((initial, _("%(value)s (no longer offered)") % {"value": initial}))
        field: forms.Field = _AnyChoiceField(
            label=label, choices=choices, initial=initial, help_text=help_text
        )
    else:
        field = forms.CharField(
            label=label,
            initial=initial,
            help_text=help_text,
            widget=_widget(kind, parameter),
            strip=False,
        )
    field.widget.attrs["data-parameter"] = parameter["name"]
    field.required = bool(parameter["required"])
    field.error_messages["required"] = _("Enter a value.")
    return field


def _widget(kind: ParameterType, parameter: Mapping[str, Any]) -> forms.Widget:
    if kind == ParameterType.TEXT:
        attributes = {"rows": "2", "data-variables": "", "spellcheck": "true"}
        return forms.Textarea(attrs=attributes)
    if kind == ParameterType.NUMERIC:
        return forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    if kind == ParameterType.DATE:
        return forms.DateInput(attrs={"type": "date"})
    return forms.TextInput(attrs={"autocomplete": "off"})


def _help(parameter: Mapping[str, Any]) -> str:
    parts = [parameter["help_text"]]
    if parameter["example"]:
        parts.append(_("Example: %(example)s") % {"example": parameter["example"]})
    minimum, maximum = parameter["minimum"], parameter["maximum"]
    if minimum is not None and maximum is not None:
        limits = {"minimum": _plain(minimum), "maximum": _plain(maximum)}
        parts.append(_("From %(minimum)s to %(maximum)s") % limits)
    return " · ".join(filter(None, parts))


def _plain(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _object(raw: str | None) -> dict[str, Any]:
    try:
        found = json.loads(raw or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def revision_of(context: Context, step: Step) -> WebhookRevision | None:
    return newest_revision(WebhookConfig.from_json(step.config), context)
