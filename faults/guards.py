"""Taking one guard away, to see that its row turns red without it.

Each replaces one function of the product in a process that the rig started; the product itself
knows nothing of it, so that no installation can be told to work without a guard.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import pycurl

from faults.names import GUARDS_VARIABLE


def _put(owner: Any, name: str, instead: Any) -> None:
    setattr(owner, name, instead)


def _fence() -> None:
    """Settle under any token."""
    from webhooks import settling

    ours = settling._sort_out

    def sort_out(tried: Any, chunks: Any, live: Any) -> Any:
        found = ours(tried, chunks, live)
        for each in found.late:
            found.first.setdefault(settling._chunk_id(each), []).append(each)
        found.late = []
        return found

    _put(settling, "_sort_out", sort_out)


def _renewal() -> None:
    """Let leases run out under a sender that is alive."""
    from webhooks.leases import Keeper

    _put(Keeper, "_run", lambda keeper: None)


def _intent() -> None:
    """Open without writing first that it may be open."""
    from webhooks import settling

    def write_intents(held: Any, envelopes: Sequence[Any], **_: Any) -> list[Any]:
        return list(envelopes)

    _put(settling, "write_intents", write_intents)


def _deadline() -> None:
    """Wait for an answer as long as something comes in now and then."""
    from webhooks import transport

    ours = transport._Slot.prepare

    def prepare(slot: Any, request: Any, token: Any) -> None:
        ours(slot, request, token)
        slot.deadline = 0.0
        slot.curl.setopt(pycurl.TIMEOUT_MS, 0)

    _put(transport._Slot, "prepare", prepare)


def _cap() -> None:
    """Read all that an answer brings."""
    from webhooks import transport

    def read_body(slot: Any, data: bytes) -> None:
        slot.size += len(data)
        slot.chunks.append(data)

    _put(transport._Slot, "read_body", read_body)


def _unknown() -> None:
    """Write no attempt for what was open when a sender died."""
    from webhooks import claiming

    _put(claiming, "record_unknown", lambda *_, **__: None)


def _egress() -> None:
    """Open a socket to any address."""
    from webhooks import egress

    _put(egress, "refusal", lambda *_, **__: None)


def _clamp() -> None:
    """Wait as long as the other side says."""
    from webhooks import retry

    ours = retry.delay_after

    def delay_after(attempts_made: int, *, retry_after: Any = None, **named: Any) -> Any:
        step = ours(attempts_made, **named)
        return step if retry_after is None else retry_after

    _put(retry, "delay_after", delay_after)


def _jitter() -> None:
    """Wait for exactly the schedule's steps."""
    from webhooks import retry

    _put(retry, "JITTER", 0.0)


def _poison() -> None:
    """Never become careful with a chunk that senders die with."""
    from webhooks import claiming

    _put(claiming, "CAREFUL_CLAIMS", 1_000_000)


def _lanes() -> None:
    """Open four times as many requests as a lane carries."""
    from webhooks import lanes

    ours = lanes.slots_of
    _put(lanes, "slots_of", lambda concurrency, numbers: 4 * ours(concurrency, numbers))


def _rate() -> None:
    """Give every sender all the requests it asks for."""
    from webhooks import rates

    _put(rates, "take", lambda webhook_id, *, rate, wanted: wanted)


def _lookups() -> None:
    """Look a name up for every request that waits for it."""
    from webhooks import lookups

    _put(lookups.Lookups, "may_go", lambda *_, **__: True)


def _due() -> None:
    """Hint at nothing by the clock: only whoever plans tells of it."""
    from webhooks import tasks

    _put(tasks.hint_due, "run", lambda: None)


def _redirect() -> None:
    """Go where an answer points to."""
    from webhooks import transport

    ours = transport._Slot._handle

    def handle(slot: Any) -> Any:
        curl = ours(slot)
        curl.setopt(pycurl.FOLLOWLOCATION, 1)
        return curl

    _put(transport._Slot, "_handle", handle)


def _cable() -> None:
    """Wait for a database that says nothing as long as TCP does."""
    from django.db import connections

    connections.settings["default"]["OPTIONS"].clear()


def _share() -> None:
    """Take every lane of a webhook, whatever one process can have open."""
    from webhooks.intake import Intake

    _put(Intake, "_is_wanting", lambda *_: True)


def _full() -> None:
    """Plan on and on, however many wait."""
    from webhooks import pressure

    _put(pressure, "full", lambda webhook_ids: set())


def _clock() -> None:
    """Plan by the machine's own clock."""
    from django.utils import timezone

    from workspaces import clock

    _put(clock, "now", timezone.now)


GUARDS: Final[dict[str, Callable[[], None]]] = {
    "fence": _fence,
    "renewal": _renewal,
    "intent": _intent,
    "deadline": _deadline,
    "cap": _cap,
    "unknown": _unknown,
    "egress": _egress,
    "clamp": _clamp,
    "jitter": _jitter,
    "poison": _poison,
    "lanes": _lanes,
    "rate": _rate,
    "redirect": _redirect,
    "lookups": _lookups,
    "due": _due,
    "cable": _cable,
    "full": _full,
    "clock": _clock,
    "share": _share,
}


def take_away_those_named() -> None:
    """Read the environment of this process."""
    for name in os.environ.get(GUARDS_VARIABLE, "").split(","):
        if name:
            GUARDS[name]()
