"""The integration guide of one webhook, for the developer of the receiving system.

Made from the webhook's own revision: its body, its parameters, its limits. It never holds a
secret. The same sections are shown as a page and written as Markdown.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from django.utils.translation import gettext as _

from webhooks import bodies, revisions
from webhooks.choices import Authentication, Guarantee, ParameterType
from webhooks.models import Webhook
from webhooks.rendering import BindingError
from workspaces.sentences import listed, space

SECRET_VARIABLE: Final = "WEBHOOK_SECRET"  # noqa: S105 - the name of an environment variable.


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Code:
    language: str
    text: str
    kind: str = "code"


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: str = "table"


Block: TypeAlias = Text | Code | Table


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


VERIFY: Final = f'''\
import base64, hashlib, hmac, os, time


def is_genuine(headers: dict[str, str], body: bytes) -> bool:
    """Tell whether the request was signed with our secret in the last five minutes.

    headers: by lower-case name; body: the raw bytes, before any JSON is parsed.
    """
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        return False
    key = base64.b64decode(os.environ["{SECRET_VARIABLE}"].removeprefix("whsec_"))
    signed = f"{{message_id}}.{{timestamp}}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    # While the key is being changed there are two signatures, separated by a space.
    given = [part.removeprefix("v1,") for part in headers["webhook-signature"].split()]
    return any(hmac.compare_digest(expected, signature) for signature in given)
'''


def sections(webhook: Webhook, *, receipts_url: str = "") -> list[Section]:
    """Return the guide of the webhook as it is stored now."""
    content = revisions.content_of(webhook)
    signed = webhook.authentication == Authentication.KEY
    found = [
        _overview(webhook, content),
        _headers(webhook, signed),
        _body(webhook, content),
        _people(content),
    ]
    if signed:
        found.append(
            Section(
                _("Check the signature"),
                (
                    Text(
                        _(
                            "The signature follows Standard Webhooks 1.0.0, for which libraries "
                            "exist in many languages. In Python, without a library:"
                        )
                    ),
                    Code("python", VERIFY),
                    Text(
                        _(
                            "Keep the key in the environment variable %(name)s. Answer 401 when "
                            "the signature does not hold."
                        )
                        % {"name": SECRET_VARIABLE}
                    ),
                ),
            )
        )
    found += [_answers(webhook), _retries(webhook), _tests(webhook, content, signed)]
    if webhook.receipts_enabled and receipts_url:
        found.append(_receipts(webhook, receipts_url))
    return found


def markdown(webhook: Webhook, *, receipts_url: str = "") -> str:
    """Return the guide as a Markdown document."""
    title = _("Receiving messages from “%(name)s”") % {"name": webhook.name}
    lines = [f"# {title}", ""]
    for section in sections(webhook, receipts_url=receipts_url):
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_markdown_of(block), ""]
    return "\n".join(lines)


def curl(webhook: Webhook, body: str, *, signed: bool) -> str:
    """Return one line for a shell that sends ``body`` as we would, the key from the environment."""
    quoted = body.replace("'", "\\u0027")  # The same JSON string, and no end to the shell's.
    address = webhook.url.replace("'", "%27")
    parts = [f"BODY='{quoted}'", "ID=msg_try1", "TS=$(date +%s)"]
    headers = (
        '-H \'content-type: application/json\' -H "webhook-id: $ID" -H "webhook-timestamp: $TS"'
    )
    if signed:
        parts += [_SHELL_KEY, _SHELL_SIGNATURE]
        headers += ' -H "webhook-signature: v1,$SIG"'
    return "; ".join([*parts, f"curl -i '{address}' {headers} -d \"$BODY\""])


def _overview(webhook: Webhook, content: revisions.Content) -> Section:
    people = (
        _("Each request is for one person.")
        if webhook.batch_size == 1
        else _("Each request is for up to %(count)d people.") % {"count": webhook.batch_size}
    )
    blocks: list[Block] = [
        Text(
            _(
                "We call your system with HTTP POST, a JSON body in UTF-8, and expect an answer "
                "within %(seconds)d seconds."
            )
            % {"seconds": webhook.timeout_seconds}
            + space()
            + people
        ),
        Code("http", f"POST {webhook.url}"),
        Text(_("Revision %(number)d of this webhook’s parameters.") % {"number": webhook.revision}),
    ]
    if content.content_template:
        blocks += [Text(_("The content that your system fills in:"))]
        blocks += [Code("text", content.content_template)]
    return Section(_("What arrives"), tuple(blocks))


def _headers(webhook: Webhook, signed: bool) -> Section:
    rows = [
        ("content-type", "application/json"),
        (
            "webhook-id",
            _("The message’s ID, the same on every attempt: use it to drop repetitions."),
        ),
        ("idempotency-key", _("The same value as webhook-id.")),
        ("webhook-timestamp", _("When this attempt was made, in seconds since 1970-01-01 UTC.")),
    ]
    if signed:
        rows.append(("webhook-signature", _("“v1,” and the signature; see below.")))
    rows += [(name.lower(), _("As set by the administrator.")) for name in webhook.headers]
    if webhook.carry_environment:
        rows += [
            ("x-qa-workspace", _("Name of the workspace.")),
            ("x-qa-journey", _("Journey that the message belongs to.")),
            ("x-qa-journey-version", _("Its version.")),
            ("x-qa-step", _("Its step.")),
            ("x-qa-run", _("Which start of the journey it was.")),
        ]
    rows.append(("x-qa-test", _("“true” on a test, else “false” or missing.")))
    return Section(_("Headers"), (Table((_("Header"), _("Meaning")), tuple(rows)),))


def _body(webhook: Webhook, content: revisions.Content) -> Section:
    head = (_("Parameter"), _("Type"), _("Required"), _("Meaning"))
    rows = tuple(_row(parameter) for parameter in content.parameters)
    blocks: list[Block] = [Code("json", sample_body(webhook, content))]
    if rows:
        blocks += [Text(_("The parameters in “params”:")), Table(head, rows)]
    blocks.append(
        Text(
            _(
                "A parameter that is not required is left out when it is empty. "
                "“delivery_id” names one person’s delivery and stays the same however often we try."
            )
        )
    )
    return Section(_("Body"), tuple(blocks))


def _row(parameter: dict[str, Any]) -> tuple[str, ...]:
    meaning = [parameter["label"], parameter["help_text"]]
    if parameter["choices"]:
        meaning.append(
            _("One of: %(values)s.") % {"values": listed(c[0] for c in parameter["choices"])}
        )
    if parameter["type"] == ParameterType.DATE:
        form = parameter["date_format"] or _("ISO 8601, like 2026-12-31")
        meaning.append(_("Written as %(format)s.") % {"format": form})
    if parameter["max_length"]:
        meaning.append(_("At most %(count)d characters.") % {"count": parameter["max_length"]})
    kind = _("number") if parameter["type"] == ParameterType.NUMERIC else _("string")
    required = _("yes") if parameter["required"] or parameter["is_constant"] else _("no")
    return parameter["name"], kind, required, " · ".join(filter(None, meaning))


def _people(content: revisions.Content) -> Section:
    codes = listed(id_type["code"] for id_type in content.id_types) or "–"
    return Section(
        _("Who is addressed"),
        (
            Text(
                _(
                    "“id” is how your system knows the person, “id_type” which kind of ID it is: "
                    "%(codes)s. “reach_id” is the address to use, of the type “reach_id_type”; "
                    "mostly the two are the same."
                )
                % {"codes": codes}
            ),
            Text(
                _(
                    "A journey may send IDs hashed (MD5 or SHA-256 in lower-case hex) or encrypted "
                    "(AES-GCM: base64 of 12 bytes nonce, ciphertext and 16 bytes tag)."
                )
            ),
        ),
    )


def _answers(webhook: Webhook) -> Section:
    repeated = (
        _("We take it as accepted: you had the message already.")
        if webhook.answers_409
        else _("We take it as refused for good.")
    )
    rows = (
        ("2xx", _("Accepted, for everybody in the request.")),
        ("409", repeated),
        ("429, 503", _("We try again; a Retry-After header is honoured.")),
        ("408, 5xx", _("We try again.")),
        ("410", _("We disable the webhook.")),
        ("401, 403, 404, 3xx", _("We try again, and pause the webhook after 20 in a row.")),
        ("400, 422, 4xx", _("Refused for good: the delivery counts as failed.")),
    )
    blocks: list[Block] = [Table((_("Your answer"), _("What we do")), rows)]
    if webhook.success_field:
        blocks.append(
            Text(
                _("A 2xx counts only when “%(field)s” of the JSON answer is “%(value)s”.")
                % {"field": webhook.success_field, "value": webhook.success_value}
            )
        )
    blocks += [
        Text(_("To answer for each person of a request apart, answer 2xx with results:")),
        Code("json", _RESULTS),
        Text(_("Whoever is not named as failed counts as accepted. We follow no redirects.")),
    ]
    return Section(_("What to answer"), tuple(blocks))


def _retries(webhook: Webhook) -> Section:
    if webhook.guarantee == Guarantee.AT_MOST_ONCE:
        text = _(
            "Every message is sent at most once: when it is not clear whether you got it, it is "
            "not repeated, and its outcome stays unknown."
        )
        return Section(_("Repetitions"), (Text(text),))
    return Section(
        _("Repetitions"),
        (
            Text(
                _(
                    "After a failure we try again after 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 5 h "
                    "and 10 h, each 20%% more or less, for at most %(hours)d hours. The same "
                    "message may therefore arrive twice. Remember the “webhook-id” (in requests "
                    "for several people, each “delivery_id”) of what you have done, and answer "
                    "2xx without doing it again."
                )
                % {"hours": webhook.expiry_hours}
            ),
        ),
    )


def _tests(webhook: Webhook, content: revisions.Content, signed: bool) -> Section:
    body = json.loads(sample_body(webhook, content))
    if isinstance(body, dict) and "test" in body:
        body["test"] = True
    line = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Section(
        _("Tests"),
        (
            Text(
                _(
                    'A test has the header “x-qa-test: true” and “"test": true” in its body. '
                    "Handle it like any other message, to the one ID that it names, and leave it "
                    "out of your statistics."
                )
            ),
            Text(_("To send one to yourself from a shell, with the key in the environment:")),
            Code("sh", curl(webhook, line, signed=signed)),
        ),
    )


def _receipts(webhook: Webhook, url: str) -> Section:
    codes = tuple((code, str(value)) for code, value in webhook.receipt_codes.items())
    return Section(
        _("Receipts"),
        (
            Text(
                _(
                    "When you know what became of a message, report it within %(days)d days, up "
                    "to 1,000 in one call. Send the receipt key as a bearer token, or sign the "
                    "request with it after Standard Webhooks."
                )
                % {"days": webhook.receipt_days}
            ),
            Code("http", f"POST {url}\nauthorization: Bearer whsec_…"),
            Code("json", _RECEIPTS),
            Table((_("Code"), _("Meaning")), codes),
        ),
    )


def sample_body(webhook: Webhook, content: revisions.Content) -> str:
    """Return the indented body with sample values; empty while the webhook cannot make one."""
    codes = [id_type["code"] for id_type in content.id_types]
    try:
        return bodies.preview_message(
            content.parameters,
            id_type=codes[0] if codes else "MOBILE",
            custom=content.body,
            recipients=min(webhook.batch_size, 2),
        )
    except BindingError:
        return "{}"


def _markdown_of(block: Block) -> Sequence[str]:
    if isinstance(block, Code):
        return [f"```{block.language}", block.text.rstrip("\n"), "```"]
    if isinstance(block, Table):
        lines = [block.head, tuple("---" for _cell in block.head), *block.rows]
        return ["| " + " | ".join(map(_cell_of, row)) + " |" for row in lines]
    return [block.text]


def _cell_of(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_SHELL_KEY: Final = (
    f'KEY=$(printf %s "${{{SECRET_VARIABLE}#whsec_}}" | base64 -d | od -An -vtx1 | tr -d " \\n")'
)
_SHELL_SIGNATURE: Final = (
    'SIG=$(printf %s "$ID.$TS.$BODY" | openssl dgst -sha256 -mac HMAC '
    '-macopt "hexkey:$KEY" -binary | base64)'
)

_RESULTS: Final = """\
{"results": [{"delivery_id": "dlv_…", "success": false, "code": "no_such_member",
              "message": "We do not know this member.", "retryable": false}]}"""

_RECEIPTS: Final = """\
{"receipts": [{"delivery_id": "dlv_…", "code": "200", "occurred_at": "2026-12-31T09:00:00Z",
               "message": ""}]}"""
