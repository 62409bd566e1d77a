from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from webhooks.choices import ParameterType


class ChoiceList(models.Model):
    """A constant list that a parameter of the type *choice* takes its value from."""

    workspace = models.ForeignKey(
        "workspaces.Workspace", on_delete=models.CASCADE, related_name="choice_lists"
    )
    name = models.CharField(_("name"), max_length=200)

    class Meta:
        verbose_name = _("choice list")
        verbose_name_plural = _("choice lists")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"], name="webhooks_choice_list_name_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Choice(models.Model):
    choice_list = models.ForeignKey(ChoiceList, on_delete=models.CASCADE, related_name="choices")
    value = models.CharField(_("value"), max_length=200)
    label = models.CharField(_("label"), max_length=200)
    order = models.PositiveIntegerField(_("order"), default=0)

    class Meta:
        verbose_name = _("choice")
        verbose_name_plural = _("choices")
        ordering = ["order", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["choice_list", "value"], name="webhooks_choice_value_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.label


class Parameter(models.Model):
    """A named, typed value that a webhook needs; a constant one is never shown to a marketer."""

    webhook = models.ForeignKey(
        "webhooks.Webhook", on_delete=models.CASCADE, related_name="parameters"
    )
    name = models.CharField(_("parameter name"), max_length=64)
    display_name = models.CharField(_("display name"), max_length=200, blank=True)
    type = models.CharField(
        _("type"), max_length=10, choices=ParameterType, default=ParameterType.TEXT
    )
    required = models.BooleanField(_("required"), default=True)
    is_constant = models.BooleanField(_("constant"), default=False)
    constant_value = models.TextField(_("constant value"), blank=True)
    choice_list = models.ForeignKey(
        ChoiceList,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="parameters",
        verbose_name=_("choice list"),
    )
    help_text = models.CharField(_("help text"), max_length=500, blank=True)
    example = models.CharField(_("example"), max_length=500, blank=True)
    max_length = models.PositiveIntegerField(_("maximum length"), null=True, blank=True)
    minimum = models.DecimalField(
        _("minimum"), max_digits=20, decimal_places=6, null=True, blank=True
    )
    maximum = models.DecimalField(
        _("maximum"), max_digits=20, decimal_places=6, null=True, blank=True
    )
    date_format = models.CharField(_("date format"), max_length=40, blank=True)
    order = models.PositiveIntegerField(_("order"), default=0)

    class Meta:
        verbose_name = _("parameter")
        verbose_name_plural = _("parameters")
        ordering = ["order", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "name"], name="webhooks_parameter_name_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        return self.display_name or self.name

    def frozen(self) -> dict[str, Any]:
        """Return the parameter as a revision keeps it: plain JSON, choices included."""
        choices = (
            [[choice.value, choice.label] for choice in self.choice_list.choices.all()]
            if self.choice_list
            else []
        )
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "required": self.required,
            "is_constant": self.is_constant,
            "constant_value": self.constant_value,
            "choices": choices,
            "help_text": self.help_text,
            "example": self.example,
            "max_length": self.max_length,
            "minimum": str(self.minimum) if self.minimum is not None else None,
            "maximum": str(self.maximum) if self.maximum is not None else None,
            "date_format": self.date_format,
        }
