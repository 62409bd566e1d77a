"""The request's headers: what an administrator may add, and what every request carries."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from webhooks.rendering import RenderingError

HEADERS: Final = 20
HEADER_VALUE_LENGTH: Final = 4_096
CONTENT_TYPE: Final = "application/json"
USER_AGENT: Final = "webhook-console/1"

# What frames the request, what we sign and send ourselves, and what a proxy acts upon.
FORBIDDEN: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "forwarded",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
FORBIDDEN_PREFIXES: Final = ("webhook-", "x-qa-", "x-forwarded-", ":")

# Visible ASCII and the space, without "%", which begins an encoded byte.
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class HeaderError(RenderingError):
    """A header cannot be sent; the delivery ends dead, nothing touches the network."""

    reason = "invalid_header"


def is_forbidden(name: str) -> bool:
    """Tell whether a header is ours or the protocol's to set."""
    lower = name.lower()
    return lower in FORBIDDEN or lower.startswith(FORBIDDEN_PREFIXES)


def validate(headers: Mapping[str, Any]) -> None:
    """Check an administrator's own headers when they are saved.

    Raises:
        ValidationError: one sentence for each header that cannot be sent.
    """
    errors = list(_errors(headers))
    if errors:
        raise ValidationError(errors)


def _errors(headers: Mapping[str, Any]) -> Iterable[ValidationError]:
    if len(headers) > HEADERS:
        yield ValidationError(
            _("There are %(count)d headers; %(limit)d at most are possible."),
            "too_many_headers",
            {"count": len(headers), "limit": HEADERS},
        )
    seen: set[str] = set()
    for name, value in headers.items():
        shown = {"name": name, "limit": HEADER_VALUE_LENGTH}
        if not _NAME.fullmatch(name):
            message = _("“%(name)s” is no header name. Use letters, digits and “-”, 64 at most.")
            yield ValidationError(message, "header_name", shown)
        elif is_forbidden(name):
            message = _("“%(name)s” is set by the console itself. Remove it.")
            yield ValidationError(message, "header_forbidden", shown)
        elif name.lower() in seen:
            message = _("“%(name)s” stands twice. Remove one of the two.")
            yield ValidationError(message, "header_twice", shown)
        seen.add(name.lower())
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            message = _(
                "The value of “%(name)s” may hold visible ASCII characters only, "
                "with no line break and no space at its ends."
            )
            yield ValidationError(message, "header_value", shown)
        elif len(value) > HEADER_VALUE_LENGTH:
            message = _("The value of “%(name)s” is longer than %(limit)d characters. Shorten it.")
            yield ValidationError(message, "header_value_length", shown)


def environment(labels: Mapping[str, Any], *, test: bool = False) -> dict[str, str]:
    """Return the ``x-qa-`` headers for labels like ``{"workspace": …, "journey": …, "run": …}``.

    Names that people give (a journey's in Chinese) are percent-encoded as UTF-8; plain
    ASCII stays as it is, but for the percent sign itself.
    """
    found = {"x-qa-" + key.replace("_", "-"): _ascii(value) for key, value in labels.items()}
    found = {name: value for name, value in found.items() if value}
    return found | {"x-qa-test": "true" if test else "false"}


def _ascii(value: Any) -> str:
    return "" if value is None else quote(str(value).strip(), safe=_PLAIN)


def lines(headers: Mapping[str, str], own: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines that all messages of one plan share.

    Args:
        headers: what ``environment`` made; empty without environment parameters.
        own: the administrator's headers, checked again, since a row may be older than a rule.

    Raises:
        HeaderError: one of them cannot be sent.
    """
    for name, value in (own or {}).items():
        if not _NAME.fullmatch(name) or is_forbidden(name) or not _VALUE.fullmatch(str(value)):
            raise HeaderError(name)
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise HeaderError(name)
    fixed = {"content-type": CONTENT_TYPE}
    if not any(name.lower() == "user-agent" for name in own or {}):
        fixed["user-agent"] = USER_AGENT
    shared = fixed | dict(headers) | dict(own or {})
    return [f"{name}: {value}" for name, value in shared.items()]


def message_lines(message_id: str, timestamp: int, signature: str | None) -> list[str]:
    """Return the lines of one message; ``signature`` is None for a webhook without a key."""
    found = [
        f"webhook-id: {message_id}",
        f"webhook-timestamp: {timestamp}",
        f"idempotency-key: {message_id}",
    ]
    if signature is not None:
        found.append(f"webhook-signature: {signature}")
    return found
