"""What a receiver remembers: every id in eight bytes, and the last requests in full."""

import json
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any, Final

from webhooks import bodies, values
from webhooks.signing import TOLERANCE_SECONDS, Signer

KEPT_REQUESTS: Final = 1_000
VERIFIED, BAD, MISSING, UNCHECKED = "verified", "bad", "missing", "unchecked"


@dataclass(slots=True)
class Entry:
    """One request as it came in, and what was made of it."""

    at: float
    path: str
    headers: Mapping[str, str]
    body: bytes
    signature: str
    message_id: str
    recipients: list[dict[str, Any]]
    is_test: bool
    status: int = 0

    @property
    def delivery_ids(self) -> list[str]:
        return [str(each.get("delivery_id", "")) for each in self.recipients]

    def contents(self, template: str) -> list[str]:
        """Return the content template filled in for each person: what they would read."""
        if not template:
            return []
        return [bodies.fill_content(template, self._texts(each)) for each in self.recipients]

    @staticmethod
    def _texts(recipient: Mapping[str, Any]) -> dict[str, str]:
        params = recipient.get("params")
        named = params.items() if isinstance(params, dict) else ()
        return {str(name): values.text_of(value) for name, value in named}

    def to_json(self, template: str = "") -> dict[str, Any]:
        shown = {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "path": self.path,
            "message_id": self.message_id,
            "status": self.status,
            "signature": self.signature,
            "test": self.is_test,
            "headers": dict(self.headers),
            "body": self.body.decode("utf-8", "replace"),
        }
        return shown | ({"contents": self.contents(template)} if template else {})


@dataclass(slots=True)
class Ledger:
    """Counts of one path. One thread writes it, the server's.

    Ids are kept as 64-bit hashes, a million of them in some 70 MB. A message of one person
    is known by that person's delivery id, one of several by its own id too.
    """

    path: str
    template: str = ""
    kept: int = KEPT_REQUESTS
    signers: list[Signer] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    entries: deque[Entry] = field(init=False)
    _accepted: set[int] = field(default_factory=set)
    _refused: set[int] = field(default_factory=set)
    _messages: set[int] = field(default_factory=set)
    _again: Counter[int] = field(default_factory=Counter)
    first_at: float = 0.0
    last_at: float = 0.0

    def __post_init__(self) -> None:
        self.entries = deque(maxlen=self.kept)

    def trust(self, secrets: Sequence[str]) -> None:
        """Check signatures against these secrets from now on.

        Raises:
            ValueError: one is malformed.
        """
        self.signers = [Signer([secret]) for secret in secrets]

    def reset(self) -> None:
        """Forget every request; template and secrets stay."""
        for kept in (
            self.counts,
            self.statuses,
            self.entries,
            self._accepted,
            self._refused,
            self._messages,
            self._again,
        ):
            kept.clear()
        self.first_at = self.last_at = 0.0

    def receive(self, headers: Mapping[str, str], body: bytes) -> Entry:
        """Read a request; nothing is counted before it is answered."""
        now = time.time()
        message_id = headers.get("webhook-id", "")
        recipients, is_test = _recipients(body)
        return Entry(
            now,
            self.path,
            headers,
            body,
            self._signature(message_id, headers, body, now),
            message_id,
            recipients,
            is_test or headers.get("x-qa-test") == "true",
        )

    def _signature(
        self, message_id: str, headers: Mapping[str, str], body: bytes, now: float
    ) -> str:
        if not self.signers:
            return UNCHECKED
        given = headers.get("webhook-signature", "")
        stamp = headers.get("webhook-timestamp", "")
        if not (given and message_id and stamp.isdigit()):
            return MISSING
        if abs(now - int(stamp[:12])) > TOLERANCE_SECONDS:
            return BAD
        candidates = given.split(" ")
        for signer in self.signers:
            expected = signer.sign(message_id, int(stamp), body)
            if any(compare_digest(expected, candidate) for candidate in candidates):
                return VERIFIED
        return BAD

    def is_repeated(self, entry: Entry) -> bool:
        """Tell whether all people of a message were accepted before."""
        ids = entry.delivery_ids or [entry.message_id]
        return all(hash(each) in self._accepted for each in ids)

    def record(
        self, entry: Entry, *, status: int, accepted: bool, failed: frozenset[str]
    ) -> list[str]:
        """Count an answered request; return the deliveries accepted for the first time."""
        entry.status = status
        self.entries.append(entry)
        counts = self.counts
        counts["requests"] += 1
        counts[f"signature_{entry.signature}"] += 1
        self.statuses[status] += 1
        self.first_at = self.first_at or entry.at
        self.last_at = entry.at
        if entry.is_test:
            counts["tests"] += 1
            return []
        ids = entry.delivery_ids
        counts["recipients"] += len(ids)
        if len(ids) != 1 and entry.message_id:
            self._record_message(entry.message_id, accepted)
        return [each for each in ids if self._record_one(each, accepted and each not in failed)]

    def _record_message(self, message_id: str, accepted: bool) -> None:
        key = hash(message_id)
        if key in self._messages:
            self.counts["repeated_messages"] += 1
        elif accepted:
            self._messages.add(key)

    def _record_one(self, delivery_id: str, accepted: bool) -> bool:
        key = hash(delivery_id)
        is_known = key in self._accepted
        if is_known or key in self._refused:
            self._again[key] += 1
            self.counts["retries" if not is_known else "duplicates"] += 1
        if accepted and not is_known:
            self._accepted.add(key)
            self._refused.discard(key)
            return True
        if not is_known:
            self._refused.add(key)
        return False

    def find(self, delivery_id: str) -> dict[str, Any]:
        """Return what is known of one delivery; its requests while they are among the last."""
        key = hash(delivery_id)
        is_accepted = key in self._accepted
        is_known = is_accepted or key in self._refused
        requests = [entry for entry in self.entries if delivery_id in entry.delivery_ids]
        return {
            "delivery_id": delivery_id,
            "path": self.path,
            "accepted": is_accepted,
            "times": self._again[key] + 1 if is_known else 0,
            "requests": [entry.to_json(self.template) for entry in requests],
        }

    def stats(self) -> dict[str, Any]:
        """Return the counts; ``delivered`` are distinct people, ``duplicates`` those again."""
        counts = self.counts
        return {
            "requests": counts["requests"],
            "recipients": counts["recipients"],
            "delivered": len(self._accepted),
            "duplicates": counts["duplicates"],
            "retries": counts["retries"],
            "repeated_messages": counts["repeated_messages"],
            "tests": counts["tests"],
            "signatures_verified": counts[f"signature_{VERIFIED}"],
            "signatures_bad": counts[f"signature_{BAD}"],
            "signatures_missing": counts[f"signature_{MISSING}"],
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "first_at": self.first_at or None,
            "last_at": self.last_at or None,
        }


def _recipients(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return the people of a body and whether it is a test; another form's people are nobody."""
    try:
        # As UTF-8 at once: looking for another encoding takes longer than reading it.
        message = json.loads(body.decode())
    except (ValueError, RecursionError):
        return [], False
    if not isinstance(message, dict):
        return [], False
    recipients = message.get("recipients")
    found = recipients if isinstance(recipients, list) else [message]
    people = [each for each in found if isinstance(each, dict) and "delivery_id" in each]
    return people, message.get("test") is True
