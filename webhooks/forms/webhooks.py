"""The forms of webhook management: the webhook, its parameters, a choice list's choices."""

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.forms import BaseInlineFormSet
from django.utils.translation import gettext_lazy as _

from identity.models import IdType
from webhooks import egress, headers, own_headers, parameter_values, registering, values
from webhooks.answers import SuccessRule
from webhooks.bodies import content_problems
from webhooks.choices import ParameterType
from webhooks.forms.fields import HeadersField, IdTypesField, PairsField
from webhooks.models import Parameter, Webhook
from webhooks.previews import MASK
from webhooks.rendering import clean_name, name_problem
from workspaces.admin.base import ScopedForm

RECEIPT_CODES = 50


class WebhookForm(ScopedForm):
    """What an administrator sets about a webhook; keys, state and permissions are apart.

    ``effect`` is set for the second pass of a save that affects journeys: the form then shows
    what the save would do and asks once more.
    """

    effect: Any = None

    id_types = IdTypesField(
        IdType.objects.none(),
        label=_("ID types"),
        help_text=_("Which kinds of ID the other system understands. A step sends one of them."),
        error_messages={"required": _("Choose at least one ID type.")},
    )
    headers = HeadersField(
        form="Name: value",
        label=_("Custom headers"),
        required=False,
        help_text=_(
            "One “Name: value” a line; sent with every request. What is stored is never shown "
            "again: leave “••••” to keep a value, or type a new one."
        ),
    )
    receipt_codes = PairsField(
        form="code: meaning",
        label=_("Receipt codes"),
        required=False,
        help_text=_("One “code: meaning” a line, like “200: Coupon issued”."),
    )

    class Meta:
        model = Webhook
        fields = (
            "name",
            "url",
            "authentication",
            "headers",
            "carry_environment",
            "id_types",
            "content_template",
            "batch_size",
            "rate_per_second",
            "concurrency",
            "timeout_seconds",
            "expiry_hours",
            "guarantee",
            "answers_409",
            "success_field",
            "success_value",
            "receipts_enabled",
            "receipt_days",
            "receipt_codes",
        )
        widgets = {
            "url": forms.URLInput(attrs={"placeholder": "https://crm.example.com/webhook"}),
            "authentication": forms.RadioSelect,
            "content_template": forms.Textarea(attrs={"rows": 3}),
        }
        help_texts = {
            "name": _("Marketers choose the webhook by this name."),
            "url": _("Called with POST. https, unless the operator allows an internal address."),
            "authentication": _(
                "With a key every request is signed after Standard Webhooks; the key is made on "
                "the first save and shown once."
            ),
            "carry_environment": _(
                "Adds x-qa-… headers that name the workspace, journey, version, step and run."
            ),
            "content_template": _(
                "Shown to marketers filled in, like “Discount activity at {parameter name}”. "
                "The other system fills its own text; this one is not sent."
            ),
            "batch_size": _("How many people one request may hold."),
            "rate_per_second": _("Empty: as fast as the other system answers."),
            "expiry_hours": _("Counted from the first attempt; pauses do not count."),
            "answers_409": _("A 409 then counts as accepted: the message had arrived before."),
            "success_value": _("What the success field must hold for a 2xx to count."),
            "receipts_enabled": _("The other system reports later what became of a message."),
            "receipt_days": _("Later receipts are not accepted."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = Q(enabled=True)
        if self.instance.pk:
            offered |= Q(webhooks=self.instance.pk)
        found = IdType.objects.filter(offered, workspace=self.workspace).distinct()
        cast("IdTypesField", self.fields["id_types"]).queryset = found.order_by("priority")

    def clean_name(self) -> str:
        name = " ".join(str(self.cleaned_data["name"]).split())
        others = Webhook.objects.filter(workspace=self.workspace, name=name)
        if others.exclude(pk=self.instance.pk).exists():
            raise ValidationError(
                _("Another webhook has this name. Choose one that tells them apart."), "name_taken"
            )
        return name

    def clean_url(self) -> str:
        return egress.validate_url(self.cleaned_data["url"])

    def clean_headers(self) -> dict[str, str]:
        """Return the headers sealed: new values, and as they were those that are left masked."""
        typed: dict[str, str] = self.cleaned_data["headers"]
        stored: dict[str, str] = self.instance.headers
        new = {name: value for name, value in typed.items() if value != MASK}
        kept = {name: stored.get(name, "") for name in typed if name not in new}
        for name, sealed in kept.items():
            if not sealed:
                raise ValidationError(
                    _("No value is stored for “%(name)s”. Type it."), "no_value", {"name": name}
                )
        headers.validate({name: new.get(name, "kept") for name in typed})
        both = kept | own_headers.seal(self.instance, new)
        return {name: both[name] for name in typed}

    def clean_success_field(self) -> str:
        pointer: str = self.cleaned_data["success_field"].strip()
        if problem := SuccessRule.pointer_problem(pointer):
            raise ValidationError(str(problem), "no_pointer")
        return pointer

    def clean_receipt_codes(self) -> dict[str, str]:
        codes: dict[str, str] = self.cleaned_data["receipt_codes"]
        if len(codes) > RECEIPT_CODES or any(len(code) > 64 for code in codes):
            raise ValidationError(
                _("Enter at most %(count)d codes of at most 64 characters each."),
                "receipt_codes",
                {"count": RECEIPT_CODES},
            )
        return codes

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("success_field") and not cleaned.get("success_value"):
            self.add_error(
                "success_value",
                ValidationError(_("Enter the value that means success."), "success_value"),
            )
        if cleaned.get("receipts_enabled") and not cleaned.get("receipt_codes", True):
            self.add_error(
                "receipt_codes",
                ValidationError(_("Enter at least one code that a receipt may hold."), "no_codes"),
            )
        if self.effect:
            raise ValidationError(
                _("Nothing is saved yet. Read what the change does, then save again."), "confirm"
            )
        return cleaned


class ParameterForm(forms.ModelForm[Parameter]):
    """One parameter. What its type has no use for is emptied, so that nothing hidden is kept."""

    class Meta:
        model = Parameter
        fields = (
            "name",
            "display_name",
            "type",
            "required",
            "is_constant",
            "constant_value",
            "choice_list",
            "help_text",
            "example",
            "max_length",
            "minimum",
            "maximum",
            "date_format",
            "order",
        )
        widgets = {
            "constant_value": forms.TextInput,
            "order": forms.HiddenInput,
            "minimum": forms.TextInput(attrs={"inputmode": "decimal"}),
            "maximum": forms.TextInput(attrs={"inputmode": "decimal"}),
            "date_format": forms.TextInput(attrs={"placeholder": "YYYY-MM-DD"}),
        }
        help_texts = {
            "name": _("As the other system knows it."),
            "display_name": _("As the marketer sees it; empty: the name."),
            "is_constant": _("The same for every journey; marketers do not see it."),
            "date_format": _("Empty: ISO 8601, like 2026-12-31."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["order"].required = False

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if problem := name_problem(name):
            raise ValidationError(str(problem), "name")
        return clean_name(name)

    def clean_order(self) -> int:
        return self.cleaned_data["order"] or 0

    def clean_date_format(self) -> str:
        pattern: str = self.cleaned_data["date_format"].strip()
        is_date = self.cleaned_data.get("type") == ParameterType.DATE
        if is_date and pattern and values.date_format_problem(pattern):
            raise ValidationError(
                _("“%(format)s” is not a date format. Write it like YYYY-MM-DD HH:mm."),
                "date_format",
                {"format": pattern},
            )
        return pattern

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind = cleaned.get("type")
        self._empty_what_has_no_use(cleaned, kind)
        minimum, maximum = cleaned.get("minimum"), cleaned.get("maximum")
        if minimum is not None and maximum is not None and minimum > maximum:
            self.add_error(
                "maximum",
                ValidationError(_("The maximum is below the minimum."), "limits"),
            )
        if kind == ParameterType.CHOICE and not cleaned.get("choice_list"):
            self.add_error(
                "choice_list",
                ValidationError(_("Choose the list that the value is taken from."), "no_list"),
            )
        if cleaned.get("is_constant") and kind and not self.errors:
            self._check_constant(cleaned)
        return cleaned

    def _empty_what_has_no_use(self, cleaned: dict[str, Any], kind: Any) -> None:
        if kind != ParameterType.CHOICE:
            cleaned["choice_list"] = None
        if kind != ParameterType.NUMERIC:
            cleaned["minimum"] = cleaned["maximum"] = None
        if kind != ParameterType.DATE:
            cleaned["date_format"] = ""
        if kind in (ParameterType.NUMERIC, ParameterType.DATE, ParameterType.CHOICE):
            cleaned["max_length"] = None
        if not cleaned.get("is_constant"):
            cleaned["constant_value"] = ""

    def _check_constant(self, cleaned: dict[str, Any]) -> None:
        value = cleaned["constant_value"]
        made = Parameter(**{name: cleaned[name] for name in cleaned if name in _FROZEN})
        problem = parameter_values.problem({**made.frozen(), "required": True}, value)
        problem = problem or registering.constant_problem(cleaned["type"], value)
        if problem:
            self.add_error("constant_value", ValidationError(str(problem), "constant"))


_FROZEN = frozenset(ParameterForm.Meta.fields)


class ParameterFormSet(BaseInlineFormSet[Any, Any, forms.ModelForm[Any]]):
    """A webhook's parameters: names once each, and the content template names only these."""

    def clean(self) -> None:
        """Check names here instead of by ``validate_unique``, whose error stands at no field."""
        kept = [form for form in self.forms if self._is_kept(form)]
        names = [form.cleaned_data["name"] for form in kept]
        for form, problem in zip(kept, registering.parameter_name_problems(names), strict=True):
            if problem:
                form.add_error("name", ValidationError(problem, "name"))
        if any(form.errors for form in self.forms):
            return
        unknown = content_problems(self.instance.content_template, names)
        if unknown:
            raise ValidationError(
                _(
                    "The content template names “{%(name)s}”, which is no parameter. "
                    "Add the parameter, or write {{%(name)s}} for plain text."
                ),
                "unknown_placeholder",
                {"name": unknown[0]},
            )

    def _is_kept(self, form: forms.ModelForm[Any]) -> bool:
        cleaned = getattr(form, "cleaned_data", None) or {}
        return bool(cleaned.get("name")) and not cleaned.get("DELETE")


class SecretForm(forms.Form):
    """Asks for a new key: made here, or for AES one that the other system has already."""

    given = forms.CharField(
        label=_("AES key"),
        required=False,
        strip=True,
        help_text=_("16, 24 or 32 bytes in hex or base64. Leave it empty to have one made."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
