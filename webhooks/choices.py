"""The closed lists of the webhooks app, apart from the models so that constraints can name them."""

from enum import IntEnum

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class WebhookState(models.TextChoices):
    ACTIVE = "active", _("Active")
    PAUSED = "paused", _("Paused")
    DISABLED = "disabled", _("Disabled")


class Authentication(models.TextChoices):
    NONE = "none", _("None")
    KEY = "key", _("Key (every request is signed)")


class Guarantee(models.TextChoices):
    AT_LEAST_ONCE = "at_least_once", _("At least once")
    AT_MOST_ONCE = "at_most_once", _("At most once")


class ParameterType(models.TextChoices):
    CHARACTER = "character", _("Short text (the same for everyone)")
    NUMERIC = "numeric", pgettext_lazy("parameter type", "Number")
    TEXT = "text", _("Text (may hold variables)")
    DATE = "date", pgettext_lazy("parameter type", "Date")
    CHOICE = "choice", _("Choice (from a list)")


class Encryption(models.TextChoices):
    NONE = "none", _("Not encrypted")
    MD5 = "md5", _("MD5")
    SHA256 = "sha256", _("SHA-256")
    AES = "aes", _("AES")


class SecretKind(models.TextChoices):
    SIGNING = "signing", _("Signing key")
    AES = "aes", _("AES key for IDs")
    RECEIPT = "receipt", _("Receipt key")


class DeliveryState(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    DELIVERED = "delivered", _("Accepted")
    DEAD = "dead", _("Failed")
    EXPIRED = "expired", _("Too late")
    CANCELLED = "cancelled", _("Taken out")
    SKIPPED = "skipped", _("Skipped")
    UNCERTAIN = "uncertain", _("Outcome unknown")


class StateByte(IntEnum):
    """One person's state in ``Chunk.states``; ``ADVANCED`` is a flag on top of an ended state."""

    QUEUED = 0
    DELIVERED = 1
    DEAD = 2
    EXPIRED = 3
    CANCELLED = 4
    SKIPPED = 5
    UNCERTAIN = 6
    WAITING = 7  # A message row holds this person until its next try; counted as queued.
    ADVANCED = 0x80


class PlanState(models.TextChoices):
    ACTIVE = "active", _("Active")
    PAUSED = "paused", _("Paused")
    CANCELLED = "cancelled", _("Cancelled")


class AttemptKind(models.TextChoices):
    AUTO = "auto", _("Automatic")
    MANUAL = "manual", _("Sent again by a person")
    UNKNOWN = "unknown", _("Outcome unknown: the sender stopped while it was open")
    LATE = "late", _("Answer after the sender had lost its turn")


class BreakerState(models.TextChoices):
    CLOSED = "closed", pgettext_lazy("breaker", "Closed")
    OPEN = "open", pgettext_lazy("breaker", "Open")
    PROBING = "probing", _("Probing")
