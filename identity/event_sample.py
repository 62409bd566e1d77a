"""One event of a type as a command that a developer can send, ready to copy."""

import json
from datetime import datetime
from typing import Any, Final

from identity.choices import AttributeType, IdKind
from identity.models import EventType

_VALUES: Final[dict[str, Any]] = {
    AttributeType.TEXT: "text",
    AttributeType.NUMBER: 59.9,
    AttributeType.BOOLEAN: True,
}
_IDS: Final[dict[str, str]] = {IdKind.MOBILE: "13800000000", IdKind.EMAIL: "name@example.com"}


def curl(event_type: EventType, *, address: str, now: datetime) -> str:
    """Return the command; the key of the API stands in ``$EVENTS_KEY``.

    Codes hold no quotation marks and the values are ours, so nothing needs to be quoted.
    """
    id_type = event_type.workspace.id_types.mapping().first()
    sample: dict[str, Any] = {
        "event_id": f"test-{now:%Y%m%d%H%M%S}",
        "event_type": event_type.code,
        "ids": {id_type.code: _IDS.get(id_type.kind, "1001")} if id_type else {},
        "attributes": {
            attribute.code: _VALUES.get(attribute.type, f"{now:%Y-%m-%d}")
            for attribute in event_type.attributes.all()
        },
    }
    return (
        f"curl -X POST {address} \\\n"
        '  -H "authorization: Bearer $EVENTS_KEY" -H "content-type: application/json" \\\n'
        f"  -d '{json.dumps({'events': [sample]})}'"
    )
