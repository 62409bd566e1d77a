"""The exact request on screen: what a webhook would send, and what a test has sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from webhooks import bodies, headers
from webhooks.choices import Authentication
from webhooks.models import Webhook
from webhooks.rendering import BindingError
from workspaces.sentences import joined

MASK: Final = "••••"
_SAMPLE_TIME: Final = 1_796_000_000
_SAMPLE_SIGNATURE: Final = "v1,K5oZ…"
# A body with more people than this repeats itself.
_PEOPLE_SHOWN: Final = 2


@dataclass(frozen=True, slots=True)
class Preview:
    """The request of a webhook with sample values; ``problem`` says why there is no body."""

    head: str
    body: str
    content: str = ""
    problem: str = ""


def draw(
    webhook: Webhook,
    *,
    parameters: Sequence[Mapping[str, Any]],
    id_type_codes: Sequence[str],
    workspace_name: str,
) -> Preview:
    """Return what the webhook would send; it and its parameters need not be stored or complete.

    Of its own headers the names are shown, so their values may be sealed or as typed.
    """
    labels = {
        "workspace": workspace_name,
        "journey": _("Name of the journey"),
        "journey-version": 1,
        "step": _("Name of the step"),
        "run": 1,
    }
    shared = headers.environment(labels) if webhook.carry_environment else {}
    is_signed = webhook.authentication == Authentication.KEY
    signature = _SAMPLE_SIGNATURE if is_signed else None
    masked = {name.lower() for name in webhook.headers}
    try:
        lines = headers.lines(shared, webhook.headers)
    except headers.HeaderError as error:
        lines = headers.lines(shared)
        return Preview(
            request_head(webhook.url, lines),
            "",
            problem=_("The header “%(name)s” cannot be sent.") % {"name": error},
        )
    lines += headers.message_lines(bodies.SAMPLE_MESSAGE, _SAMPLE_TIME, signature)
    head = request_head(webhook.url, lines, masked=masked)
    try:
        body = bodies.preview_message(
            parameters,
            id_type=id_type_codes[0] if id_type_codes else "MOBILE",
            custom=webhook.body,
            recipients=min(webhook.batch_size or 1, _PEOPLE_SHOWN),
        )
    except BindingError as error:
        return Preview(head, "", problem=str(error))
    except ValidationError as error:
        return Preview(head, "", problem=joined(error.messages))
    return Preview(head, body, content_with_samples(webhook.content_template, parameters))


def content_with_samples(template: str, parameters: Sequence[Mapping[str, Any]]) -> str:
    """Return the content template filled with each parameter's constant, example or sample."""
    bound = [bodies.sample_binding(parameter) for parameter in parameters]
    return bodies.fill_content(template, {each.name: str(each.value) for each in bound})


def request_head(url: str, lines: Sequence[str], *, masked: Collection[str] = ()) -> str:
    """Return the request line and the headers as text.

    Args:
        masked: names of headers, in lower case, whose values are not shown.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = [f"POST {target} HTTP/1.1", f"host: {parts.netloc}"]
    for line in lines:
        name, _colon, value = line.partition(":")
        if not value.strip():
            continue  # An instruction to curl, not a header.
        is_masked = name.strip().lower() in masked
        shown.append(f"{name.strip()}: {MASK if is_masked else value.strip()}")
    return "\n".join(shown)
