"""What a marketer sees while drawing: coverage, fill rates, and the request of a real person.

With an event start, people are those who reported the event in the last 30 days.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError, connection
from django.utils.translation import gettext as _

from identity import audiences, masking, people, resolution
from identity.models import IdType
from identity.resolution import Person
from journeys import components
from journeys.component import Context, PeopleQuery
from journeys.components.webhook import WebhookConfig, newest_revision
from webhooks import headers, keys, plans, previews
from webhooks.answers import reason_sentence
from webhooks.bodies import compile_body, fill_content, pretty
from webhooks.choices import Authentication, Encryption
from webhooks.encryption import encryptor
from webhooks.ids import DeliveryIds, MessageIds
from webhooks.models import Webhook, WebhookRevision
from webhooks.rendering import (
    BindingError,
    ParameterPlan,
    Piece,
    Rendered,
    RenderingError,
    Skipped,
    Source,
)
from webhooks.secrets import SecretError

SAMPLES: Final = 20
DAYS_OF_PEOPLE: Final = 30
# What took longer than this to count is kept for so long.
SLOW_SECONDS: Final = 0.2
KEPT_SECONDS: Final = 60
# So long a panel or dialog waits for its numbers; what takes longer is counted once it is there.
AT_ONCE: Final = timedelta(seconds=1)
SLOW_IS_KEPT_SECONDS: Final = 600
# Made anew for every request, so a preview only shows where it stands.
_SIGNATURE: Final = "v1,…"
_EMPTY: Final[tuple[Any, ...]] = (None, "", [])
_MASKED_HEADERS: Final = frozenset({"authorization", "cookie"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many people can be addressed by each ID type, by its key."""

    people: int
    covered: Mapping[int, int]
    is_known: bool = True  # Else it took too long to count.

    @property
    def is_nobody(self) -> bool:
        return self.people == 0


@dataclass(frozen=True, slots=True)
class FillRate:
    """How many have a value. ``example`` is one of them, empty when a member may not see it."""

    filled: int
    total: int
    example: str

    @property
    def percent(self) -> int:
        return self.filled * 100 // self.total if self.total else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A real person to preview with: an event's attributes too, with an event start."""

    qaid: int
    label: str  # An ID, masked as the member has to see it.
    event_id: str = ""
    occurred_at: datetime | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LivePreview:
    """The exact request that a sample would cause, or why there would be none.

    ``texts`` holds each text parameter in pieces that mark values, defaults and blanks.
    """

    sample: Sample | None = None
    head: str = ""
    body: str = ""
    content: str = ""
    texts: Mapping[str, Sequence[Piece]] = field(default_factory=dict)
    skipped: str = ""  # A sentence.
    problem: str = ""  # A sentence: the step is not complete enough to be drawn.


def coverage(context: Context, id_types: Sequence[IdType]) -> Coverage:
    """Count whom each ID type reaches on the journey's start; one statement for all of them.

    A count that took long is good for a minute, so that a panel opens at once the next time.
    """
    people = people_of(context)
    covered = {id_type.pk: 0 for id_type in id_types}
    if people is None or context.document.start is None:
        return Coverage(0, covered)
    key = kept_under("coverage", context, sorted(covered))
    kept: Coverage | None = cache.get(key)
    if kept is not None:
        return kept
    began = time.monotonic()
    found = _count_coverage(people, covered)
    if time.monotonic() - began > SLOW_SECONDS:
        cache.set(key, found, KEPT_SECONDS)
    return found


def coverage_within(context: Context, id_types: Sequence[IdType], at_most: timedelta) -> Coverage:
    """Count as ``coverage`` does, and give up after a while: then nothing is known."""
    asked = sorted(id_type.pk for id_type in id_types)
    kept: Coverage | None = cache.get(kept_under("coverage", context, asked))
    found = kept or _within("coverage", context, at_most, lambda: coverage(context, id_types))
    return found or Coverage(0, dict.fromkeys(asked, 0), is_known=False)


def fill_rates_within(
    context: Context, *, in_clear: bool, at_most: timedelta
) -> dict[tuple[Source, str], FillRate] | None:
    """Return what ``fill_rates`` does; None when it takes longer."""
    return _within("rates", context, at_most, lambda: fill_rates(context, in_clear=in_clear))


def _within(kind: str, context: Context, at_most: timedelta, count: Callable[[], T]) -> T | None:
    """Count, and give up after a while.

    What took too long once is not waited for again: what it is needed for comes at once.
    """
    slow = kept_under(f"{kind}:slow", context, [])
    if at_most <= AT_ONCE and cache.get(slow):
        return None
    try:
        with audiences.patience(at_most):
            return count()
    except OperationalError:
        cache.set(slow, True, SLOW_IS_KEPT_SECONDS)
        return None


def kept_under(kind: str, context: Context, more: Sequence[int]) -> str:
    """Return under what is kept what was counted of a start, for its workspace alone."""
    start = context.document.start
    asked = [context.workspace.pk, start.to_json() if start else None, list(more)]
    return f"journeys.{kind}:{sha256(json.dumps(asked).encode()).hexdigest()}"


def _count_coverage(people: PeopleQuery, covered: dict[int, int]) -> Coverage:
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH people AS MATERIALIZED (SELECT qaid FROM ({people.sql}) AS one (qaid))"
            " SELECT NULL, count(*) FROM people UNION ALL"
            " SELECT i.id_type_id, count(DISTINCT i.profile_id) FROM people"
            " JOIN identity_identifier i ON i.profile_id = people.qaid"
            " JOIN identity_idtype t ON t.id = i.id_type_id"
            " WHERE i.id_type_id = ANY(%s) AND t.enabled GROUP BY i.id_type_id",
            [*people.params, list(covered)],
        )
        counts: dict[int | None, int] = dict(cursor.fetchall())
    total = counts.pop(None)
    covered.update({key: number for key, number in counts.items() if key is not None})
    return Coverage(total, covered)


def fill_rates(context: Context, *, in_clear: bool) -> dict[tuple[Source, str], FillRate]:
    """Return how many have a value of each source that variables may use, by source and code.

    Tags are counted over people, attributes over the event's last 30 days.

    Args:
        in_clear: whether the member may see sensitive values; else their examples are empty.
    """
    found = {(source.source, source.code): FillRate(0, 0, "") for source in context.sources}
    for source, sql, params in _filled(context):
        total = 0
        rows = []
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            for code, count, example in cursor.fetchall():
                if code is None:
                    total = count
                else:
                    rows.append((code, count, example))
        of_source = {code: (count, example) for code, count, example in rows}
        for each in context.sources:
            if each.source is source:
                count, example = of_source.get(each.code, (0, ""))
                shown = example if in_clear or not each.sensitive else ""
                found[source, each.code] = FillRate(count, total, shown or "")
    return found


def _filled(context: Context) -> list[tuple[Source, str, list[Any]]]:
    """Return one statement a kind of source: rows of code, how many, an example; and the total."""
    statement = (
        "WITH rows AS MATERIALIZED ({rows}) SELECT NULL, count(*), '' FROM rows UNION ALL"
        " SELECT each.key, count(*), min(left(each.value, 100))"
        " FROM rows, jsonb_each_text(rows.document) AS each"
        " WHERE coalesce(each.value, '') NOT IN ('', '[]') GROUP BY each.key"
    )
    found = []
    people = people_of(context)
    if people is not None:
        rows = (
            f"SELECT s.tags AS document FROM ({people.sql}) AS one (qaid)"
            " JOIN identity_profile s ON s.qaid = one.qaid"
        )
        found.append((Source.TAG, statement.format(rows=rows), people.params))
    for event_type in context.event_types.values():
        rows = (
            "SELECT e.attributes AS document FROM identity_event e WHERE e.event_type_id = %s"
            " AND e.occurred_at > %s AND e.occurred_at <= %s"
        )
        since = context.now - timedelta(days=DAYS_OF_PEOPLE)
        params = [event_type.pk, since, context.now]
        found.append((Source.EVENT, statement.format(rows=rows), params))
    return found


def expected_a_day(context: Context) -> float | None:
    """Return how many a day would have entered last week.

    None with an audience start, and when it takes too long to count.
    """
    start = context.document.start
    if start is None:
        return None
    component = components.start_of(start)
    return _within("expected", context, AT_ONCE, lambda: component.expected_a_day(start, context))


def samples(context: Context, *, in_clear: bool, size: int = SAMPLES) -> list[Sample]:
    """Return real people to preview with: of the audience, or the latest events that match."""
    start = context.document.start
    if start is None:
        return []
    entries = components.start_of(start).samples(start, context, size=size)
    qaids = list(dict.fromkeys(entry.qaid for entry in entries))
    named = people.name(qaids, id_types=list(context.id_types.values()), in_clear=in_clear)
    return [
        Sample(
            entry.qaid,
            named[entry.qaid].label,
            entry.event_id,
            entry.occurred_at,
            entry.attributes or {},
        )
        for entry in entries
    ]


def is_recent(context: Context) -> bool:
    """Tell whether people are those who reported the start's event in the last 30 days."""
    start = context.document.start
    return start is not None and components.start_of(start).is_recent


def people_of(context: Context) -> PeopleQuery | None:
    """Return whom coverage and fill rates look at; None while the start is not chosen."""
    start = context.document.start
    return components.start_of(start).people(start, context) if start else None


def draw(
    context: Context, config: WebhookConfig, *, sample: Sample | None, name: str, in_clear: bool
) -> LivePreview:
    """Return the request that a webhook step, saved or not, would send for one real person.

    Unless the member may see people, IDs are masked, and attributes and sensitive tags hidden;
    of an encrypted ID only the beginning is shown, since a number can be found by its hash.
    """
    revision = newest_revision(config, context)
    if revision is None:
        return LivePreview(sample, problem=_("Choose a webhook to see its request."))
    id_type = context.id_types.get(config.id_type or 0)
    if id_type is None:
        return LivePreview(sample, problem=_("Choose the ID type to send to see the request."))
    if sample is None:
        return LivePreview(problem=_("There is nobody to preview with yet."))
    return _Drawing(context, config, revision, id_type, sample, name, in_clear).draw()


class _Drawing:
    """One live preview in the making."""

    def __init__(
        self,
        context: Context,
        config: WebhookConfig,
        revision: WebhookRevision,
        id_type: IdType,
        sample: Sample,
        name: str,
        in_clear: bool,
    ) -> None:
        self.context, self.config, self.revision = context, config, revision
        self.webhook: Webhook = context.webhooks[revision.webhook_id]
        self.id_type = id_type
        self.reach_type = context.id_types.get(config.reach_id_type or 0) or id_type
        self.name, self.in_clear = name, in_clear
        hidden = {
            code: value if value in _EMPTY else masking.HIDDEN
            for code, value in sample.attributes.items()
        }
        self.sample = sample if in_clear else replace(sample, attributes=hidden)

    def draw(self) -> LivePreview:
        bindings = plans.bind(
            self.revision.parameters,
            values=self.config.values,
            variables=self.config.variables_json(),
        )
        try:
            plan = ParameterPlan(bindings, zone=self.context.workspace.zone)
        except BindingError as error:
            return LivePreview(self.sample, problem=f"{error.parameter}: {error.message}")
        person = self._read(plan)
        texts = plan.preview(person.tags, self.sample.attributes)
        if sentence := self._skips(person):
            return LivePreview(self.sample, texts=texts, skipped=sentence)
        try:
            rendered = plan.render(person.tags, self.sample.attributes)
            if isinstance(rendered, Skipped):
                sentence = _("Skipped: “%(name)s” has no value.") % {"name": rendered.variable}
                return LivePreview(self.sample, texts=texts, skipped=sentence)
            return self._drawn(plan, rendered, person, texts)
        except RenderingError as error:
            return LivePreview(self.sample, texts=texts, problem=str(reason_sentence(error.reason)))
        except (SecretError, ValueError):
            sentence = _("The webhook has no AES key. Choose another encryption.")
            return LivePreview(self.sample, texts=texts, problem=sentence)

    def _read(self, plan: ParameterPlan) -> Person:
        with connection.cursor() as cursor:
            (person,) = resolution.read_people(
                cursor,
                qaids=[self.sample.qaid],
                id_type_ids=[self.id_type.pk, self.reach_type.pk],
                tag_codes=plan.tag_codes,
            )
        tags = zip(plan.tag_codes, person.tags, strict=True)
        return person._replace(tags=tuple(self._shown_tag(code, value) for code, value in tags))

    def _shown_tag(self, code: str, value: Any) -> Any:
        tag = self.context.tags.get(code)
        is_hidden = tag and tag.sensitive and not self.in_clear and value not in _EMPTY
        return masking.HIDDEN if is_hidden else value

    def _skips(self, person: Person) -> str:
        for value, kind in zip(person.ids, (self.id_type, self.reach_type), strict=True):
            if value is None:
                return _("Skipped: no %(id_type)s is known in any data source.") % {
                    "id_type": kind.name
                }
        return ""

    def _drawn(
        self,
        plan: ParameterPlan,
        rendered: Rendered,
        person: Person,
        texts: Mapping[str, Sequence[Piece]],
    ) -> LivePreview:
        sent, reach = self._shown_ids(person)
        body = compile_body(
            self.revision.body, plan, id_type=self.id_type.code, reach_id_type=self.reach_type.code
        )
        ids = DeliveryIds(
            settings.DELIVERY_KEY, run="preview", step_key="preview", day=self.context.now.date()
        )
        delivery_id = ids.one(self.sample.qaid)
        message_id = MessageIds(settings.DELIVERY_KEY).one([delivery_id])
        data = body.message(message_id, [body.recipient(delivery_id, sent, reach, rendered)])
        return LivePreview(
            self.sample,
            head=self._head(message_id),
            body=pretty(data),
            content=fill_content(self.revision.content_template, plan.texts(rendered)),
            texts=texts,
        )

    def _shown_ids(self, person: Person) -> tuple[str, str]:
        key = None
        if self.config.encryption == Encryption.AES:
            key = keys.aes_key(self.webhook, now=self.context.now)
        encrypt = encryptor(self.config.encryption, key)
        shown = []
        for value, kind in zip(person.ids, (self.id_type, self.reach_type), strict=True):
            clear = value or ""
            if self.config.encryption == Encryption.NONE:
                shown.append(masking.shown(clear, kind, in_clear=self.in_clear))
            elif self.in_clear or not kind.sensitive:
                shown.append(encrypt(clear))
            else:
                shown.append(f"{encrypt(clear)[:4]}{masking.HIDDEN}")
        return shown[0], shown[1]

    def _head(self, message_id: str) -> str:
        webhook = self.webhook
        names = {
            "workspace": self.context.workspace.name,
            "step": self.name,
        }
        shared = headers.environment(names) if webhook.carry_environment else {}
        signature = _SIGNATURE if webhook.authentication == Authentication.KEY else None
        lines = [
            *headers.lines(shared, webhook.headers),  # Sealed; they are masked below.
            *headers.message_lines(message_id, int(self.context.now.timestamp()), signature),
        ]
        masked = _MASKED_HEADERS | {each.lower() for each in webhook.headers}
        return previews.request_head(webhook.url, lines, masked=masked)
