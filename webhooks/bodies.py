"""The request's body: the standard form and an administrator's own, compiled once.

Both are JSON text with slots into which only encoded JSON goes, so that no value can add
structure; neither is a template language.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final, Protocol

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from webhooks import values
from webhooks.choices import ParameterType
from webhooks.rendering import (
    Binding,
    ParameterPlan,
    Rendered,
    SizeError,
    clean_name,
    escape,
    name_problem,
    parse,
)

MESSAGE_BYTES: Final = 8 * 1024 * 1024
CUSTOM_CHARACTERS: Final = 64 * 1024
CUSTOM_DEPTH: Final = 32
RESERVED: Final = ("id", "id_type", "reach_id", "delivery_id")

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


class Body(Protocol):
    """A compiled body; both forms are used the same way."""

    recipients_at_most: int | None

    def recipient(self, delivery_id: str, sent_id: str, reach_id: str, rendered: Rendered) -> str:
        """Return one person's part of a message."""

    def message(self, message_id: str, recipients: Sequence[str]) -> bytes:
        """Return the exact bytes of a message made of these parts.

        Raises:
            SizeError: it is larger than a message may be.
        """


def _encoded(text: str) -> bytes:
    # A lone surrogate has no UTF-8; backslashreplace makes JSON's own \udXXX of it.
    body = text.encode("utf-8", "backslashreplace")
    if len(body) > MESSAGE_BYTES:
        raise SizeError("The message", len(body), MESSAGE_BYTES)
    return body


class StandardBody:
    """``{"type": "webhook.message", …, "recipients": […]}`` for 1 to *batch size* people."""

    recipients_at_most: int | None = None

    def __init__(
        self, plan: ParameterPlan, *, id_type: str, reach_id_type: str, test: bool = False
    ) -> None:
        self._tail = (
            f'","test":{"true" if test else "false"},"id_type":{encode_basestring(id_type)}'
            f',"reach_id_type":{encode_basestring(reach_id_type)},"recipients":['
        )
        start = '{"delivery_id":"%s","id":%s,"reach_id":%s,"params":{'
        names = [encode_basestring(p.name).replace("%", "%%") + ":" for p in plan.parameters]
        # Without optional texts every part has its fixed place; else the parts are joined.
        self._joined: list[str | None] | None = None
        self._names: list[str] = []
        if any(p.json is None and not p.required for p in plan.parameters):
            self._start = start
            self._joined = []
            for parameter in plan.parameters:
                key = encode_basestring(parameter.name) + ":"
                if parameter.json is None:
                    self._joined.append(None)
                    self._names.append(key)
                elif parameter.json:
                    self._joined.append(key + parameter.json)
        else:
            parts = [
                name + ("%s" if p.json is None else p.json.replace("%", "%%"))
                for name, p in zip(names, plan.parameters, strict=True)
                if p.json != ""
            ]
            self._start = start + ",".join(parts) + "}}"

    def recipient(self, delivery_id: str, sent_id: str, reach_id: str, rendered: Rendered) -> str:
        """Return one person's part; delivery ids hold no character that JSON escapes."""
        sent = encode_basestring(sent_id)
        reach = sent if reach_id is sent_id else encode_basestring(reach_id)
        if self._joined is None:
            return self._start % (delivery_id, sent, reach, *map(encode_basestring, rendered.texts))  # type: ignore[arg-type]  # No None: all texts are required.
        texts = zip(self._names, rendered.texts, strict=True)
        parts = []
        for part in self._joined:
            if part is not None:
                parts.append(part)
                continue
            name, text = next(texts)
            if text is not None:
                parts.append(name + encode_basestring(text))
        return self._start % (delivery_id, sent, reach) + ",".join(parts) + "}}"

    def message(self, message_id: str, recipients: Sequence[str]) -> bytes:
        parts = recipients[0] if len(recipients) == 1 else ",".join(recipients)
        return _encoded(f'{{"type":"webhook.message","id":"{message_id}{self._tail}{parts}]}}')


# --- The administrator's own body -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Slot:
    """A placeholder: ``whole`` when the leaf is nothing else and takes the typed value."""

    name: str
    whole: bool = False


_Leaf = list["str | _Slot"]
_Context = Mapping[str, "tuple[str, str]"]  # Name: (JSON text or "" when left out, plain text).
_Fill = Callable[[_Context], str]


def _placeholders(text: str) -> _Leaf:
    """Split a leaf into literal pieces and slots; ``{{`` and ``}}`` are plain braces."""
    pieces: _Leaf = []
    literal = ""
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        if match.group(1) is None:
            literal += match.group()[0]
            continue
        if literal:
            pieces.append(literal)
        literal = ""
        pieces.append(_Slot(clean_name(match.group(1))))
    literal += text[end:]
    if literal:
        pieces.append(literal)
    if len(pieces) == 1 and isinstance(pieces[0], _Slot):
        return [_Slot(pieces[0].name, whole=True)]
    return pieces


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = _("The key “%(key)s” stands twice in one object. Remove one of the two.")
        raise ValidationError(message, "duplicate_key", {"key": twice})
    return found


def _no_constant(text: str) -> Any:
    message = _("%(word)s is not JSON. Write a number, or null.")
    raise ValidationError(message, "not_json", {"word": text})


def parse_custom(source: Any) -> Any:
    """Return a custom body as a tree, from JSON text (whose order of keys is kept) or from a tree.

    Raises:
        ValidationError: it is no JSON, too long or nested too deep.
    """
    text = source if isinstance(source, str) else json.dumps(source, ensure_ascii=False)
    if len(text) > CUSTOM_CHARACTERS:
        message = _("The body has %(length)d characters; %(limit)d at most are possible.")
        raise ValidationError(
            message, "too_long", {"length": len(text), "limit": CUSTOM_CHARACTERS}
        )
    try:
        tree = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=Decimal,
        )
    except json.JSONDecodeError as error:
        message = _(
            "This is not JSON: line %(line)d, character %(column)d. Check quotes and commas."
        )
        raise ValidationError(
            message, "not_json", {"line": error.lineno, "column": error.colno}
        ) from None
    except RecursionError:
        tree = None
        depth = CUSTOM_DEPTH + 1
    else:
        depth = _depth(tree)
    if depth > CUSTOM_DEPTH:
        message = _("The body is nested deeper than %(limit)d levels. Make it flatter.")
        raise ValidationError(message, "too_deep", {"limit": CUSTOM_DEPTH})
    return tree


def _depth(tree: Any) -> int:
    """Count levels without recursion, so that a hostile depth costs nothing."""
    depth = 0
    level = [tree]
    while level and depth <= CUSTOM_DEPTH + 1:
        depth += 1
        level = [child for node in level for child in _children(node)]
    return depth


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def validate_custom(source: Any, parameters: Iterable[str]) -> Any:
    """Return the tree of a custom body whose placeholders are all known.

    Raises:
        ValidationError: one sentence for each thing that is wrong.
    """
    names = [clean_name(name) for name in parameters]
    errors = [
        ValidationError(
            _("No parameter may be called “%(name)s” here: the body uses it for the person."),
            "reserved_name",
            {"name": name},
        )
        for name in names
        if name in RESERVED
    ]
    tree = parse_custom(source)
    if not isinstance(tree, dict | list):
        raise ValidationError(_("The body must be a JSON object or a list."), "not_object")
    known = {*names, *RESERVED}
    for text, is_key in _strings(tree):
        for piece in _placeholders(text):
            if isinstance(piece, str):
                continue
            shown = {"name": piece.name}
            if is_key:
                message = _("“{%(name)s}” stands in a key. Only values can be filled in.")
                errors.append(ValidationError(message, "placeholder_in_key", shown))
            elif piece.name not in known:
                message = _(
                    "“%(name)s” is no parameter of this webhook. "
                    "Add the parameter, or write {{%(name)s}} for plain text."
                )
                errors.append(ValidationError(message, "unknown_placeholder", shown))
    if errors:
        raise ValidationError(errors)
    return tree


def _strings(tree: Any) -> Iterable[tuple[str, bool]]:
    """Yield every string of a tree with whether it is a key."""
    if isinstance(tree, str):
        yield tree, False
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield key, True
            yield from _strings(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _strings(value)


def _fill_for(node: Any) -> str | _Fill:
    """Compile a tree: text where nothing changes, else a function of the person's values."""
    if isinstance(node, str):
        return _leaf_fill(node)
    if isinstance(node, dict):
        return _object_fill({key: _fill_for(value) for key, value in node.items()})
    if isinstance(node, list):
        parts = [_fill_for(value) for value in node]
        if all(isinstance(part, str) for part in parts):
            return "[" + ",".join(map(str, parts)) + "]"
        return lambda context: (
            "[" + ",".join(p if isinstance(p, str) else p(context) or "null" for p in parts) + "]"
        )
    if isinstance(node, Decimal):
        return values.number_json(node) or "null"
    return json.dumps(node)


def _leaf_fill(text: str) -> str | _Fill:
    pieces = _placeholders(text)
    slots = [piece for piece in pieces if isinstance(piece, _Slot)]
    if not slots:
        return encode_basestring("".join(map(str, pieces)))
    if slots[0].whole:
        name = slots[0].name
        return lambda context: context[name][0]
    return lambda context: encode_basestring(
        "".join(piece if isinstance(piece, str) else context[piece.name][1] for piece in pieces)
    )


def _object_fill(parts: dict[str, str | _Fill]) -> str | _Fill:
    """Compile an object; a key whose whole value is a parameter left out is left out as well."""
    items = [(encode_basestring(_plain_key(key)) + ":", part) for key, part in parts.items()]
    if all(isinstance(part, str) for part in parts.values()):
        return "{" + ",".join(f"{key}{part}" for key, part in items) + "}"

    def fill(context: _Context) -> str:
        found = []
        for key, part in items:
            value = part if isinstance(part, str) else part(context)
            if value:
                found.append(key + value)
        return "{" + ",".join(found) + "}"

    return fill


def _plain_key(key: str) -> str:
    return "".join(map(str, _placeholders(key)))


class CustomBody:
    """The JSON that the other system already expects, for one recipient a message."""

    recipients_at_most: int | None = 1

    def __init__(self, tree: Any, plan: ParameterPlan, *, id_type: str) -> None:
        """Compile a tree that ``validate_custom`` has let through."""
        fill = _fill_for(tree)
        self._fill: _Fill = fill if not isinstance(fill, str) else lambda context: fill
        self._plan = plan
        self._id_type = (encode_basestring(id_type), id_type)

    def recipient(self, delivery_id: str, sent_id: str, reach_id: str, rendered: Rendered) -> str:
        texts = iter(rendered.texts)
        context: dict[str, tuple[str, str]] = {}
        for parameter in self._plan.parameters:
            if parameter.json is None:
                text = next(texts)
                context[parameter.name] = (
                    ("", "") if text is None else (encode_basestring(text), text)
                )
            else:
                context[parameter.name] = (parameter.json, parameter.text or "")
        context["id"] = (encode_basestring(sent_id), sent_id)
        context["reach_id"] = (encode_basestring(reach_id), reach_id)
        context["delivery_id"] = (encode_basestring(delivery_id), delivery_id)
        context["id_type"] = self._id_type
        return self._fill(context)

    def message(self, message_id: str, recipients: Sequence[str]) -> bytes:
        """Return the body; the message id travels in the headers alone."""
        (only,) = recipients
        return _encoded(only)


def compile_body(
    custom: Any,
    plan: ParameterPlan,
    *,
    id_type: str,
    reach_id_type: str,
    test: bool = False,
) -> Body:
    """Return the compiled body: the standard one when ``custom`` is None, else the webhook's own.

    Raises:
        ValidationError: the custom body is wrong (it is validated when it is saved).
    """
    if custom is None:
        return StandardBody(plan, id_type=id_type, reach_id_type=reach_id_type, test=test)
    tree = validate_custom(custom, (parameter.name for parameter in plan.parameters))
    return CustomBody(tree, plan, id_type=id_type)


# --- For people -----------------------------------------------------------------------------------


def fill_content(template: str, texts: Mapping[str, str]) -> str:
    """Fill a content template for display; a placeholder without a value stays as it is.

    "Discount activity at {parameter 1 character}" becomes "Discount activity at abc".
    """
    named = {clean_name(name): text for name, text in texts.items()}
    return "".join(
        piece if isinstance(piece, str) else named.get(piece.name, "{" + piece.name + "}")
        for piece in _placeholders(template)
    )


def content_problems(template: str, parameters: Iterable[str]) -> list[str]:
    """Return the placeholders of a content template that are no parameter."""
    known = {clean_name(name) for name in parameters}
    return [
        piece.name
        for piece in _placeholders(template)
        if not isinstance(piece, str) and piece.name not in known
    ]


def pretty(body: bytes | str) -> str:
    """Indent a JSON text without touching a value: numbers and order stay as they are sent."""
    text = body.decode() if isinstance(body, bytes) else body
    lines: list[str] = []
    depth = 0
    line = ""
    opened = False
    for match in _JSON_TOKEN.finditer(text):
        part = match.group()
        if part in "]}":
            depth -= 1
            if not opened:
                lines.append(line)
                line = "  " * depth
        elif opened:
            lines.append(line)
            line = "  " * depth
        opened = part in "[{"
        line += part
        if opened:
            depth += 1
        elif part == ",":
            lines.append(line)
            line = "  " * depth
        elif part == ":":
            line += " "
    return "\n".join([*lines, line])


SAMPLE_ID: Final = "13800000000"
SAMPLE_DELIVERY: Final = "dlv_2h0example0000000000000000"
SAMPLE_MESSAGE: Final = "msg_example00000000000000000"
_SAMPLES: Final[dict[str, Any]] = {
    ParameterType.CHARACTER: "abc",
    ParameterType.NUMERIC: "20",
    ParameterType.TEXT: "Dear Zhang San Hello",
    ParameterType.DATE: "2026-12-31",
    ParameterType.CHOICE: "abc",
}


def sample_binding(parameter: Mapping[str, Any]) -> Binding:
    """Return a frozen parameter bound to its constant, its example or a sample."""
    kind = ParameterType(parameter["type"])
    choices = parameter.get("choices") or []
    sample = (
        (parameter.get("constant_value") if parameter.get("is_constant") else None)
        or parameter.get("example")
        or (choices[0][0] if choices else None)
        or _SAMPLES[kind]
    )
    is_wrong = (kind == ParameterType.NUMERIC and values.number_json(sample) is None) or (
        kind == ParameterType.DATE and values.moment_of(sample) is None
    )
    if kind == ParameterType.TEXT and not parameter.get("is_constant"):
        # An example may show a variable; here its name stands for a value.
        sample = escape(
            "".join(piece if isinstance(piece, str) else piece.name for piece in parse(sample))
        )
    date_format = parameter.get("date_format") or ""
    return Binding(
        name=parameter["name"],
        type=kind,
        value=_SAMPLES[kind] if is_wrong else sample,
        required=False,
        format=date_format if kind == ParameterType.DATE else "",
    )


def preview_message(
    parameters: Sequence[Mapping[str, Any]],
    *,
    id_type: str,
    reach_id_type: str | None = None,
    custom: Any = None,
    recipients: int = 1,
) -> str:
    """Return the indented body that a webhook sends, with sample values.

    Args:
        parameters: as ``Parameter.frozen()`` gives them.
        custom: the webhook's own body, or None for the standard one.

    Raises:
        ValidationError: the custom body is wrong.
        BindingError: a parameter is (a date format that is none, a name that stands twice).
    """
    bound = [sample_binding(each) for each in parameters if name_problem(each["name"]) is None]
    plan = ParameterPlan(bound)
    body = compile_body(
        custom, plan, id_type=id_type, reach_id_type=reach_id_type or id_type, test=False
    )
    shown = min(recipients, body.recipients_at_most or recipients)
    part = body.recipient(SAMPLE_DELIVERY, SAMPLE_ID, SAMPLE_ID, Rendered([]))
    return pretty(body.message(SAMPLE_MESSAGE, [part] * shown))
