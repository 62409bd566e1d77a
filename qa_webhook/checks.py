"""Settings that would only fail later, said at start."""

import base64
import binascii
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.security)
def field_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    if not settings.FIELD_KEYS:
        problems.append(Error("FIELD_KEYS is empty: secrets cannot be kept.", id="qa.E001"))
    for number, entry in enumerate(settings.FIELD_KEYS, start=1):
        key_id, colon, encoded = entry.partition(":")
        try:
            usable = len(base64.b64decode(encoded, validate=True)) == 32
        except binascii.Error:
            usable = False
        if not (key_id and colon and usable):
            # The entry itself is a secret: say which, not what.
            problems.append(
                Error(
                    f"Entry {number} of FIELD_KEYS is not “id:base64 of 32 bytes”.",
                    hint="Make one with: openssl rand -base64 32",
                    id="qa.E002",
                )
            )
    if len(settings.DELIVERY_KEY) < 32:
        problems.append(Error("DELIVERY_KEY is shorter than 32 bytes.", id="qa.E003"))
    return problems


@register(Tags.security)
def egress_allow(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    for entry in settings.EGRESS_ALLOW:
        network, _slash, rest = entry.rpartition("/")
        prefix, _colon, port = rest.partition(":")
        try:
            ip_network(f"{network.strip('[]')}/{prefix}")
            usable = not port or 0 < int(port) < 65_536
        except ValueError:
            usable = False
        if not usable:
            problems.append(
                Error(
                    f"“{entry}” in EGRESS_ALLOW is not a network.",
                    hint="Write CIDR with an optional port: 10.1.0.0/16 or 10.1.2.3/32:8443.",
                    id="qa.E004",
                )
            )
    return problems
