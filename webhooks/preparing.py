"""From a claimed chunk to messages: one read, then rendering, for everybody who is still queued."""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from django.conf import settings
from django.db.backends.utils import CursorWrapper

from identity import resolution
from identity.resolution import Person
from webhooks import claiming
from webhooks.choices import StateByte
from webhooks.headers import HeaderError
from webhooks.ids import MessageIds
from webhooks.plans import CompiledPlan
from webhooks.rendering import RenderingError, Skipped
from webhooks.targets import Target
from webhooks.work import ClaimedChunk, ClaimedMessage, Ending, Envelope, Held, Recipient, Tried

log = structlog.get_logger(__name__)

# Reasons of a row that says "this one may be open now"; the second is written when a chunk is
# worked one by one because senders died with it.
INTENT_ONCE: Final = "open_once"
INTENT_ALONE: Final = "open_alone"

# After so many people the sender sees to its open requests, in about two milliseconds.
BREATH_PEOPLE: Final = 50

_SURVIVORS: Final = """
SELECT wanted.qaid, get_byte(c.states, array_position(c.qaids, wanted.qaid) - 1) & 127,
    c.lease_until > clock_timestamp() AND c.id <> %s
FROM unnest(%s::bigint[]) AS wanted (qaid)
JOIN webhooks_chunk c ON c.plan_id = %s AND wanted.qaid = ANY(c.qaids)
"""


def message_ids() -> MessageIds:
    return MessageIds(settings.DELIVERY_KEY)


class Preparer:
    """Makes the messages of one claimed chunk."""

    def __init__(self, cursor: CursorWrapper, chunk: ClaimedChunk, held: Held, target: Target):
        if held.plan is None:
            raise ValueError("only a chunk is prepared")
        self.use(cursor)
        self._chunk = chunk
        self._held = held
        self._plan: CompiledPlan = held.plan
        self._target = target
        # Claimed with caution, whoever was open has an intent row: nobody else was tried.
        self._tries = min(chunk.claims - 1, claiming.CAREFUL_CLAIMS - 1)
        if target.at_most_once:
            self._tries = 0
        queued = int(StateByte.QUEUED)
        self.positions = [place for place, byte in enumerate(chunk.states) if byte & 0x7F == queued]
        self._delivery_ids = self._ids()

    def use(self, cursor: CursorWrapper) -> None:
        """Read through this cursor from now on."""
        self._cursor = cursor

    def _ids(self) -> list[str]:
        ids = self._plan.delivery_ids(self._chunk.day)
        qaids, events = self._chunk.qaids, self._chunk.events
        if events is None:
            return ids.many([qaids[place] for place in self.positions])
        return [ids.one(qaids[place], str(events[place]["id"])) for place in self.positions]

    def after_a_death(self) -> list[Ending]:
        """Look at what senders before us left of a chunk.

        Everybody without a row gets an attempt of unknown outcome; whoever has an intent
        row was open and is not sent again: *uncertain* at most once, else dead ``poison``.
        Return how those ended; the others remain to be sent to.
        """
        number = self._chunk.claims - 1
        self._cursor.execute(
            "SELECT id, reason FROM webhooks_delivery WHERE day = %s AND id = ANY(%s)",
            [self._chunk.day, self._delivery_ids],
        )
        intents = dict(self._cursor.fetchall())
        # A cautious sender writes before it opens: whoever has no intent was not open.
        is_unknown = self._chunk.was_open and not self._target.at_most_once
        if is_unknown and number < claiming.CAREFUL_CLAIMS:
            claiming.record_unknown(
                self._cursor,
                self._held.webhook_id,
                [
                    (self._chunk.day, each, message_ids().one([each]), number)
                    for each in self._delivery_ids
                    if each not in intents
                ],
            )
        endings: list[Ending] = []
        remaining: list[int] = []
        for place, delivery_id in zip(self.positions, self._delivery_ids, strict=True):
            recipient = Recipient(place, delivery_id, self._chunk.qaids[place])
            match intents.get(delivery_id):
                case None:
                    remaining.append(place)
                case reason if reason == INTENT_ONCE:
                    endings.append(Ending(recipient, StateByte.UNCERTAIN, "unknown"))
                case _:
                    endings.append(Ending(recipient, StateByte.DEAD, "poison"))
        self.positions = remaining
        self._delivery_ids = self._ids()
        return endings

    def messages(self, *, breathe: Callable[[], None] = lambda: None) -> list[Tried]:
        """Fill ``held.ready`` with messages; return how those ended who get none.

        ``breathe`` is called every so often: what is open elsewhere must not wait for this.
        """
        people = self.read()
        recipients: list[Recipient] = []
        passed: list[Ending] = []
        survivors = self._survivors(people)
        encrypt = self._target.encrypt(self._plan.encryption)
        plain = self._plan.encryption == "none"
        parameters, body, events = self._plan.parameters, self._plan.body, self._chunk.events
        one_id = len(self._plan.id_type_ids) == 1
        for number, (place, delivery_id, person) in enumerate(
            zip(self.positions, self._delivery_ids, people, strict=True), 1
        ):
            if not number % BREATH_PEOPLE:
                breathe()
            recipient = Recipient(place, delivery_id, person.qaid)
            if person.erased or person.profile != person.qaid:
                ending = self._merged_or_erased(recipient, person, survivors)
                if ending is not None:
                    passed.append(ending)
                    continue
                if person.qaid in self._waiting:
                    continue
            sent = person.ids[0]
            reach = sent if one_id else person.ids[1]
            if sent is None or reach is None:
                reason = "no_id" if sent is None else "no_reach_id"
                passed.append(Ending(recipient, StateByte.SKIPPED, reason))
                continue
            recipient.sent_id = sent if plain else encrypt(sent)
            recipient.reach_id = recipient.sent_id if one_id else encrypt(reach)
            try:
                attributes = events[place]["attributes"] if events is not None else None
                rendered = parameters.render(person.tags, attributes)
                if isinstance(rendered, Skipped):
                    passed.append(Ending(recipient, StateByte.SKIPPED, rendered.reason))
                    continue
                recipient.texts = rendered.texts
                recipient.defaulted = rendered.defaulted
                recipient.blanked = rendered.blanked
                recipient.part = body.recipient(
                    delivery_id, recipient.sent_id, recipient.reach_id, rendered
                )
            except RenderingError as error:
                passed.append(Ending(recipient, StateByte.DEAD, error.reason))
                continue
            except Exception:
                # A fault of ours with this one's values: the neighbours go on.
                log.exception("rendering_failed", delivery=delivery_id)
                passed.append(Ending(recipient, StateByte.DEAD, RenderingError.reason))
                continue
            recipients.append(recipient)
        self._held.is_left_over = bool(self._waiting)
        breathe()
        passed += self._pack(recipients)
        return [Tried(self._held, passed)] if passed else []

    def read(self) -> list[Person]:
        """Read everybody who is still queued, in one statement."""
        return resolution.read_people(
            self._cursor,
            qaids=[self._chunk.qaids[place] for place in self.positions],
            id_type_ids=self._plan.id_type_ids,
            tag_codes=self._plan.parameters.tag_codes,
            is_repeated=True,
        )

    def _survivors(self, people: Sequence[Person]) -> dict[int, tuple[int, bool]]:
        """Return the state of each survivor in the same run, and whether it is being sent."""
        self._waiting: set[int] = set()
        merged = {each.profile for each in people if each.profile != each.qaid}
        if not merged or self._chunk.events is not None:
            return {}
        self._cursor.execute(_SURVIVORS, [self._chunk.id, list(merged), self._plan.id])
        return {qaid: (state, leased) for qaid, state, leased in self._cursor.fetchall()}

    def _merged_or_erased(
        self, recipient: Recipient, person: Person, survivors: dict[int, tuple[int, bool]]
    ) -> Ending | None:
        if person.erased:
            return Ending(recipient, StateByte.CANCELLED, "erased")
        state, leased = survivors.get(person.profile, (int(StateByte.SKIPPED), False))
        if leased:
            self._waiting.add(person.qaid)
        elif state != StateByte.SKIPPED:
            return Ending(recipient, StateByte.SKIPPED, "merged")
        return None

    def _pack(self, recipients: list[Recipient]) -> list[Ending]:
        """Make messages of up to *batch size* people; return those whose message cannot be made."""
        size = self._target.batch_size
        if self._held.is_alone:
            size = 1
        if self._plan.body.recipients_at_most is not None:
            size = min(size, self._plan.body.recipients_at_most)
        ids, failed = message_ids(), []
        try:
            self._target.lines(self._plan)
        except HeaderError as error:
            return [Ending(each, StateByte.DEAD, error.reason) for each in recipients]
        make, plan, held, chunk = self._plan.body.message, self._plan, self._held, self._chunk
        batches = batched(recipients, size)
        for place, batch in enumerate(batches, 1):
            message_id = ids.one([each.delivery_id for each in batch])
            try:
                body = make(message_id, [each.part for each in batch])
            except RenderingError as error:
                if len(batch) > 1:
                    # Too long together; who is too long alone ends alone.
                    batches[place:place] = batched(batch, -(-len(batch) // 2))
                else:
                    failed += [Ending(each, StateByte.DEAD, error.reason) for each in batch]
                continue
            held.ready.append(
                Envelope(message_id, body, batch, held, plan, chunk.id, chunk.day, self._tries)
            )
        return failed


def batched(recipients: list[Recipient], size: int) -> list[list[Recipient]]:
    if size == 1:
        return [[each] for each in recipients]
    return [recipients[first : first + size] for first in range(0, len(recipients), size)]


def stored_envelope(message: ClaimedMessage, held: Held, plan: CompiledPlan) -> Envelope:
    """Make a waiting message ready again, with the bytes that it has."""
    recipients = list(
        itertools.starmap(Recipient, zip(message.positions, message.delivery_ids, strict=True))
    )
    return Envelope(
        id=message.id,
        body=message.body,
        recipients=recipients,
        held=held,
        plan=plan,
        chunk_id=message.chunk_id,
        day=message.day,
        tries=message.attempts,
        splits=message.splits,
        first_attempt_at=message.first_attempt_at,
        expires_at=message.expires_at,
        kind=message.kind,
        is_stored=True,
    )
