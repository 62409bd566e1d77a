from django.db import models
from django.utils.translation import gettext_lazy as _


class IdKind(models.TextChoices):
    """How the values of an ID type are validated and normalised."""

    TEXT = "text", _("Text")
    MOBILE = "mobile", _("Mobile number")
    EMAIL = "email", _("E-mail address")
    DIGITS = "digits", _("Digits")
    DEVICE = "device", _("Device ID")


class Pick(models.TextChoices):
    """Which of several values of one ID type a person is addressed by."""

    LATEST = "latest", _("The value seen last")
    EARLIEST = "earliest", _("The value seen first")


class TagType(models.TextChoices):
    TEXT = "text", _("Text")
    NUMBER = "number", _("Number")
    DATE = "date", _("Date")
    BOOLEAN = "boolean", _("Yes or no")
    LIST = "list", _("List")


class AudienceKind(models.TextChoices):
    LIST = "list", _("Uploaded list")
    RULES = "rules", _("Rules")


class AttributeType(models.TextChoices):
    TEXT = "text", _("Text")
    NUMBER = "number", _("Number")
    DATE = "date", _("Date")
    BOOLEAN = "boolean", _("Yes or no")
