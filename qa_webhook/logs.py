"""One JSON line an event, on standard error; nothing that names or reaches a person.

Log object ids, counts and reasons. Identifiers, tag values, addresses, bodies and header values
never belong into an event; keys that carry them are struck out here as a last resort.
"""

import logging
import logging.config
import re
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer

_NEVER_LOGGED: Final = frozenset(
    {"email", "mobile", "phone", "identifier", "value", "body", "headers", "password", "secret",
     "token", "key", "authorization", "cookie", "tags", "attributes", "params"}
)  # fmt: skip


def strike_personal_data(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key in _NEVER_LOGGED.intersection(event):
        event[key] = "[struck out]"
    return event


_TRACEBACK: Final = ExceptionDictTransformer(show_locals=False, max_frames=30)
# Addresses, and numbers long enough to be one: PostgreSQL, for one, quotes the row it refuses.
_PERSONAL: Final = re.compile(r"[^\s@(=]+@[^\s@)]+|\+?\d{6,}")


def exception_without_locals(exc_info: structlog.typing.ExcInfo) -> list[dict[str, Any]]:
    """Where it happened and what was said, without the variables, which hold people and secrets."""
    chain: list[dict[str, Any]] = _TRACEBACK(exc_info)
    for link in chain:
        link["exc_value"] = _PERSONAL.sub("[struck out]", link["exc_value"])
    return chain


def configure(*, level: str, form: str) -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        strike_personal_data,
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if form == "console"
        else [
            structlog.processors.ExceptionRenderer(exception_without_locals),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *last,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                # Django's own lines carry paths and addresses.
                # A line a hint, and tens of hints a second.
                "celery": {"level": "WARNING"},
                "django.server": {"level": "WARNING"},
                "django.request": {"level": "ERROR"},
            },
        }
    )
