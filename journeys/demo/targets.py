"""The demo's webhooks, all of them paths of one receiver on this machine, and its configuration."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from django.db import transaction
from django.urls import reverse

from journeys.demo.tenant import CUSTOMER_ID, MEMBER_NO, Tenant
from qa_webhook import local
from webhooks import control, granting, keys, registering
from webhooks.choices import ParameterType, SecretKind
from webhooks.models import ChoiceList, Parameter, Webhook

CONFIGURATION: Final = local.DIRECTORY / "receiver.json"
COUPONS, CALLS, POINTS = "CRM coupons", "Call centre", "Loyalty points"
CARDS, TEXTS, PARTNERS = "Birthday cards", "Text messages", "Partner newsletter"

_TEMPLATES: Final = {
    COUPONS: "{parameter 1 character}",
    CALLS: "{note}",
    POINTS: "Discount activity at {parameter 1 character}",
    CARDS: "{parameter 1 character}",
    TEXTS: "{parameter 1 character}",
    PARTNERS: "{parameter 1 character}",
}
_PATHS: Final = {
    COUPONS: "/coupons",
    CALLS: "/calls",
    POINTS: "/points",
    CARDS: "/cards",
    TEXTS: "/texts",
    PARTNERS: "/partners",
}
# What the receiver refuses, so that there is a failure to look into.
_REFUSALS: Final = {CARDS: {"mode": "partial", "fail_percent": 5}}
_ID_TYPES: Final = {
    COUPONS: (CUSTOMER_ID, "MOBILE", "EMAIL"),
    CALLS: ("MOBILE", MEMBER_NO),
    POINTS: (MEMBER_NO,),
    CARDS: ("MOBILE", "EMAIL"),
    TEXTS: ("MOBILE",),
    PARTNERS: ("EMAIL",),
}


@transaction.atomic
def register(tenant: Tenant, *, receiver_url: str, now: datetime) -> dict[str, Webhook]:
    """Return the demo's webhooks by name, made or brought to the receiver's present address."""
    found = {webhook.name: webhook for webhook in tenant.workspace.webhooks.all()}
    for name in _PATHS:
        if name not in found:
            found[name] = _register(tenant, name, receiver_url, now)
        url = receiver_url + _PATHS[name]
        if found[name].url != url:
            found[name].url = url
            found[name].save(update_fields=["url"])
    return found


def write_configuration(
    webhooks: dict[str, Webhook], *, site_url: str, now: datetime, path: Path | None = None
) -> None:
    """Tell the demo's receiver each path's keys; readable by this user alone, since it has keys."""
    path = path or CONFIGURATION
    ledgers = {
        _PATHS[name]: {
            "secrets": keys.signing_secrets(webhook, now=now),
            "template": webhook.content_template,
            "receipts": {
                "url": site_url + reverse("api_receipts", args=[webhook.public_id]),
                "key": keys.reveal(keys.valid(webhook, SecretKind.RECEIPT, now=now)[0]),
                "code": "delivered",
            },
            **_REFUSALS.get(name, {}),
        }
        for name, webhook in webhooks.items()
        if name in _PATHS
    }
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"ledgers": ledgers}, file)
    fresh.replace(path)


def _register(tenant: Tenant, name: str, receiver_url: str, now: datetime) -> Webhook:
    webhook = Webhook(
        workspace=tenant.workspace,
        name=name,
        url=receiver_url + _PATHS[name],
        content_template=_TEMPLATES[name],
        carry_environment=True,
        receipts_enabled=True,
        receipt_codes={"delivered": "Delivered", "failed": "Failed"},
    )
    registering.prepare(webhook, actor=tenant.administrator)
    webhook.save()
    webhook.id_types.set(tenant.workspace.id_types.filter(code__in=_ID_TYPES[name]))
    for order, values in enumerate(_parameters(tenant, name)):
        Parameter.objects.create(webhook=webhook, order=order, **values)
    registering.settle(webhook=webhook, actor=tenant.administrator, now=now)
    keys.make(webhook=webhook, kind=SecretKind.RECEIPT, actor=tenant.administrator, now=now)
    if name != POINTS:
        _grant(tenant, webhook, now)
    if name == PARTNERS:
        (given,) = granting.grants_of(webhook)
        granting.end(grant=given, actor=tenant.administrator, now=now)
    if name == TEXTS:
        control.pause(webhook=webhook, actor=tenant.administrator, now=now)
    return webhook


def _grant(tenant: Tenant, webhook: Webhook, now: datetime) -> None:
    granting.grant(
        webhook=webhook,
        grantees=granting.Grantees(members=[_membership(tenant)]),
        actor=tenant.administrator,
        reason="The demo's marketer sends with it.",
        now=now,
    )


def _membership(tenant: Tenant) -> Any:
    return tenant.workspace.memberships.get(user=tenant.marketer)


def _parameters(tenant: Tenant, name: str) -> Sequence[dict[str, Any]]:
    content = {
        "name": "parameter 1 character",
        "display_name": "Content",
        "type": ParameterType.TEXT,
        "help_text": "What the customer reads.",
        "example": "Dear ${name} Hello",
        "max_length": 500,
    }
    if name == COUPONS:
        return [
            content,
            {
                "name": "amount",
                "display_name": "Coupon worth in dollars",
                "type": ParameterType.NUMERIC,
                "example": "20",
                "minimum": 1,
                "maximum": 100,
            },
            {
                "name": "valid until",
                "display_name": "Valid until",
                "type": ParameterType.DATE,
            },
            {
                "name": "campaign",
                "type": ParameterType.CHARACTER,
                "is_constant": True,
                "constant_value": "autumn",
            },
        ]
    if name == CALLS:
        queues = ChoiceList.objects.create(workspace=tenant.workspace, name="Queues")
        for order, (value, label) in enumerate([("service", "Service"), ("sales", "Sales")]):
            queues.choices.create(value=value, label=label, order=order)
        return [
            {
                "name": "note",
                "display_name": "Note for the agent",
                "type": ParameterType.TEXT,
                "example": "Bought for ${Amount} dollars",
            },
            {
                "name": "queue",
                "display_name": "Queue",
                "type": ParameterType.CHOICE,
                "choice_list": queues,
            },
        ]
    return [content]
