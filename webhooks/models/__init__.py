from webhooks.models.deliveries import Attempt, Delivery, Receipt
from webhooks.models.grants import GroupGrant, MemberGrant, UsageGrant
from webhooks.models.parameters import Choice, ChoiceList, Parameter
from webhooks.models.plans import Chunk, Lane, Message, Plan
from webhooks.models.redeliveries import Redelivery
from webhooks.models.test_sends import TestSend
from webhooks.models.webhooks import (
    Webhook,
    WebhookControl,
    WebhookRevision,
    WebhookSecret,
    WebhookUse,
)

__all__ = [
    "Attempt",
    "Choice",
    "ChoiceList",
    "Chunk",
    "Delivery",
    "GroupGrant",
    "Lane",
    "MemberGrant",
    "Message",
    "Parameter",
    "Plan",
    "Receipt",
    "Redelivery",
    "TestSend",
    "UsageGrant",
    "Webhook",
    "WebhookControl",
    "WebhookRevision",
    "WebhookSecret",
    "WebhookUse",
]
