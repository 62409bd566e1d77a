"""Who is who, without a database: what holds in any order, and what holds in spite of conflicts."""

from collections import defaultdict
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from identity.joining import NEW, Decision, Joiner, Record

SINGLE = (True, False, False)  # ONEID, MOBILE, EMAIL.

_value = st.sampled_from(["", "a", "b", "c", "d"])
_rows = st.lists(st.tuples(_value, _value, _value).filter(any), min_size=1, max_size=12)


def decide(rows: Sequence[tuple[str, ...]], single: Sequence[bool] = SINGLE) -> Decision:
    records = [Record(line, row, [None] * len(row)) for line, row in enumerate(rows)]
    return Joiner(single=single, held={}).decide(records)


def people(rows: Sequence[tuple[str, ...]], decision: Decision) -> set[frozenset[tuple[int, str]]]:
    """Return the people as the sets of their values."""
    values = defaultdict(set)
    for place in decision.places:
        for slot, (value, owner) in enumerate(zip(rows[place.line], place.owners, strict=True)):
            if value:
                values[owner].add((slot, value))
    return {frozenset(found) for found in values.values()}


@given(_rows, st.randoms(use_true_random=False))
def test_without_conflicts_the_order_does_not_matter(rows: list, random) -> None:  # type: ignore[no-untyped-def,type-arg] # hypothesis
    multi = (False, False, False)
    shuffled = list(rows)
    random.shuffle(shuffled)

    assert people(rows, decide(rows, multi)) == people(shuffled, decide(shuffled, multi))


@given(_rows)
def test_a_person_has_one_value_of_a_single_value_type(rows: list[tuple[str, ...]]) -> None:
    for person in people(rows, decide(rows)):
        assert sum(1 for slot, _value in person if SINGLE[slot]) <= 1


@given(_rows)
def test_a_value_has_one_owner_and_every_line_a_person(rows: list[tuple[str, ...]]) -> None:
    decision = decide(rows)

    owners: dict[tuple[int, str], int | None] = {}
    for place in decision.places:
        for slot, (value, owner) in enumerate(zip(rows[place.line], place.owners, strict=True)):
            if value:
                assert owners.setdefault((slot, value), owner) == owner
    assert [place.line for place in decision.places] == list(range(len(rows)))


@given(_rows)
def test_values_of_a_line_are_apart_only_where_a_conflict_is_listed(
    rows: list[tuple[str, ...]],
) -> None:
    decision = decide(rows)

    listed = {frozenset((conflict.kept, conflict.other)) for conflict in decision.conflicts}
    for place in decision.places:
        for owner in place.owners:
            if owner is not None and owner != place.person:
                assert listed, rows
    for conflict in decision.conflicts:
        assert conflict.kept != conflict.other
        assert conflict.values[0] != conflict.values[1]


@given(_rows)
def test_new_people_are_numbered_without_gaps(rows: list[tuple[str, ...]]) -> None:
    decision = decide(rows)

    numbers = {owner for place in decision.places for owner in place.owners if owner is not None}
    assert numbers == set(range(NEW, NEW + decision.new_people))


@given(_rows)
def test_one_batch_and_many_give_the_same_people(rows: list[tuple[str, ...]]) -> None:
    """What a batch decided is what the next one finds in the database."""
    owners: dict[tuple[int, str], int] = {}
    held: dict[int, dict[int, str]] = {}
    next_qaid = 1
    for row in rows:
        known = [owners.get((slot, value)) for slot, value in enumerate(row)]
        decision = Joiner(single=SINGLE, held=held).decide([Record(0, row, known)])
        merged = dict(decision.merges)
        owners = {pair: merged.get(qaid, qaid) for pair, qaid in owners.items()}
        for person, survivor in merged.items():
            held[survivor] = {**held.get(person, {}), **held.get(survivor, {})}
        for slot, (value, owner) in enumerate(zip(row, decision.places[0].owners, strict=True)):
            if owner is not None:
                qaid = owner if owner < NEW else owner - NEW + next_qaid
                owners.setdefault((slot, value), qaid)
                if SINGLE[slot]:
                    held.setdefault(owners[slot, value], {})[slot] = value
        next_qaid += decision.new_people
    one_by_one = defaultdict(set)
    for pair, qaid in owners.items():
        one_by_one[qaid].add(pair)

    assert {frozenset(found) for found in one_by_one.values()} == people(rows, decide(rows))


def test_the_older_person_survives() -> None:
    record = Record(7, ("", "m", "e"), [None, 20, 10])

    decision = Joiner(single=SINGLE, held={}).decide([record])

    assert decision.merges == [(20, 10)]
    assert decision.places == [(7, 10, (None, 10, 10))]
    assert decision.new_people == 0


def test_of_two_member_numbers_the_record_belongs_to_the_one_it_names() -> None:
    """The mobile number stays with the person who had it; the conflict is listed."""
    record = Record(1, ("b", "m", ""), [None, 10, None])

    decision = Joiner(single=SINGLE, held={10: {0: "a"}}).decide([record])

    assert decision.places == [(1, NEW, (NEW, 10, None))]
    assert decision.merges == []
    (conflict,) = decision.conflicts
    assert (conflict.slot, conflict.decided_by) == (0, 0)
    assert conflict.values == ("b", "a")
    assert (conflict.kept, conflict.other) == (NEW, 10)


def test_a_second_value_of_a_single_value_type_makes_another_person() -> None:
    single = (False, True, False)
    record = Record(1, ("m", "new", ""), [10, None, None])

    decision = Joiner(single=single, held={10: {1: "old"}}).decide([record])

    assert decision.places == [(1, 10, (10, NEW, None))]
    assert [conflict.values for conflict in decision.conflicts] == [("old", "new")]


def test_a_long_chain_of_records_is_one_person() -> None:
    """Each record shares its mobile with the one before it and its e-mail with the one after."""
    rows = [("", f"m{(line + 1) // 2}", f"e{line // 2}") for line in range(50_000)]

    assert decide(rows).new_people == 1
