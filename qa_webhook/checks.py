"""Settings that would only fail later, said at start."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from webhooks.egress import Policy
from webhooks.secrets import Keyring, SecretError


@register(Tags.security)
def secrets(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    try:
        Keyring(settings.FIELD_KEYS)
    except SecretError as error:
        problems.append(
            Error(
                f"FIELD_KEYS cannot be used: {error}",
                hint="Write “id:key”, the key made with: openssl rand -base64 32",
                id="qa.E001",
            )
        )
    if len(settings.DELIVERY_KEY) < 32:
        problems.append(
            Error(
                "DELIVERY_KEY is shorter than 32 bytes.",
                hint="Make one with: openssl rand -base64 32",
                id="qa.E002",
            )
        )
    return problems


@register(Tags.security)
def egress(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        Policy.of(settings.EGRESS_ALLOW, ports=settings.EGRESS_PORTS)
    except ValueError as error:
        return [
            Error(
                f"EGRESS_ALLOW cannot be used: {error}.",
                hint="Write CIDR with an optional port: 10.1.0.0/16 or 10.1.2.3/32:8443.",
                id="qa.E003",
            )
        ]
    return []
