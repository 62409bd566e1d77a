"""Making the exact bytes of a message again from what its deliveries keep: IDs and texts."""

from collections.abc import Sequence
from datetime import date

from django.db import connection

from webhooks.plans import CompiledPlan
from webhooks.rendering import Rendered
from webhooks.work import Recipient

_ROWS = """
SELECT id, position, qaid, sent_id, reach_id, texts, defaulted, blanked
FROM webhooks_delivery WHERE day = %s AND id = ANY(%s)
"""


def part(plan: CompiledPlan, recipient: Recipient) -> str:
    """Return one person's piece of a body, as it was made the first time."""
    rendered = Rendered(recipient.texts or [], recipient.defaulted, recipient.blanked)
    # The two are one object when one ID was sent; the body's fast path looks at that.
    reach = recipient.sent_id if recipient.reach_id == recipient.sent_id else recipient.reach_id
    return plan.body.recipient(recipient.delivery_id, recipient.sent_id, reach, rendered)


def body(plan: CompiledPlan, message_id: str, recipients: Sequence[Recipient]) -> bytes:
    return plan.body.message(message_id, [each.part or part(plan, each) for each in recipients])


def read(day: date, delivery_ids: Sequence[str]) -> list[Recipient]:
    """Return the people behind delivery ids as their rows keep them, in the order asked."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [day, list(delivery_ids)])
        found = {
            row[0]: Recipient(
                position=row[1],
                delivery_id=row[0],
                qaid=row[2],
                sent_id=row[3],
                reach_id=row[4],
                texts=row[5],
                defaulted=row[6],
                blanked=row[7],
            )
            for row in cursor.fetchall()
        }
    return [found[each] for each in delivery_ids if each in found]
