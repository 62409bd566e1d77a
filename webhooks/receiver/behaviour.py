"""What a receiver answers: as told by a mode, or reply by reply."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final


class Mode(StrEnum):
    OK = "ok"
    SLOW = "slow"
    FAILING = "failing"
    PARTIAL = "partial"
    RESET = "reset"
    HANG = "hang"
    DRIP = "drip"


SLOW_SECONDS: Final = 2.0
DRIP_SECONDS: Final = 0.5
FAILING_STATUS: Final = 503


@dataclass(slots=True)
class Reply:
    """One answer, and how it is given.

    Args:
        delay: seconds until it begins.
        drip: seconds between single bytes of the whole answer, status line included.
        reset: break the connection off instead, as a crash would.
        hang: never answer.
        endless: after the body go on with it for ever.
        raw: exactly these bytes instead of an HTTP answer, then close.
        failed: delivery ids that the body names as failed; they do not count as accepted.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    reset: bool = False
    hang: bool = False
    endless: bool = False
    raw: bytes | None = None
    close: bool = False
    failed: frozenset[str] = frozenset()

    @property
    def is_accepting(self) -> bool:
        return 200 <= self.status < 300 and not (self.reset or self.hang or self.raw is not None)

    def encoded(self) -> bytes:
        if self.raw is not None:
            return self.raw
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Answer"
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        if self.body:
            lines.append("content-type: application/json")
        if not self.endless and "content-length" not in self.headers:
            lines.append(f"content-length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.close or self.endless:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.body

    @property
    def is_plain(self) -> bool:
        """Tell whether it is written at once and the connection goes on."""
        return not (
            self.delay
            or self.drip
            or self.reset
            or self.hang
            or self.endless
            or self.close
            or self.raw is not None
        )


OK: Final = Reply()


@dataclass(slots=True)
class Behaviour:
    """How one ledger answers.

    Args:
        fail_percent: of the requests (``partial``: of the people), from 0 to 100.
        status: what a failing request gets; 503 when None.
        delay: seconds before each answer.
        answer_409: to a message whose people were all accepted before.
    """

    mode: Mode = Mode.OK
    fail_percent: float = 0.0
    status: int | None = None
    delay: float = 0.0
    answer_409: bool = False
    seed: int | None = None
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311

    def reply(self, delivery_ids: Sequence[str], *, is_repeated: bool) -> Reply:
        """Return the answer to a message of these people."""
        if self.answer_409 and is_repeated:
            return Reply(409, delay=self.delay)
        match self.mode:
            case Mode.RESET:
                return Reply(reset=True, delay=self.delay)
            case Mode.HANG:
                return Reply(hang=True)
            case Mode.DRIP:
                return Reply(drip=self.delay or DRIP_SECONDS)
            case Mode.PARTIAL:
                return self._partial(delivery_ids)
            case Mode.SLOW:
                return Reply(delay=self.delay or SLOW_SECONDS)
        if self._fails() if self.fail_percent else self.mode is Mode.FAILING:
            return Reply(self.status or FAILING_STATUS, delay=self.delay)
        if self.status is not None and not self.fail_percent:
            return Reply(self.status, delay=self.delay)
        return Reply(delay=self.delay) if self.delay else OK

    def _fails(self) -> bool:
        return self._random.random() * 100 < self.fail_percent

    def _partial(self, delivery_ids: Sequence[str]) -> Reply:
        failed = frozenset(each for each in delivery_ids if self._fails())
        return partial(delivery_ids, failed=failed, delay=self.delay)


def partial(
    delivery_ids: Sequence[str],
    *,
    failed: frozenset[str],
    retryable: bool = False,
    delay: float = 0.0,
) -> Reply:
    """Return a 200 that names the failed people in its results."""
    results = [
        {
            "delivery_id": each,
            "success": False,
            "code": "not_reachable",
            "message": "The receiver was told to fail for this one.",
            "retryable": retryable,
        }
        if each in failed
        else {"delivery_id": each, "success": True}
        for each in delivery_ids
    ]
    body = json.dumps({"results": results}).encode()
    return Reply(body=body, failed=failed, delay=delay)
