"""What the pages of audiences, events and people show: rules, and an event of every person."""

from datetime import datetime
from typing import Any, Final

from django.db import connection

from benchmarks.scenario import Scenario
from identity import partitions
from identity.choices import AttributeType, AudienceKind, TagType
from identity.models import Audience, EventType

# Half of the people.
RULES: Final = {
    "match": "all",
    "conditions": [
        {"tag": "orders", "operator": "at_least", "value": 15},
        {"id_type": "MOBILE", "operator": "has"},
    ],
}


def make(setting: Scenario, *, now: datetime) -> None:
    """Make an audience of rules, and let everybody have bought something in the last days."""
    shop = setting.workspace.data_sources.get(code="shop")
    setting.workspace.tags.create(
        code="orders", name="Orders", type=TagType.NUMBER, data_source=shop
    )
    Audience.objects.create(
        workspace=setting.workspace,
        name="Ordered often",
        kind=AudienceKind.RULES,
        rules=RULES,
        updated_at=now,
    )
    purchase = setting.workspace.event_types.create(code="purchase", name="Purchase")
    purchase.attributes.create(code="amount", name="Amount", type=AttributeType.NUMBER)
    _report(purchase, now)


def _report(event_type: EventType, now: datetime) -> None:
    month = now.year * 12 + now.month - 1
    partitions.ensure_months([month - 1, month], now=now)
    columns = "workspace_id, event_id, event_type_id, profile_id, attributes"
    values = (
        "workspace_id, 'order-' || qaid, %(type)s, qaid, jsonb_build_object('amount', qaid %% 900)"
    )
    rows = (
        "SELECT *, %(now)s - qaid %% 600000 * interval '1 second' AS moment"
        " FROM identity_profile WHERE workspace_id = %(workspace)s"
    )
    told: dict[str, Any] = {"type": event_type.pk, "now": now, "workspace": event_type.workspace_id}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO identity_event ({columns}, occurred_at, received_at)"
            f" SELECT {values}, moment, moment FROM ({rows}) AS person",
            told,
        )
        # Taken already, so that nobody waits for a journey to start.
        cursor.execute(
            f"INSERT INTO identity_incomingevent ({columns}, occurred_at, received_at, taken_at)"
            f" SELECT {values}, moment, moment, moment FROM ({rows}) AS person",
            told,
        )
        cursor.execute("SELECT identity_analyze()")
