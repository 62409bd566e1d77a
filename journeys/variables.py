"""The variables of text parameters: which may be used, what is wrong with them, how they read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from journeys.component import VariableSource
from webhooks import rendering, values
from webhooks.choices import ParameterType
from webhooks.rendering import EmptyRule, ParameterPlan, Piece, Variable


@dataclass(frozen=True, slots=True)
class TextProblem:
    sentence: str
    code: str
    variable: str = ""


def problems(
    text: str, variables: Sequence[Variable], sources: Iterable[VariableSource]
) -> list[TextProblem]:
    """Return what is wrong with a text and its variables, in reading order.

    A variable that the text does not use is no problem: the panel keeps it, so that an
    undo of the text brings it back.
    """
    found = [
        TextProblem(str(problem.message), problem.code, problem.name)
        for problem in rendering.problems_in(text, (variable.name for variable in variables))
    ]
    used = set(rendering.names_in(text))
    offered = {(source.source, source.code): source for source in sources}
    for variable in variables:
        if rendering.clean_name(variable.name) not in used:
            continue
        if (variable.source, variable.code) not in offered:
            message = _("“%(name)s” is no longer available. Remove it, or choose its source again.")
            found.append(
                TextProblem(message % {"name": variable.name}, "variable_gone", variable.name)
            )
        elif problem := format_problem(variable.format):
            found.append(TextProblem(problem, "invalid_format", variable.name))
    names = [rendering.clean_name(variable.name) for variable in variables]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        message = _("There are two variables called “%(name)s”. Rename one of them.")
        found.append(TextProblem(message % {"name": name}, "duplicate_variable", name))
    return found


def name_problem(name: str, others: Iterable[str]) -> str | None:
    """Return the sentence that says why a variable cannot be called so, or None.

    Args:
        others: the names of the other variables of the same parameter.
    """
    problem = rendering.name_problem(name)
    if problem:
        return str(problem)
    if rendering.clean_name(name) in {rendering.clean_name(other) for other in others}:
        return _("Another variable of this text has this name.")
    return None


def format_problem(pattern: str) -> str | None:
    """Return the sentence that says why this is no format of a date or a number, or None."""
    try:
        values.converter(pattern)
    except ValueError:
        message = _("“%(format)s” is neither a date format nor a number format.")
        return message % {"format": pattern}
    return None


def unavailable(variables: Iterable[Variable], sources: Iterable[VariableSource]) -> list[Variable]:
    """Return the variables whose tag or attribute the start no longer offers."""
    offered = {(source.source, source.code) for source in sources}
    return [each for each in variables if (each.source, each.code) not in offered]


def used_in(text: str, variables: Iterable[Variable]) -> list[Variable]:
    """Return the variables that the text holds, in reading order: what a saved step keeps."""
    known = {rendering.clean_name(variable.name): variable for variable in variables}
    return [known[name] for name in rendering.names_in(text) if name in known]


def proposed_name(source: VariableSource, others: Iterable[str]) -> str:
    """Return a free name for a variable, made from its tag's or attribute's name."""
    taken = {rendering.clean_name(other) for other in others}
    wanted = rendering.clean_name(source.name)
    if rendering.name_problem(wanted):
        wanted = source.code[: rendering.NAME_LENGTH]
    name, number = wanted, 2
    while name in taken:
        suffix = f" {number}"
        name = wanted[: rendering.NAME_LENGTH - len(suffix)] + suffix
        number += 1
    return name


@dataclass(frozen=True, slots=True)
class Example:
    """A text as two people get it, in pieces that mark values, defaults and blanks.

    ``without`` is None when a person without a value is skipped.
    """

    with_value: list[Piece]
    without: list[Piece] | None


def example(text: str, variables: Sequence[Variable], values_by_name: dict[str, Any]) -> Example:
    """Return a text as somebody with these values gets it, and as somebody with none does.

    Raises:
        BindingError: the text names an unknown variable.
    """
    binding = rendering.Binding(
        name="text",
        type=ParameterType.TEXT,
        value=text,
        required=False,
        variables=tuple(variables),
    )
    plan = ParameterPlan([binding])
    if not plan.variables:
        pieces = [Piece("literal", str(piece)) for piece in rendering.parse(text)]
        return Example(pieces, pieces)
    skips = any(each.variable.empty is EmptyRule.SKIP for each in plan.variables)
    without = plan.preview([None] * len(plan.tag_codes), {})["text"]
    known = {rendering.clean_name(name): value for name, value in values_by_name.items()}
    with_value = []
    for piece in without:
        variable = next((v for v in variables if v.name == piece.variable), None)
        value = known.get(rendering.clean_name(piece.variable)) if piece.variable else None
        shown = values.converter(variable.format)(value) if variable and value is not None else ""
        with_value.append(Piece("value", shown, piece.variable) if shown else piece)
    return Example(with_value, None if skips else without)
