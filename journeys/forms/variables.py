"""The insert-variable dialog: a source, a name, and what goes out when it is empty."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identity.choices import AttributeType
from journeys import variables
from journeys.component import VariableSource
from journeys.forms.webhook import variables_in
from journeys.previews import FillRate
from webhooks.rendering import NAME_LENGTH, EmptyRule, Source, Variable, clean_name
from webhooks.values import moment_of, number_of
from workspaces import sentences
from workspaces.typed import whole

Rates = Mapping[tuple[Source, str], FillRate]
_FORMATTED = frozenset({AttributeType.NUMBER.value, AttributeType.DATE.value})


@dataclass(frozen=True, slots=True)
class SourceRow:
    value: str
    source: VariableSource
    example: str
    share: str  # How many have it, in words; empty while that is not known.
    checked: bool
    proposed: str  # A free name for a variable of this source.
    takes_format: bool


class VariableForm(forms.Form):
    """``parameter`` is the text's parameter, ``text`` what stands in its box now."""

    parameter = forms.CharField(widget=forms.HiddenInput)
    field = forms.CharField(widget=forms.HiddenInput)
    text = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    variables = forms.CharField(required=False, widget=forms.HiddenInput)
    # Where in the text the variable will stand, as the browser counts.
    cursor = forms.CharField(required=False, widget=forms.HiddenInput)
    edit = forms.CharField(required=False, widget=forms.HiddenInput)
    source = forms.CharField(
        label=gettext_lazy("Value from"),
        error_messages={"required": gettext_lazy("Choose where the value comes from.")},
    )
    name = forms.CharField(
        label=gettext_lazy("Variable name"),
        max_length=NAME_LENGTH,
        error_messages={"required": gettext_lazy("Enter a name.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    empty = forms.ChoiceField(
        label=gettext_lazy("When it is empty"),
        choices=[
            (EmptyRule.NOTHING.value, gettext_lazy("Send nothing in its place")),
            (EmptyRule.DEFAULT.value, gettext_lazy("Send a default value")),
            (EmptyRule.SKIP.value, gettext_lazy("Skip this person")),
        ],
    )
    default = forms.CharField(
        label=gettext_lazy("Default value"), required=False, strip=False, max_length=1000
    )
    format = forms.CharField(
        label=gettext_lazy("Format"),
        required=False,
        max_length=40,
        help_text=gettext_lazy(
            "Dates like YYYY-MM-DD, numbers like 0.00. Empty sends it as it is."
        ),
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        sources: Sequence[VariableSource],
        opened: Mapping[str, Any] | None = None,
    ) -> None:
        """Show what was posted from the dialog, or what the panel ``opened`` it with."""
        super().__init__(data, initial=dict(opened or {}), auto_id="variable_%s")
        self.sources = sources
        self.rates: Rates = {}  # Put in once they are known.
        self.fields["default"].required = False
        name = clean_name(str((self.data if data is not None else self.initial).get("name") or ""))
        self.fields["name"].help_text = format_html(
            _("Stands in the text as {token}."), token="${" + (name or "…") + "}"
        )

    # --- What the template draws ------------------------------------------------------------------

    @property
    def source_rows(self) -> list[SourceRow]:
        chosen = self["source"].value()
        rows = []
        for source in self.sources:
            value = f"{source.source.value}:{source.code}"
            rate = self.rates.get((source.source, source.code))
            known = bool(rate and rate.total)
            rows.append(
                SourceRow(
                    value=value,
                    source=source,
                    example=_example(rate.example if rate else "", source.type),
                    share=_share(rate) if rate and known else "",
                    checked=value == chosen,
                    proposed=variables.proposed_name(source, self.others),
                    takes_format=source.type in _FORMATTED,
                )
            )
        return rows

    @property
    def empty_rows(self) -> list[tuple[str, str | Promise, bool]]:
        chosen = self["empty"].value() or EmptyRule.NOTHING.value
        choices: Any = self.fields["empty"].choices  # type: ignore[attr-defined]
        return [(code, label, code == chosen) for code, label in choices]

    @property
    def takes_format(self) -> bool:
        source = self._source(str(self["source"].value() or ""))
        return source is not None and source.type in _FORMATTED

    @property
    def edits(self) -> str:
        return str(self["edit"].value() or "")

    # --- What was posted --------------------------------------------------------------------------

    @property
    def panel_variables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the variables of all texts as the panel holds them."""
        return variables_in({"variables": str(self["variables"].value() or "")})

    @property
    def others(self) -> list[str]:
        """Return the names of the text's other variables."""
        of_text = self.panel_variables.get(str(self["parameter"].value() or ""), [])
        edited = clean_name(self.edits)
        return [each["name"] for each in of_text if clean_name(each["name"]) != edited]

    @property
    def in_text(self) -> list[str]:
        """Return the names of those that stand in the text, which can stand there once more."""
        text = str(self["text"].value() or "")
        return [name for name in self.others if "${" + name + "}" in text]

    def clean_name(self) -> str:
        name = clean_name(self.cleaned_data["name"])
        if problem := variables.name_problem(name, self.others):
            raise forms.ValidationError(problem, "invalid_name")
        return name

    def clean_source(self) -> str:
        value: str = self.cleaned_data["source"]
        if self._source(value) is None:
            raise forms.ValidationError(
                _("This source is no longer available. Choose another one."), "source_gone"
            )
        return value

    def clean_format(self) -> str:
        pattern: str = self.cleaned_data["format"].strip()
        if pattern and (problem := variables.format_problem(pattern)):
            raise forms.ValidationError(problem, "invalid_format")
        return pattern

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("empty") == EmptyRule.DEFAULT and not cleaned.get("default"):
            self.add_error(
                "default", forms.ValidationError(_("Enter the default value."), "required")
            )
        return cleaned

    @property
    def variable(self) -> Variable:
        """Return the variable; only when the form is valid."""
        found = self.cleaned_data
        source = self._source(found["source"])
        if source is None:
            raise ValueError("the form is not valid")
        return Variable(
            name=found["name"],
            source=source.source,
            code=source.code,
            empty=EmptyRule(found["empty"]),
            default=found["default"] if found["empty"] == EmptyRule.DEFAULT else "",
            format=found["format"] if source.type in _FORMATTED else "",
        )

    def with_variable(self) -> dict[str, list[dict[str, Any]]]:
        """Return the panel's variables with this one added, or in the place of the edited one."""
        of_text = self.panel_variables
        parameter, edited = self.cleaned_data["parameter"], clean_name(self.cleaned_data["edit"])
        mine = [each for each in of_text.get(parameter, []) if clean_name(each["name"]) != edited]
        return {**of_text, parameter: [*mine, self.variable.to_json()]}

    def without_edited(self) -> dict[str, list[dict[str, Any]]]:
        of_text = self.panel_variables
        parameter, edited = self.data.get("parameter", ""), clean_name(self.data.get("edit", ""))
        mine = [each for each in of_text.get(parameter, []) if clean_name(each["name"]) != edited]
        return {**of_text, parameter: mine}

    def _source(self, value: str) -> VariableSource | None:
        for source in self.sources:
            if f"{source.source.value}:{source.code}" == value:
                return source
        return None


def opened_with(data: QueryDict, *, box: str, sources: Sequence[VariableSource]) -> dict[str, Any]:
    """Return what a panel opens the dialog with: an old variable, or a free name for a new one."""
    parameter = data.get("insert", "")
    of_text = variables_in(data).get(parameter, [])
    edited = clean_name(data.get("edit", ""))
    found: dict[str, Any] = {
        "parameter": parameter,
        "field": box,
        "text": data.get(box.removeprefix("id_"), ""),
        "variables": json.dumps(variables_in(data)),
        "cursor": data.get("cursor", ""),
        "edit": edited,
        "empty": EmptyRule.NOTHING.value,
    }
    for each in of_text:
        if edited and clean_name(each["name"]) == edited:
            return {**found, **each, "source": f"{each['source']}:{each['code']}"}
    if sources:
        likeliest = sources[0]
        names = [each["name"] for each in of_text]
        found["source"] = f"{likeliest.source.value}:{likeliest.code}"
        found["name"] = variables.proposed_name(likeliest, names)
    return found


def inserted(text: str, token: str, cursor: str) -> str:
    """Return the text with the token at the browser's cursor, which counts UTF-16 units."""
    units = text.encode("utf-16-le")
    given = whole(cursor)
    place = len(units) if given is None else 2 * given
    before = units[:place].decode("utf-16-le", "ignore")
    return before + token + text[len(before) :]


def _share(rate: FillRate) -> str:
    if rate.filled and not rate.percent:
        return _("under %(percent)s filled") % {"percent": sentences.percent(1)}
    return _("%(percent)s filled") % {"percent": sentences.percent(rate.percent)}


def _example(raw: str, kind: str) -> str:
    if kind == AttributeType.DATE and (moment := moment_of(raw)):
        return date_format(moment, "DATE_FORMAT")
    if kind == AttributeType.NUMBER and (number := number_of(raw)) is not None:
        return number_format(number, force_grouping=True)
    return raw
