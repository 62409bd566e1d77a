"""The demo's two journeys, drawn and published as its marketer would."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from identity.models import IdType
from journeys import drafts, publishing
from journeys.components.audience import AudienceConfig
from journeys.components.event import Condition, EventConfig
from journeys.components.webhook import WebhookConfig
from journeys.demo import people, targets
from journeys.demo.tenant import CUSTOMER_ID, Tenant
from journeys.models import Journey, Run
from webhooks.models import Webhook
from webhooks.rendering import EmptyRule, Source, Variable

AUDIENCE_JOURNEY: Final = "Coupon for all customers"
EVENT_JOURNEY: Final = "Call after a purchase of 50 dollars or more"


def coupons(tenant: Tenant, webhooks: dict[str, Webhook], *, now: datetime) -> Run:
    """Publish the audience journey: a coupon for everybody, by the shop's customer id."""
    audience = tenant.workspace.audiences.get(name=people.EVERYBODY)
    nickname = Variable(
        name="name", source=Source.TAG, code="nickname", empty=EmptyRule.DEFAULT, default="Member"
    )
    orders = Variable(name="orders", source=Source.TAG, code="orders", empty=EmptyRule.SKIP)
    text = "Dear ${name} Hello, thank you for ${orders} orders. Here is a coupon."
    step = WebhookConfig(
        webhook=webhooks[targets.COUPONS].pk,
        values={
            "parameter 1 character": text,
            "amount": "20",
            "valid until": (now + timedelta(days=30)).date().isoformat(),
        },
        variables={"parameter 1 character": (nickname, orders)},
        id_type=_id_type(tenant, CUSTOMER_ID).pk,
    )
    config = AudienceConfig(audiences=(audience.pk,))
    return _publish(tenant, AUDIENCE_JOURNEY, "audience", config.to_json(), step, now)


def calls(tenant: Tenant, webhooks: dict[str, Webhook], *, now: datetime) -> Run:
    """Publish the event journey: a call after every purchase of 50 dollars or more."""
    purchase = tenant.workspace.event_types.get(code="purchase")
    amount = Variable(name="Amount", source=Source.EVENT, code="dollars", empty=EmptyRule.NOTHING)
    nickname = Variable(
        name="name", source=Source.EVENT, code="nickname", empty=EmptyRule.DEFAULT, default="Member"
    )
    step = WebhookConfig(
        webhook=webhooks[targets.CALLS].pk,
        values={"note": "Call ${name}, who bought for ${Amount} dollars", "queue": "service"},
        variables={"note": (nickname, amount)},
        id_type=_id_type(tenant, "MOBILE").pk,
    )
    config = EventConfig(
        event_type=purchase.pk,
        conditions=(Condition(attribute="dollars", op="at_least", value=50),),
    )
    return _publish(tenant, EVENT_JOURNEY, "event", config.to_json(), step, now)


def _publish(
    tenant: Tenant,
    name: str,
    start: str,
    start_config: dict[str, Any],
    step: WebhookConfig,
    now: datetime,
) -> Run:
    journey = drafts.create(
        workspace=tenant.workspace, user=tenant.marketer, name=name, start=start, now=now
    )
    key = UUID(journey.draft["start"]["key"])
    written = drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=tenant.marketer,
        key=key,
        name=people.EVERYBODY if start == "audience" else "Purchase",
        config=start_config,
        now=now,
    )
    written = drafts.add_step(
        journey=journey,
        revision=written.revision,
        user=tenant.marketer,
        component="webhook",
        after=None,
        name=step_name(start),
        config=step.to_json(),
        now=now,
    )
    return publishing.publish(
        journey=journey, revision=written.revision, user=tenant.marketer, now=now
    ).run


def step_name(start: str) -> str:
    return "Send the coupon" if start == "audience" else "Ask for a call"


def exists(tenant: Tenant, name: str) -> bool:
    return Journey.objects.filter(workspace=tenant.workspace, name=name).exists()


def _id_type(tenant: Tenant, code: str) -> IdType:
    return tenant.workspace.id_types.get(code=code)
