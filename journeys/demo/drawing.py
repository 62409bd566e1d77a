"""The main job's two journeys, drawn and published as the demo's marketer would."""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
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


class Start(NamedTuple):
    component: str
    name: str
    config: dict[str, Any]


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
        id_type=id_type(tenant, CUSTOMER_ID).pk,
    )
    journey = draw(
        tenant,
        AUDIENCE_JOURNEY,
        start=Start("audience", people.EVERYBODY, AudienceConfig((audience.pk,)).to_json()),
        step=("Send the coupon", step),
        now=now,
    )
    return publish(tenant, journey, now=now)


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
        id_type=id_type(tenant, "MOBILE").pk,
    )
    config = EventConfig(
        event_type=purchase.pk,
        conditions=(Condition(attribute="dollars", op="at_least", value=50),),
    )
    journey = draw(
        tenant,
        EVENT_JOURNEY,
        start=Start("event", "Purchase", config.to_json()),
        step=("Ask for a call", step),
        now=now,
    )
    return publish(tenant, journey, now=now)


def draw(
    tenant: Tenant, name: str, *, start: Start, step: tuple[str, WebhookConfig], now: datetime
) -> Journey:
    """Make a draft of a start and one webhook step, which has a name."""
    journey = drafts.create(
        workspace=tenant.workspace, user=tenant.marketer, name=name, start=start.component, now=now
    )
    written = drafts.save_step(
        journey=journey,
        revision=journey.draft_revision,
        user=tenant.marketer,
        key=UUID(journey.draft["start"]["key"]),
        name=start.name,
        config=start.config,
        now=now,
    )
    step_name, config = step
    drafts.add_step(
        journey=journey,
        revision=written.revision,
        user=tenant.marketer,
        component="webhook",
        after=None,
        name=step_name,
        config=config.to_json(),
        now=now,
    )
    journey.refresh_from_db()
    return journey


def publish(tenant: Tenant, journey: Journey, *, now: datetime) -> Run:
    return publishing.publish(
        journey=journey, revision=journey.draft_revision, user=tenant.marketer, now=now
    ).run


def exists(tenant: Tenant, name: str) -> bool:
    return Journey.objects.filter(workspace=tenant.workspace, name=name).exists()


def id_type(tenant: Tenant, code: str) -> IdType:
    return tenant.workspace.id_types.get(code=code)
