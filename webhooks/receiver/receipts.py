"""Receipts from the receiver's side: one for each person accepted, a thousand a call."""

import json
import queue
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import requests

from webhooks.signing import SECRET_PREFIX, Signer

ITEMS_A_CALL: Final = 1_000
GATHER_SECONDS: Final = 0.5
TRIES: Final = 8
TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where one ledger's receipts go; a ``whsec_`` key signs, any other is a bearer key."""

    url: str
    key: str
    code: str = "delivered"


class ReceiptSender:
    """Gathers accepted deliveries and reports them from a thread of its own."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._queue: queue.SimpleQueue[tuple[Target, str, float] | None] = queue.SimpleQueue()
        self._pending = 0
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._session.trust_env = False
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many receipts have not been reported yet."""
        return self._pending

    def add(self, target: Target, delivery_ids: list[str]) -> None:
        """Report these deliveries soon."""
        now = time.time()
        with self._lock:
            self._pending += len(delivery_ids)
        for delivery_id in delivery_ids:
            self._queue.put((target, delivery_id, now))

    def close(self) -> None:
        """Report what is left, then end."""
        self._queue.put(None)
        self._thread.join()
        self._session.close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            gathered: dict[Target, list[dict[str, str]]] = {}
            is_open = self._gather(gathered)
            for target, items in gathered.items():
                for start in range(0, len(items), ITEMS_A_CALL):
                    self._report(target, items[start : start + ITEMS_A_CALL])

    def _gather(self, found: dict[Target, list[dict[str, str]]]) -> bool:
        """Take what comes in within half a second, a call's worth at most; False at the end."""
        until = time.monotonic() + GATHER_SECONDS
        count = 0
        timeout: float | None = None  # The first one may take for ever.
        while count < ITEMS_A_CALL:
            try:
                taken = self._queue.get(timeout=timeout)
            except queue.Empty:
                return True
            if taken is None:
                return False
            target, delivery_id, at = taken
            found.setdefault(target, []).append(
                {
                    "delivery_id": delivery_id,
                    "code": target.code,
                    "occurred_at": datetime.fromtimestamp(at, UTC).isoformat(),
                    "message": "",
                }
            )
            if count == 0:
                until = time.monotonic() + GATHER_SECONDS
            count += 1
            timeout = max(0.0, until - time.monotonic())
        return True

    def _report(self, target: Target, items: list[dict[str, str]]) -> None:
        body = json.dumps({"receipts": items}).encode()
        message_id = f"rcp_{uuid.uuid4().hex}"
        try:
            for attempt in range(TRIES):
                if self._post(target, message_id, body):
                    self.counts["sent"] += len(items)
                    return
                if attempt < TRIES - 1:
                    time.sleep(min(0.2 * 2**attempt, 5.0))
            self.counts["failed"] += len(items)
        finally:
            with self._lock:
                self._pending -= len(items)

    def _post(self, target: Target, message_id: str, body: bytes) -> bool:
        headers = {"content-type": "application/json"}
        if target.key.startswith(SECRET_PREFIX):
            stamp = int(time.time())
            headers["webhook-id"] = message_id
            headers["webhook-timestamp"] = str(stamp)
            headers["webhook-signature"] = Signer([target.key]).sign(message_id, stamp, body)
        else:
            headers["authorization"] = f"Bearer {target.key}"
        try:
            answer = self._session.post(
                target.url,
                data=body,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException:
            self.counts["errors"] += 1
            return False
        self.counts[f"status_{answer.status_code}"] += 1
        return answer.ok
