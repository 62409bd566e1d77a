"""How many people the steps of a document would reach, skip, give a default or a blank.

One statement and one pass over the people answers for all steps, by the same rules as the
engine's: first the ID to send, then the ID to reach by, then variables that must not be empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import connection

from journeys import components
from journeys.component import Context, PeopleQuery
from journeys.definition import Document
from webhooks.rendering import Binding, EmptyRule, ParameterPlan, PlannedVariable, Source

# An ID type of which a person has a value; disabled types have none.
_HAS_ID: Final = (
    "EXISTS (SELECT 1 FROM identity_identifier i JOIN identity_idtype t ON t.id = i.id_type_id"
    " WHERE i.profile_id = entry.qaid AND i.id_type_id = %s AND t.enabled)"
)
_EMPTY: Final = "coalesce({document} ->> %s, '') IN ('', '[]')"
_DOCUMENTS: Final = {Source.TAG: "s.tags", Source.EVENT: "entry.attributes"}


@dataclass(frozen=True, slots=True)
class Reach:
    """What would become of one step's people; defaults and blanks by parameter and variable."""

    reached: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    defaulted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    blanked: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """The people who would enter, and each sending step's part of them."""

    entries: int = 0  # Events, with an event start.
    people: int = 0
    steps: Mapping[UUID, Reach] = field(default_factory=dict)


def count(document: Document, context: Context) -> Counted:
    """Count a document's people; only its start and the given steps have to be without problems."""
    if document.start is None:
        return Counted()
    start = components.start_of(document.start)
    entries = start.entries(document.start, context)
    if entries is None:
        return Counted()
    definitions = {
        step.key: sending.definition
        for step in document.steps
        if (sending := components.of(step).sending(step, context))
    }
    return _count(entries, definitions)


def _count(entries: PeopleQuery, definitions: Mapping[UUID, Mapping[str, Any]]) -> Counted:
    counter = _Counter()
    places = {key: counter.add_step(definition) for key, definition in definitions.items()}
    sql, params = counter.statement(entries)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        total, people, *numbers = cursor.fetchone()
    return Counted(
        entries=total,
        people=people,
        steps={key: place.read(numbers) for key, place in places.items()},
    )


@dataclass(slots=True)
class _Place:
    """Where one step's numbers stand in the row."""

    reached: int
    skipped: dict[str, int]
    defaulted: dict[tuple[str, str], int]
    blanked: dict[tuple[str, str], int]

    def read(self, numbers: Sequence[int]) -> Reach:
        def of(places: Mapping[Any, int]) -> dict[Any, int]:
            return {key: numbers[place] for key, place in places.items() if numbers[place]}

        return Reach(
            reached=numbers[self.reached],
            skipped=of(self.skipped),
            defaulted=of(self.defaulted),
            blanked=of(self.blanked),
        )


class _Counter:
    """Builds the statement: facts about each person once, sums over combinations of them."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, Any], str] = {}
        self._fact_params: list[Any] = []
        self._fact_sql: list[str] = []
        self._sums: list[str] = []

    def add_step(self, definition: Mapping[str, Any]) -> _Place:
        sent = self._fact(_HAS_ID, definition["id_type"]["id"])
        reach = self._fact(_HAS_ID, definition["reach_id_type"]["id"])
        plan = ParameterPlan([Binding.from_json(each) for each in definition["parameters"]])
        must = [
            self._empty(planned)
            for planned in plan.variables
            if planned.variable.empty is EmptyRule.SKIP
        ]
        lacks = f"({' OR '.join(must)})" if must else "false"
        goes = f"{sent} AND {reach} AND NOT {lacks}"
        skipped = {
            "no_id": self._sum(f"NOT {sent}"),
            "no_reach_id": self._sum(f"{sent} AND NOT {reach}"),
        }
        if must:
            skipped["variable_empty"] = self._sum(f"{sent} AND {reach} AND {lacks}")
        counted: dict[EmptyRule, dict[tuple[str, str], int]] = {
            EmptyRule.DEFAULT: {},
            EmptyRule.NOTHING: {},
        }
        for planned in plan.variables:
            if planned.variable.empty is not EmptyRule.SKIP:
                key = (planned.parameter, planned.variable.name)
                place = self._sum(f"{goes} AND {self._empty(planned)}")
                counted[planned.variable.empty][key] = place
        return _Place(
            self._sum(goes), skipped, counted[EmptyRule.DEFAULT], counted[EmptyRule.NOTHING]
        )

    def statement(self, entries: PeopleQuery) -> tuple[str, list[Any]]:
        facts = "".join(f", {sql}" for sql in self._fact_sql)
        sums = "".join(f", {each}" for each in self._sums)
        sql = (
            "SELECT count(*), count(DISTINCT qaid)"
            f"{sums} FROM (SELECT entry.qaid{facts}"
            f" FROM ({entries.sql}) AS entry (qaid, attributes)"
            " JOIN identity_profile s ON s.qaid = entry.qaid"
            # Keeps each fact from being computed anew in every sum that uses it.
            " OFFSET 0) AS facts"
        )
        return sql, [*self._fact_params, *entries.params]

    def _empty(self, planned: PlannedVariable) -> str:
        document = _DOCUMENTS[planned.variable.source]
        return self._fact(_EMPTY.format(document=document), planned.variable.code)

    def _fact(self, sql: str, param: Any) -> str:
        """Return the name of a column that holds this fact, each computed once."""
        name = self._facts.get((sql, param))
        if name is None:
            name = self._facts[sql, param] = f"fact{len(self._facts)}"
            self._fact_sql.append(f"{sql} AS {name}")
            self._fact_params.append(param)
        return name

    def _sum(self, condition: str) -> int:
        """Return the place of the number of people for whom this holds."""
        self._sums.append(f"count(*) FILTER (WHERE {condition})")
        return len(self._sums) - 1
