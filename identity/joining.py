"""Who is who, decided for a batch of records in memory, without a database.

Values reported together belong to one person. Where that would give a person two values of a
type of which only one may be, the type with the higher priority decides whose the record is,
the other value stays with, or becomes, another person, and the conflict is listed.

Without conflicts the people are the connected components of the records, whatever their order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

# People of this batch who are not in the database yet; above every QAID.
NEW: Final = 2**62


class Record(NamedTuple):
    """The values of one person by ID type in the order of priority, "" for none."""

    line: int
    values: Sequence[str]
    owners: Sequence[int | None]  # Whose the values are so far.


class Conflict(NamedTuple):
    slot: int  # The type that would have got two values.
    decided_by: int  # The type that said whose the record is.
    values: tuple[str, str]  # Of the one who kept the record, and of the other.
    kept: int
    other: int


class Place(NamedTuple):
    line: int
    person: int
    owners: tuple[int | None, ...]


@dataclass(slots=True)
class Decision:
    """People who are new are numbered from ``NEW``, without gaps, in the order of the records."""

    places: list[Place] = field(default_factory=list)
    new_people: int = 0
    merges: list[tuple[int, int]] = field(default_factory=list)  # (QAID, survivor)
    conflicts: list[Conflict] = field(default_factory=list)


class Joiner:
    """Joins records one after the other.

    Args:
        single: for each ID type whether a person has one value of it at most.
        held: the values of single-value types that known people have, by person and type.
    """

    def __init__(self, *, single: Sequence[bool], held: Mapping[int, Mapping[int, str]]) -> None:
        self._single = single
        self._held = {person: dict(values) for person, values in held.items()}
        self._parents: dict[int, int] = {}
        self._owners: dict[tuple[int, str], int] = {}
        self._conflicts: dict[Conflict, None] = {}
        self._made = 0

    def add(self, record: Record) -> int | None:
        """Take in one record; return a number for its person, to be looked up at the end."""
        person: int | None = None
        decided_by = 0
        for slot, value in enumerate(record.values):
            if not value:
                continue
            owner = self._owners.get((slot, value), record.owners[slot])
            if person is None:
                decided_by = slot
                person = self._root(owner) if owner is not None else self._new()
            if owner is None:
                owner = self._give(slot, value, person, decided_by)
            else:
                person = self._join(person, self._root(owner), decided_by)
            self._owners[slot, value] = owner
        return person

    def _give(self, slot: int, value: str, person: int, decided_by: int) -> int:
        """Give a value that nobody has to the person, or to a new one if it may not be his."""
        if self._single[slot]:
            kept = self._held.setdefault(person, {}).setdefault(slot, value)
            if kept != value:
                other = self._new()
                self._held[other] = {slot: value}
                self._note(Conflict(slot, decided_by, (kept, value), person, other))
                return other
        return person

    def _join(self, person: int, other: int, decided_by: int) -> int:
        """Make two people one if they may be; return the one the record belongs to."""
        if person == other:
            return person
        mine, theirs = self._held.get(person, {}), self._held.get(other, {})
        for slot in sorted(mine.keys() & theirs.keys()):
            if mine[slot] != theirs[slot]:
                values = (mine[slot], theirs[slot])
                self._note(Conflict(slot, decided_by, values, person, other))
                return person
        survivor, merged = min(person, other), max(person, other)
        self._parents[merged] = survivor
        if mine or theirs:
            self._held[survivor] = {**theirs, **mine}
        return survivor

    def _note(self, conflict: Conflict) -> None:
        self._conflicts[conflict] = None

    def _new(self) -> int:
        self._made += 1
        return NEW + self._made - 1

    def _root(self, person: int) -> int:
        root = person
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while (parent := self._parents.get(person, root)) != root:
            self._parents[person], person = root, parent
        return root

    def decide(self, records: Iterable[Record]) -> Decision:
        """Take in all records and say what follows."""
        joined = [(record, self.add(record)) for record in records]
        numbers: dict[int, int] = {}

        def final(person: int) -> int:
            root = self._root(person)
            return root if root < NEW else numbers.setdefault(root, NEW + len(numbers))

        decision = Decision()
        owners = self._owners
        for record, person in joined:
            if person is not None:
                values = enumerate(record.values)
                of_values = tuple(final(owners[pair]) if pair[1] else None for pair in values)
                decision.places.append(Place(record.line, final(person), of_values))
        decision.merges = [(person, self._root(person)) for person in self._parents if person < NEW]
        decision.conflicts = [
            conflict._replace(kept=final(conflict.kept), other=final(conflict.other))
            for conflict in self._conflicts
        ]
        decision.new_people = len(numbers)
        return decision
