"""How far plans are: counted from chunk rows alone, in one statement, whatever their size."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import connection

_COUNTS: Final = """
WITH mine AS MATERIALIZED (
    SELECT plan_id, size, queued, delivered, dead, expired, cancelled, skipped, uncertain, unsent,
        tallies
    FROM webhooks_chunk WHERE plan_id = ANY(%(plans)s)
), tallied AS (
    SELECT plan_id, jsonb_object_agg(key, total) AS tallies
    FROM (
        SELECT plan_id, key, sum(value::bigint) AS total
        FROM mine, jsonb_each_text(tallies)
        WHERE tallies <> '{}'
        GROUP BY plan_id, key
    ) AS sums
    GROUP BY plan_id
), counted AS (
    SELECT plan_id, count(*) AS chunks, sum(size) AS planned, sum(queued) AS queued,
        sum(delivered) AS delivered, sum(dead) AS dead, sum(expired) AS expired,
        sum(cancelled) AS cancelled, sum(skipped) AS skipped, sum(uncertain) AS uncertain,
        sum(unsent) AS unsent
    FROM mine GROUP BY plan_id
)
SELECT plan_id, chunks, planned, queued, delivered, dead, expired, cancelled, skipped, uncertain,
    unsent, coalesce(tallies, '{}')
FROM counted LEFT JOIN tallied USING (plan_id)
"""

# Some million people: what a list of reasons costs does not grow with what was sent before.
_LATELY: Final = 2000
_REASONS: Final = """
SELECT key FROM (
    SELECT tallies FROM webhooks_chunk WHERE plan_id = ANY(%(plans)s)
    ORDER BY plan_id DESC, number DESC LIMIT %(lately)s
) AS latest, jsonb_each_text(tallies)
WHERE key !~ '^(default|blank):'
GROUP BY key ORDER BY sum(value::bigint) DESC, key
"""

_NUMBERS: Final = (
    "chunks",
    "planned",
    "queued",
    "delivered",
    "dead",
    "expired",
    "cancelled",
    "skipped",
    "uncertain",
    "unsent",
)


@dataclass(slots=True)
class Counts:
    """People of a plan by state; ``planned`` is the sum of the rest at every moment.

    ``unsent`` of those queued have not been tried yet; the others wait for another try.
    ``tallies`` counts by ``state:reason``, ``default:parameter:variable`` and ``blank:…``.
    """

    chunks: int = 0
    planned: int = 0
    queued: int = 0
    delivered: int = 0
    dead: int = 0
    expired: int = 0
    cancelled: int = 0
    skipped: int = 0
    uncertain: int = 0
    unsent: int = 0
    tallies: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        return self.planned - self.queued

    @property
    def retrying(self) -> int:
        return self.queued - self.unsent

    def by_reason(self, state: str) -> dict[str, int]:
        """Return how many ended in this state, by reason, the most frequent first."""
        found = {
            key.partition(":")[2]: number
            for key, number in self.tallies.items()
            if key.partition(":")[0] == state
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def counts(plan_ids: Sequence[int]) -> dict[int, Counts]:
    """Return the counts of each plan; a plan without a chunk has zeros."""
    found = {plan_id: Counts() for plan_id in plan_ids}
    if not found:
        return found
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"plans": list(found)})
        for plan_id, *numbers, tallies in cursor.fetchall():
            for name, number in zip(_NUMBERS, numbers, strict=True):
                setattr(found[plan_id], name, int(number))
            found[plan_id].tallies = json.loads(tallies)
    return found


def reasons_lately(plan_ids: Sequence[int]) -> list[str]:
    """Return ``state:reason`` of the latest people of the plans, the commonest first."""
    with connection.cursor() as cursor:
        cursor.execute(_REASONS, {"plans": list(plan_ids), "lately": _LATELY})
        return [key for (key,) in cursor.fetchall()]
