"""Where a sender's time goes: one process, the same work, each stage by the wall."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from webhooks.egress import Policy
from webhooks.engine import Sender
from webhooks.lines import Line, Options
from webhooks.preparing import Preparer
from webhooks.transport import CurlTransport

LONGEST_SECONDS = 300.0


def measure(count_queued: Callable[[], int]) -> tuple[int, dict[str, float]]:
    """Send what is planned with one timed sender; return the people and microseconds a stage each.

    ``read`` is the one statement a chunk, ``render`` what becomes of its rows up to finished
    bytes, ``sign_open`` signature, headers and handing over to libcurl, ``wait`` libcurl and
    the other side, ``settle`` the flushes.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    sender = TimedSender(spent)
    sender.start()
    people = 0
    try:
        started = time.perf_counter()
        while count_queued():
            if time.perf_counter() - started > LONGEST_SECONDS:
                raise TimeoutError("the timed sender did not end in time")
            for _ in range(200):
                sender.turn()
        total = time.perf_counter() - started
        sender.finish()
        people = sender.settled
    finally:
        sender.close()
        sender.restore()
    spent["other"] = total - sum(spent.values())
    return people, {name: seconds / max(people, 1) * 1e6 for name, seconds in spent.items()}


class TimedSender(Sender):
    """A sender that adds up the seconds of its stages."""

    def __init__(self, spent: defaultdict[str, float]) -> None:
        options = Options.of_settings()
        # The receiver is on this machine, whatever the installation allows.
        rules = Policy.of(["127.0.0.1/32"])
        super().__init__(options=options, transport=CurlTransport(slots=options.slots, rules=rules))
        self._spent = spent
        self._read, self._messages = Preparer.read, Preparer.messages
        Preparer.read = self._timed("read", self._read)  # type: ignore[method-assign]
        Preparer.messages = self._timed("render", self._messages, within="read")  # type: ignore[method-assign]

    def restore(self) -> None:
        Preparer.read = self._read  # type: ignore[method-assign]
        Preparer.messages = self._messages  # type: ignore[method-assign]

    def _timed(self, name: str, call: Any, within: str = "") -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            inner = self._spent.get(within, 0.0)
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                taken = time.perf_counter() - started
                self._spent[name] += taken - (self._spent.get(within, 0.0) - inner)

        return timed

    def _open(self, line: Line) -> None:
        started = time.perf_counter()
        super()._open(line)
        self._spent["sign_open"] += time.perf_counter() - started

    def _collect(self, wait: float) -> None:
        started = time.perf_counter()
        super()._collect(wait)
        self._spent["wait"] += time.perf_counter() - started

    def _flush(self) -> None:
        started = time.perf_counter()
        super()._flush()
        self._spent["settle"] += time.perf_counter() - started
