"""Text with ``${name}`` variables: read once, compiled once, filled in one pass for each person.

Values are data: a value that looks like ``${x}`` goes out as it is, and nothing is evaluated.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any, Final, Self

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from webhooks import values
from webhooks.choices import ParameterType

NAME_LENGTH: Final = 64
VALUE_CHARACTERS: Final = (
    1_000_000  # One rendered value; beyond it the person's delivery ends dead.
)
VARIABLES: Final = 63  # In one step: a delivery keeps one bit each in two bigints.

# The look-behind keeps a long run of "$" linear.
_TOKEN: Final = re.compile(r"(?<!\$)(\$+)\{([^{}$]*)(\}?)")
_DOLLARS: Final = re.compile(r"(?<!\$)\$+(?=\{)")
_MARKS: Final = (
    "L",
    "M",
    "N",
)  # Unicode's letters, the marks that belong to them, digits.


class Source(StrEnum):
    TAG = "tag"
    EVENT = "event"


class EmptyRule(StrEnum):
    """What stands at the variable's place when the person has no value."""

    NOTHING = "nothing"
    DEFAULT = "default"
    SKIP = "skip"


class BindingError(ValueError):
    """A step's values cannot be compiled: ``parameter`` is at fault, ``message`` says why."""

    def __init__(self, parameter: str, message: str | Promise) -> None:
        super().__init__(parameter, message)
        self.parameter = parameter
        self.message = message

    def __str__(self) -> str:
        return f"{self.parameter}: {self.message}"


class RenderingError(Exception):
    """One person's request cannot be made: dead with ``reason``, the neighbours go on."""

    reason = "rendering"


class SizeError(RenderingError):
    """A value or a message is longer than may be sent."""

    reason = "too_long"

    def __init__(self, what: str, length: int, limit: int) -> None:
        super().__init__(what, length, limit)
        self.what, self.length, self.limit = what, length, limit

    def __str__(self) -> str:
        return f"{self.what} is {self.length:,} long, {self.limit:,} at most are possible"


# --- Names and tokens -----------------------------------------------------------------------------


def clean_name(raw: str) -> str:
    """Return a name as it is compared: in NFC, without space around it."""
    return unicodedata.normalize("NFC", raw).strip()


def name_problem(raw: str) -> str | Promise | None:
    """Return the sentence that says why this is no name, or None."""
    name = clean_name(raw)
    if not name:
        return _("Enter a name.")
    if len(name) > NAME_LENGTH:
        return _("A name has 64 characters at most.")
    for character in name:
        if character not in " _-" and unicodedata.category(character)[0] not in _MARKS:
            return _("A name holds letters, digits, spaces, “_” and “-” only.")
    return None


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one variable in a text."""

    name: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a typed text cannot be used; ``code`` is for forms, ``message`` for people."""

    code: str
    name: str
    message: str | Promise


def parse(text: str) -> list[str | Slot]:
    """Split a text into literal pieces and slots.

    An even run of ``$`` before ``{`` halves and opens nothing (``$${x}`` is the text
    ``${x}``), an odd run halves and opens a slot; ``$`` elsewhere stands for itself.
    """
    pieces: list[str | Slot] = []
    literal = ""
    end = 0
    for match in _TOKEN.finditer(text):
        dollars, inside, closed = match.groups()
        literal += text[end : match.start()] + "$" * (len(dollars) // 2)
        end = match.end()
        if len(dollars) % 2 and closed:
            if literal:
                pieces.append(literal)
            literal = ""
            pieces.append(Slot(clean_name(inside)))
        elif len(dollars) % 2:
            literal += "${" + inside
        else:
            literal += "{" + inside + closed
    literal += text[end:]
    if literal:
        pieces.append(literal)
    return pieces


def names_in(text: str) -> list[str]:
    """Return the variables' names in the order of their first place."""
    return list(dict.fromkeys(piece.name for piece in parse(text) if isinstance(piece, Slot)))


def escape(text: str) -> str:
    """Return the text to type so that ``text`` goes out as it is."""
    return _DOLLARS.sub(lambda match: match.group() * 2, text)


def problems_in(text: str, known: Iterable[str]) -> list[Problem]:
    """Return what is wrong with a text whose variables are ``known``, in reading order."""
    names = {clean_name(name) for name in known}
    found = [
        Problem(
            "unknown_variable",
            name,
            _("“%(name)s” is not a variable here. Insert it, or write $${%(name)s} for plain text.")
            % {"name": name},
        )
        for name in names_in(text)
        if name not in names
    ]
    for match in _TOKEN.finditer(text):
        if len(match.group(1)) % 2 and not match.group(3):
            message = _(
                "“${” is opened and not closed. Close it with “}”, or write $${ for plain text."
            )
            found.append(Problem("unclosed_variable", match.group(2), message))
    return found


# --- What a step binds ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """A ``${name}`` of one text parameter: its source, and what stands for an empty value."""

    name: str
    source: Source
    code: str  # Of the tag or the event attribute.
    empty: EmptyRule = EmptyRule.NOTHING
    default: str = ""
    format: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "source": self.source.value,
            "code": self.code,
            "empty": self.empty.value,
            "default": self.default,
            "format": self.format,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            name=data["name"],
            source=Source(data["source"]),
            code=data["code"],
            empty=EmptyRule(data.get("empty", "nothing")),
            default=data.get("default", ""),
            format=data.get("format", ""),
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """One parameter of the webhook and what the step gives it.

    ``value`` is the constant as it was typed or chosen (numbers and dates as text or
    typed), for a text parameter the text with its tokens. ``format`` is the parameter's
    own number or date format: with one, the value goes out as a string.
    """

    name: str
    type: ParameterType
    value: Any = None
    required: bool = True
    variables: tuple[Variable, ...] = ()
    format: str = ""
    max_length: int | None = None

    def to_json(self) -> dict[str, Any]:
        value = values.text_of(self.value) if self.value is not None else None
        return {
            "name": self.name,
            "type": self.type.value,
            "value": value,
            "required": self.required,
            "variables": [variable.to_json() for variable in self.variables],
            "format": self.format,
            "max_length": self.max_length,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            name=data["name"],
            type=ParameterType(data["type"]),
            value=data.get("value"),
            required=data.get("required", True),
            variables=tuple(Variable.from_json(each) for each in data.get("variables", ())),
            format=data.get("format", ""),
            max_length=data.get("max_length"),
        )


# --- The compiled plan ----------------------------------------------------------------------------


@dataclass(slots=True)
class Rendered:
    """One person's texts, aligned with ``ParameterPlan.dynamic``; None for one left out.

    Bit i of the masks stands for variable i of the plan: ``defaulted`` went out with
    its default, ``blanked`` with nothing.
    """

    texts: list[str | None]
    defaulted: int = 0
    blanked: int = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """The person is passed over, since this variable is empty and its rule says so."""

    parameter: str
    variable: str
    reason: str = "variable_empty"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A compiled parameter: ``json`` of a constant, None when each person has a text."""

    name: str
    type: ParameterType
    required: bool
    json: str | None
    text: str | None  # Of a constant, as it stands inside other text.


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a rendered text, for the preview: ``kind`` is literal, value, default or blank."""

    kind: str
    text: str
    variable: str = ""


@dataclass(slots=True)
class _Text:
    """How one text parameter is filled: ``template % fill(values)``."""

    name: str
    required: bool
    limit: int
    template: str
    fill: Callable[[list[str]], Any]
    pieces: list[str | int]


@dataclass(frozen=True, slots=True)
class PlannedVariable:
    """A variable that a text really uses, with the parameter it belongs to."""

    parameter: str
    variable: Variable
    convert: values.Convert = field(compare=False)


class ParameterPlan:
    """The parameters of one step, compiled; safe to share between threads."""

    def __init__(self, bindings: Sequence[Binding], *, zone: tzinfo = UTC) -> None:
        """Compile the bindings; times in values are written in ``zone``.

        Raises:
            BindingError: a value is missing or wrong, or a text names an unknown variable.
        """
        self.parameters: list[Parameter] = []
        self.variables: list[PlannedVariable] = []
        self._texts: list[_Text] = []
        seen: set[str] = set()
        for binding in bindings:
            name = clean_name(binding.name)
            if name in seen:
                raise BindingError(name, _("There are two parameters of this name."))
            seen.add(name)
            self._add(binding, name, zone)
        if len(self.variables) > VARIABLES:
            raise BindingError(
                self.variables[VARIABLES].parameter,
                _("A step has 63 variables at most."),
            )
        self.tag_codes = self._codes(Source.TAG)
        self.attribute_codes = self._codes(Source.EVENT)
        self.dynamic: list[str] = [text.name for text in self._texts]
        self._places = [
            (self.tag_codes.index(planned.variable.code), "")
            if planned.variable.source is Source.TAG
            else (-1, planned.variable.code)
            for planned in self.variables
        ]
        self._rules = [
            (
                planned.convert,
                planned.variable.empty,
                planned.variable.default,
                1 << index,
            )
            for index, planned in enumerate(self.variables)
        ]

    def _codes(self, source: Source) -> tuple[str, ...]:
        """Return the codes to read for each person from one source, each once."""
        used = (each.variable for each in self.variables if each.variable.source is source)
        return tuple(dict.fromkeys(variable.code for variable in used))

    def _add(self, binding: Binding, name: str, zone: tzinfo) -> None:
        if binding.type == ParameterType.TEXT and isinstance(binding.value, str):
            pieces = parse(binding.value)
            if any(isinstance(piece, Slot) for piece in pieces):
                self._add_text(binding, name, pieces, zone)
                return
        json, text = constant(binding, zone)
        self.parameters.append(Parameter(name, binding.type, binding.required, json or "", text))

    def _add_text(
        self, binding: Binding, name: str, pieces: list[str | Slot], zone: tzinfo
    ) -> None:
        variables = {clean_name(variable.name): variable for variable in binding.variables}
        indexes: dict[str, int] = {}
        parts: list[str | int] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            if piece.name not in indexes:
                variable = variables.get(piece.name)
                if variable is None:
                    raise BindingError(name, problems_in("${" + piece.name + "}", ())[0].message)
                indexes[piece.name] = len(self.variables)
                self.variables.append(_planned(name, variable, zone))
            parts.append(indexes[piece.name])
        template = "".join(
            "%s" if isinstance(part, int) else part.replace("%", "%%") for part in parts
        )
        limit = min(binding.max_length or VALUE_CHARACTERS, VALUE_CHARACTERS)
        fill = itemgetter(*(part for part in parts if isinstance(part, int)))
        self._texts.append(_Text(name, binding.required, limit, template, fill, parts))
        self.parameters.append(Parameter(name, binding.type, binding.required, None, None))

    def render(
        self, tags: Sequence[Any] = (), attributes: Mapping[str, Any] | None = None
    ) -> Rendered | Skipped:
        """Fill the texts for one person.

        Args:
            tags: the person's tag values, in the order of ``tag_codes``.
            attributes: the event's attributes by code.

        Raises:
            SizeError: a text is longer than the parameter allows.
        """
        if not self._rules:
            return Rendered([])
        given = attributes or {}
        return self.render_values(
            [tags[place] if place >= 0 else given.get(code) for place, code in self._places]
        )

    def render_values(self, given: Sequence[Any]) -> Rendered | Skipped:
        """Fill the texts with one value for each of ``variables`` (a test send's way)."""
        written: list[str] = []
        defaulted = blanked = 0
        for value, (convert, rule, default, bit) in zip(given, self._rules, strict=True):
            text = value if convert is values.text_of and type(value) is str else convert(value)
            if text == "":
                if rule is EmptyRule.SKIP:
                    planned = self.variables[bit.bit_length() - 1]
                    return Skipped(planned.parameter, planned.variable.name)
                if rule is EmptyRule.DEFAULT:
                    text = default
                    defaulted |= bit
                else:
                    blanked |= bit
            written.append(text)
        texts: list[str | None] = []
        for one in self._texts:
            text = one.template % one.fill(written)
            if len(text) > one.limit:
                raise SizeError(one.name, len(text), one.limit)
            texts.append(text if text or one.required else None)
        return Rendered(texts, defaulted, blanked)

    def params(self, rendered: Rendered) -> dict[str, str]:
        """Return every parameter that goes out, as JSON text by name, in the webhook's order."""
        texts = iter(rendered.texts)
        found: dict[str, str] = {}
        for parameter in self.parameters:
            json = parameter.json
            if json is None:
                text = next(texts)
                json = "" if text is None else encode_basestring(text)
            if json:
                found[parameter.name] = json
        return found

    def texts(self, rendered: Rendered) -> dict[str, str]:
        """Return every parameter as it reads inside other text; ``""`` for one that is left out."""
        filled = iter(rendered.texts)
        return {
            parameter.name: (next(filled) if parameter.json is None else parameter.text) or ""
            for parameter in self.parameters
        }

    def preview(
        self, tags: Sequence[Any] = (), attributes: Mapping[str, Any] | None = None
    ) -> dict[str, list[Piece]]:
        """Return each text with variables in marked pieces, rules for skipping ignored."""
        given = attributes or {}
        marked: list[Piece] = []
        for planned, (place, code) in zip(self.variables, self._places, strict=True):
            text = planned.convert(tags[place] if place >= 0 else given.get(code))
            kind = "value"
            if text == "":
                kind = "default" if planned.variable.empty is EmptyRule.DEFAULT else "blank"
                text = planned.variable.default if kind == "default" else ""
            marked.append(Piece(kind, text, planned.variable.name))
        return {
            one.name: [marked[p] if isinstance(p, int) else Piece("literal", p) for p in one.pieces]
            for one in self._texts
        }

    def bit_of(self, parameter: str, variable: str) -> int:
        """Return the bit of a variable in a rendered mask; 0 when there is no such variable."""
        for place, planned in enumerate(self.variables):
            if (planned.parameter, planned.variable.name) == (parameter, variable):
                return 1 << place
        return 0

    def mask_names(self, mask: int) -> list[tuple[str, str]]:
        """Return (parameter, variable) for each bit of a rendered mask."""
        return [
            (planned.parameter, planned.variable.name)
            for index, planned in enumerate(self.variables)
            if mask >> index & 1
        ]


def _planned(parameter: str, variable: Variable, zone: tzinfo) -> PlannedVariable:
    try:
        convert = values.converter(variable.format, zone)
    except ValueError:
        message = _("“%(format)s” is neither a date format nor a number format.")
        raise BindingError(parameter, message % {"format": variable.format}) from None
    return PlannedVariable(parameter, variable, convert)


def constant(binding: Binding, zone: tzinfo = UTC) -> tuple[str | None, str | None]:
    """Return a constant as JSON and as text; ``(None, None)`` when it is optional and empty.

    Raises:
        BindingError: it is required and missing, or not of the parameter's type.
    """
    name = clean_name(binding.name)
    text = values.text_of(binding.value)
    if text == "":
        if binding.required:
            raise BindingError(name, _("Enter a value."))
        return None, None
    json, text = _typed(name, binding, text, zone)
    limit = min(binding.max_length or VALUE_CHARACTERS, VALUE_CHARACTERS)
    if len(text) > limit:
        message = _("This has %(length)d characters; %(limit)d at most are possible.")
        raise BindingError(name, message % {"length": len(text), "limit": limit})
    return json or encode_basestring(text), text


def _typed(name: str, binding: Binding, text: str, zone: tzinfo) -> tuple[str, str]:
    """Return a constant's JSON where it is no string (else ""), and its text."""
    if binding.type == ParameterType.NUMERIC:
        json = values.number_json(binding.value)
        if json is None:
            raise BindingError(name, _("Enter a number."))
        if binding.format:
            return "", _formatted(name, binding, values.number_format_problem, zone)
        return json, json
    if binding.type == ParameterType.DATE:
        moment = values.moment_of(binding.value, zone)
        if moment is None:
            raise BindingError(name, _("Enter a date like 2026-12-31."))
        if binding.format:
            return "", _formatted(name, binding, values.date_format_problem, zone)
        return "", moment.isoformat()
    if binding.type == ParameterType.TEXT:
        return "", "".join(piece for piece in parse(text) if isinstance(piece, str))
    return "", text


def _formatted(name: str, binding: Binding, problem: Callable[[str], bool], zone: tzinfo) -> str:
    if problem(binding.format):
        message = _("“%(format)s” is not a format for this parameter.")
        raise BindingError(name, message % {"format": binding.format})
    return values.converter(binding.format, zone)(binding.value)
