"""Tell a worker that there is something to do, and never mind when that fails.

A hint only shortens the wait: every loop also polls PostgreSQL. So a broker that is gone costs a
counted warning, and one that hangs costs a second, and not at every click.
"""

import time
from functools import cache
from typing import Any, Final

import structlog
from celery import Task, current_app
from kombu import Connection
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.pools import producers
from prometheus_client import Counter

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS: Final = 1.0
# An older hint is of no use: the polling has been there before it.
EXPIRES_SECONDS: Final = 30
# After a failure nobody else waits for the same broker for this long.
QUIET_SECONDS: Final = 10.0

sent = Counter("qa_hints_sent", "Hints handed to the broker.")
lost = Counter("qa_hints_lost", "Hints that the broker did not take; polling does their work.")


class _Quiet:
    """A pause after a failure, shared by the threads of this process."""

    until = 0.0

    @classmethod
    def begin(cls) -> None:
        cls.until = time.monotonic() + QUIET_SECONDS

    @classmethod
    def reigns(cls) -> bool:
        return time.monotonic() < cls.until


def hint(task: Task[..., Any], *args: Any) -> bool:
    """Publish ``task`` with JSON ids; whether the broker took it is for tests, not for callers.

    Call it after the commit (``transaction.on_commit``): before it there is nothing to see.
    """
    if _Quiet.reigns():
        lost.inc()
        return False
    try:
        with producers[_broker()].acquire(block=True, timeout=TIMEOUT_SECONDS) as producer:
            task.apply_async(
                args=args,
                producer=producer,
                expires=EXPIRES_SECONDS,
                retry=False,
                ignore_result=True,
            )
    except _failures() as error:
        _Quiet.begin()
        lost.inc()
        log.warning("hint lost", task=task.name, reason=type(error).__name__)
        return False
    sent.inc()
    return True


def trouble() -> str:
    """Return why the broker cannot be reached, within some seconds; empty when it can."""
    try:
        with _broker().clone() as connection:
            connection.ensure_connection(max_retries=1, timeout=round(TIMEOUT_SECONDS))
    except _failures() as error:
        return f"{type(error).__name__}: {error}".strip(": ")
    return ""


@cache
def _broker() -> Connection:
    return connect(current_app.conf.broker_write_url)


def connect(url: str) -> Connection:
    """A connection that gives up soon; a worker's own waits as long as it takes."""
    options: dict[str, Any] = {"max_retries": 0}
    if url.startswith(("redis", "valkey", "sentinel")):
        options |= {"socket_connect_timeout": TIMEOUT_SECONDS, "socket_timeout": TIMEOUT_SECONDS}
    else:
        options |= {"read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS}
    return current_app.connection_for_write(
        url, connect_timeout=TIMEOUT_SECONDS, transport_options=options
    )


def _failures() -> tuple[type[BaseException], ...]:
    """What a transport raises when it cannot deliver; a mistake of ours is not among them."""
    return (OperationalError, LimitExceeded, OSError, *_broker().recoverable_connection_errors)
