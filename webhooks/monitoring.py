"""How webhooks do at this moment: state, breaker, queue, rate, errors, as every reader needs it.

Set-based, from rows that are there anyway: nothing is counted for it while people are sent to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.utils.functional import Promise

from webhooks import answers, holding
from webhooks.choices import BreakerState, WebhookState

# What "now" means for rates, and how far back the last errors are looked for.
NOW_SECONDS: Final = 60
ERRORS_HOURS: Final = 24
# So many of the last minute's deliveries are read of each workspace, and attempts of each webhook.
LATEST_ROWS = 10_000
# Chunks older than this have few people left; their partitions are not looked into.
_DAYS: Final = 14
_ROWS_A_PLAN: Final = 20
_ATTEMPTS: Final = 500
_PLANS: Final = 200

_CONDITIONS: Final = """
SELECT w.id, w.name, s.slug, w.rate_per_second, w.concurrency, c.state, c.reason, c.changed_at,
    c.breaker, c.breaker_until, c.breaker_opened_at, c.breaker_reason,
    s.sending_stopped_at IS NOT NULL, clock_timestamp(),
    coalesce(queue.waiting, 0), coalesce(queue.waiting - queue.unsent, 0),
    coalesce(queue.held, 0) + coalesce(held.people, 0),
    least(chunk.due_at, message.due_at), following.due_at
FROM webhooks_webhook w
JOIN workspaces_workspace s ON s.id = w.workspace_id
JOIN webhooks_webhookcontrol c ON c.webhook_id = w.id
LEFT JOIN (
    SELECT webhook_id, sum(queued) AS waiting, sum(unsent) AS unsent,
        sum(unsent) FILTER (WHERE due_at > %(held)s) AS held
    FROM webhooks_chunk WHERE queued > 0 GROUP BY webhook_id
) AS queue ON queue.webhook_id = w.id
LEFT JOIN LATERAL (
    SELECT k.due_at FROM (
        SELECT k.due_at, k.plan_id FROM webhooks_chunk k
        WHERE k.webhook_id = w.id AND k.unsent > 0 AND k.due_at <= statement_timestamp()
        ORDER BY k.due_at OFFSET 0
    ) AS k
    WHERE EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = k.plan_id AND p.state = 'active')
    ORDER BY k.due_at LIMIT 1
) AS chunk ON queue.unsent > 0
LEFT JOIN LATERAL (
    SELECT m.due_at FROM (
        SELECT m.due_at, m.plan_id FROM webhooks_message m
        WHERE m.webhook_id = w.id AND m.due_at <= statement_timestamp()
        ORDER BY m.due_at OFFSET 0
    ) AS m
    WHERE EXISTS (SELECT 1 FROM webhooks_plan p WHERE p.id = m.plan_id AND p.state = 'active')
    ORDER BY m.due_at LIMIT 1
) AS message ON queue.waiting > queue.unsent
LEFT JOIN LATERAL (
    SELECT m.due_at FROM webhooks_message m
    WHERE m.webhook_id = w.id AND m.due_at > statement_timestamp() AND m.due_at <= %(held)s
    ORDER BY m.due_at LIMIT 1
) AS following ON queue.waiting > queue.unsent
LEFT JOIN LATERAL (
    SELECT sum(cardinality(m.positions)) AS people FROM webhooks_message m
    WHERE m.webhook_id = w.id AND m.due_at > %(held)s
) AS held ON queue.waiting > queue.unsent
WHERE (%(webhooks)s::bigint[] IS NULL OR w.id = ANY(%(webhooks)s))
ORDER BY s.slug, w.name
"""

# Each try counts once: the first stands in the delivery's row, the others are attempts.
# ``statement_timestamp()`` and not the clock: what may change from row to row uses no index.
# Of a busy workspace the latest are read, and stand for the whole minute.
_LATEST: Final = """
    SELECT *, CASE WHEN count(*) OVER all_of_it < %(rows)s THEN 1
        ELSE %(seconds)s / greatest(1, extract(epoch FROM
            statement_timestamp() - min(found.updated_at) OVER all_of_it)) END AS weight
    FROM (
        SELECT d.webhook_id, d.chunk_id, d.message_id, d.state, d.reason, d.status_code,
            d.first_attempt_at, d.updated_at
        FROM webhooks_delivery d
        WHERE d.workspace_id = s.id AND d.day >= current_date - %(days)s
            AND d.updated_at > statement_timestamp() - make_interval(secs => %(seconds)s)
        ORDER BY d.updated_at DESC LIMIT %(rows)s
    ) AS found
    WINDOW all_of_it AS ()
"""
_TRIED: Final = "d.first_attempt_at > statement_timestamp() - make_interval(secs => %(seconds)s)"
_TRIES: Final = f"""
WITH tries AS (
    SELECT d.webhook_id, d.message_id, d.weight, 1 AS number, CASE
        WHEN d.status_code >= 300 THEN 'status_' || d.status_code
        WHEN d.state = 'delivered' THEN 'accepted'
        ELSE coalesce(nullif(d.reason, ''), 'unknown') END AS class
    FROM workspaces_workspace s CROSS JOIN LATERAL ({_LATEST}) AS d
    WHERE {_TRIED} AND (%(webhooks)s::bigint[] IS NULL OR s.id IN (
        SELECT workspace_id FROM webhooks_webhook WHERE id = ANY(%(webhooks)s)))
    UNION ALL
    SELECT w.id, a.message_id, a.weight, a.number, CASE
        WHEN a.kind IN ('unknown', 'late') THEN a.kind
        WHEN a.outcome <> 'answered' THEN a.outcome
        WHEN a.status_code < 300 THEN 'accepted'
        ELSE 'status_' || a.status_code END
    FROM webhooks_webhook w CROSS JOIN LATERAL (
        SELECT *, CASE WHEN count(*) OVER all_of_it < %(rows)s THEN 1
            ELSE %(seconds)s / greatest(1, extract(epoch FROM
                statement_timestamp() - min(found.at) OVER all_of_it)) END AS weight
        FROM (
            SELECT a.message_id, a.number, a.kind, a.outcome, a.status_code, a.at
            FROM webhooks_attempt a
            WHERE a.webhook_id = w.id AND a.day >= current_date - %(days)s
                AND a.at > statement_timestamp() - make_interval(secs => %(seconds)s)
            ORDER BY a.at DESC LIMIT %(rows)s
        ) AS found
        WINDOW all_of_it AS ()
    ) AS a
    WHERE %(webhooks)s::bigint[] IS NULL OR w.id = ANY(%(webhooks)s)
)
SELECT webhook_id, class, round(sum(weight))::bigint FROM (
    SELECT DISTINCT webhook_id, class, message_id, number, weight FROM tries
) AS requests
WHERE %(webhooks)s::bigint[] IS NULL OR webhook_id = ANY(%(webhooks)s)
GROUP BY webhook_id, class ORDER BY webhook_id, 3 DESC
"""

_ERRORS: Final = """
WITH plans AS (
    SELECT id FROM webhooks_plan WHERE webhook_id = %(webhook)s ORDER BY id DESC LIMIT %(plans)s
), seen AS (
    SELECT d.id, d.reason AS class, d.status_code, d.answer, d.updated_at AS at
    FROM plans CROSS JOIN unnest(ARRAY['queued', 'dead', 'uncertain', 'expired']) AS wanted (state)
    CROSS JOIN LATERAL (
        SELECT * FROM webhooks_delivery d
        WHERE d.plan_id = plans.id AND d.state = wanted.state AND d.state <> 'delivered'
            AND d.day >= current_date - %(days)s AND d.reason <> ''
            AND d.updated_at > statement_timestamp() - make_interval(hours => %(hours)s)
        ORDER BY d.updated_at DESC LIMIT %(rows)s
    ) AS d
    WHERE d.reason NOT LIKE 'open_%%' AND d.reason <> 'redelivery'
    UNION ALL
    (SELECT a.delivery_id, CASE WHEN a.outcome <> 'answered' THEN a.outcome
        ELSE 'status_' || a.status_code END, a.status_code, a.answer, a.at
    FROM (
        SELECT * FROM webhooks_attempt a
        WHERE a.webhook_id = %(webhook)s AND a.day >= current_date - %(days)s
            AND a.at > statement_timestamp() - make_interval(hours => %(hours)s)
        ORDER BY a.at DESC LIMIT %(attempts)s
    ) AS a
    WHERE a.outcome <> 'answered' OR a.status_code >= 300)
)
SELECT DISTINCT ON (class) class, at, id, status_code, answer FROM seen
ORDER BY class, at DESC
"""


_DEAD: Final = f"""
SELECT d.webhook_id, d.reason, round(sum(d.weight))::bigint
FROM workspaces_workspace s CROSS JOIN LATERAL ({_LATEST}) AS d
JOIN webhooks_webhook w ON w.id = d.webhook_id
WHERE d.state = 'dead'
GROUP BY d.webhook_id, d.reason
"""

_DUE_TO_SENT: Final = f"""
SELECT webhook_id, took[1], took[2] FROM (
    SELECT d.webhook_id, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY
        greatest(0, extract(epoch FROM d.first_attempt_at - k.due_at)::float8)) AS took
    FROM workspaces_workspace s CROSS JOIN LATERAL ({_LATEST}) AS d
    JOIN webhooks_chunk k ON k.id = d.chunk_id
    JOIN webhooks_webhook w ON w.id = d.webhook_id
    WHERE {_TRIED}
    GROUP BY d.webhook_id
) AS found
"""

_QUEUE: Final = """
SELECT coalesce(sum(unsent) FILTER (WHERE due_at > %(held)s), 0),
    coalesce(max(extract(epoch FROM clock_timestamp() - due_at))
        FILTER (WHERE lease IS NULL AND unsent > 0), 0)
FROM webhooks_chunk WHERE plan_id = %(plan)s AND queued > 0
"""
_QUEUED_MESSAGES: Final = """
SELECT (SELECT coalesce(sum(cardinality(positions)), 0) FROM webhooks_message
        WHERE plan_id = %(plan)s AND due_at > %(held)s),
    (SELECT min(due_at) FROM webhooks_message WHERE plan_id = %(plan)s AND due_at <= %(held)s),
    (SELECT reason FROM webhooks_delivery
        WHERE plan_id = %(plan)s AND state = 'queued' AND reason NOT LIKE 'open_%%'
            AND reason <> 'redelivery'
        ORDER BY updated_at DESC LIMIT 1)
"""


@dataclass(slots=True)
class Queue:
    """Why those of one plan wait who are not simply being sent to."""

    held: int = 0  # People whom an operator holds back.
    overdue_seconds: float = 0.0  # How long somebody is due whom nobody has taken.
    next_due: datetime | None = None  # The next try of whoever was tried.
    last_reason: str = ""  # How the last try of somebody who waits ended.


@dataclass(frozen=True, slots=True)
class ErrorSeen:
    """The last error of one class, with the delivery it happened to."""

    reason: str  # A stored reason or outcome; ``sentence`` says it in words.
    at: datetime
    delivery_id: str
    status_code: int | None
    answer: str

    @property
    def sentence(self) -> str | Promise:
        return answers.reason_sentence(self.reason)

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts, with the sentence."""
        return {
            "reason": self.reason,
            "sentence": str(self.sentence),
            "at": self.at.isoformat(),
            "delivery_id": self.delivery_id,
            "status_code": self.status_code,
            "answer": self.answer,
        }


@dataclass(slots=True)
class Condition:
    """One webhook at one moment."""

    id: int
    name: str
    workspace: str  # Its short name.
    rate_limit: int | None  # Requests a second.
    concurrency: int
    state: str
    reason: str
    changed_at: datetime
    breaker: str
    breaker_until: datetime | None
    breaker_opened_at: datetime | None  # Since when it is open, with pauses and probes.
    breaker_reason: str  # How the last failure was that counted.
    is_stopped: bool  # All sending of the workspace.
    now: datetime  # By the database's clock.
    waiting: int  # People, whether tried already or not.
    retrying: int  # Of them, those who wait for another try.
    held: int  # Of them, those whom an operator holds back.
    oldest_due: datetime | None  # What should have gone out longest ago, of what may.
    next_due: datetime | None  # The next try that is not due yet.
    # By class of answer, of the last minute.
    requests: dict[str, int] = field(default_factory=dict)

    @property
    def oldest_due_seconds(self) -> float:
        """Return how long the oldest waits that should have gone out; 0 when none does."""
        return max(0.0, (self.now - self.oldest_due).total_seconds()) if self.oldest_due else 0.0

    @property
    def rate(self) -> float:
        """Return the requests a second of the last minute."""
        return sum(self.requests.values()) / NOW_SECONDS

    @property
    def breaker_sentence(self) -> str | Promise:
        return answers.reason_sentence(self.breaker_reason) if self.breaker_reason else ""

    @property
    def breaker_is_open(self) -> bool:
        return self.breaker != BreakerState.CLOSED

    @property
    def is_active(self) -> bool:
        return self.state == WebhookState.ACTIVE

    def as_json(self) -> dict[str, Any]:
        """Return it for scripts: times as text, ages in seconds."""
        return {
            "id": self.id,
            "name": self.name,
            "workspace": self.workspace,
            "state": self.state,
            "reason": self.reason,
            "changed_at": self.changed_at.isoformat(),
            "breaker": self.breaker,
            "breaker_until": self.breaker_until and self.breaker_until.isoformat(),
            "breaker_opened_at": self.breaker_opened_at and self.breaker_opened_at.isoformat(),
            "breaker_reason": self.breaker_reason,
            "is_stopped": self.is_stopped,
            "people_waiting": self.waiting,
            "people_retrying": self.retrying,
            "people_held": self.held,
            "oldest_due_seconds": round(self.oldest_due_seconds, 1),
            "next_due": self.next_due and self.next_due.isoformat(),
            "requests_per_second": round(self.rate, 2),
            "rate_limit": self.rate_limit,
            "concurrency": self.concurrency,
            "requests_last_minute": self.requests,
        }


def conditions(webhook_ids: Sequence[int] | None = None) -> list[Condition]:
    """Return how webhooks do, all of them or these, by workspace and name."""
    chosen = None if webhook_ids is None else list(webhook_ids)
    with connection.cursor() as cursor:
        cursor.execute(_CONDITIONS, {"webhooks": chosen, "held": holding.HELD_AFTER})
        found = [Condition(*row) for row in cursor.fetchall()]
    by_id = {each.id: each for each in found}
    for webhook_id, name, requests in _lately(_TRIES, webhooks=chosen):
        if webhook_id in by_id:
            by_id[webhook_id].requests[name] = requests
    return found


def _lately(statement: str, **values: Any) -> list[Any]:
    """Read of the last minute, along the index and no further than the limit.

    Statistics know nothing of the last minute: PostgreSQL would take it for few rows, and read
    and sort all of them for the latest.
    """
    given = {"days": _DAYS, "seconds": NOW_SECONDS, "rows": LATEST_ROWS, **values}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(statement, given)
        found = list(cursor.fetchall())
        cursor.execute("SET LOCAL enable_sort = DEFAULT")
    return found


def dead_lately() -> list[tuple[int, str, int]]:
    """Return webhook, reason and number of those who failed in the last minute."""
    return _lately(_DEAD)


def due_to_sent() -> list[tuple[int, float, float]]:
    """Return webhook, median and 95th percentile of seconds from due to the first try."""
    return _lately(_DUE_TO_SENT)


def queue_of(plan_id: int, *, retrying: bool) -> Queue:
    """Return why people of a plan wait; what only those who were tried can have is asked then."""
    found = Queue()
    values: dict[str, int | datetime] = {"plan": plan_id, "held": holding.HELD_AFTER}
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, values)
        held, overdue = cursor.fetchone()
        found.held, found.overdue_seconds = int(held), float(overdue)
        if retrying:
            cursor.execute(_QUEUED_MESSAGES, values)
            held, found.next_due, reason = cursor.fetchone()
            found.held += int(held)
            found.last_reason = reason or ""
    return found


def errors(webhook_id: int) -> list[ErrorSeen]:
    """Return the last error of each class within a day, the latest first."""
    values = {
        "webhook": webhook_id,
        "plans": _PLANS,
        "rows": _ROWS_A_PLAN,
        "attempts": _ATTEMPTS,
        "days": _DAYS,
        "hours": ERRORS_HOURS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ERRORS, values)
        found = [ErrorSeen(*row) for row in cursor.fetchall()]
    return sorted(found, key=lambda seen: seen.at, reverse=True)
