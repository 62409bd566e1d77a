"""Ids: always the same, never guessed, with the day inside."""

from datetime import date, timedelta

import pytest

from webhooks import ids
from webhooks.ids import DeliveryIds, MessageIds

DAY = date(2026, 11, 24)
KEY = b"k" * 32


def delivery_ids(**changes: object) -> DeliveryIds:
    told = {"run": 7, "step_key": "step", "day": DAY} | changes
    secret = told.pop("secret", KEY)
    return DeliveryIds(secret, **told)  # type: ignore[arg-type]  # The table below keeps the types.


def test_the_same_person_run_and_step_have_the_same_id() -> None:
    assert delivery_ids().one(1) == delivery_ids().one(1)
    assert delivery_ids().many([1, 2, 3]) == [delivery_ids().one(qaid) for qaid in (1, 2, 3)]
    assert delivery_ids().many([1, 1], ["a", "b"]) == [
        delivery_ids().one(1, "a"),
        delivery_ids().one(1, "b"),
    ]


def test_everything_else_makes_another_id() -> None:
    found = {
        delivery_ids().one(1),
        delivery_ids().one(2),
        delivery_ids().one(1, "event"),
        delivery_ids(run=8).one(1),
        delivery_ids(step_key="other").one(1),
        delivery_ids(secret=b"x" * 32).one(1),
        delivery_ids(day=DAY + timedelta(days=1)).one(1),
        # What is joined cannot be shifted from one part to the next.
        delivery_ids(run="7\x00step", step_key="").one(1),
        delivery_ids().one(11, ""),
        delivery_ids().one(1, "1"),
    }

    assert len(found) == 10


def test_a_hundred_thousand_ids_are_different() -> None:
    found = delivery_ids().many(range(100_000))

    assert len(set(found)) == 100_000
    assert all(map(ids.is_delivery_id, found))


@pytest.mark.parametrize("day", [date(2020, 1, 1), DAY, date(2024, 2, 29), date(2109, 9, 17)])
def test_the_day_is_read_from_the_id(day: date) -> None:
    assert ids.day_of(delivery_ids(day=day).one(1)) == day


@pytest.mark.parametrize("day", [date(2019, 12, 31), date(2109, 9, 19)])
def test_a_day_that_does_not_fit_is_refused(day: date) -> None:
    with pytest.raises(ValueError, match="cannot stand"):
        ids.encode_day(day)


def test_days_sort_like_ids() -> None:
    days = [DAY + timedelta(days=step) for step in range(0, 3_000, 7)]

    assert sorted(map(ids.encode_day, days)) == list(map(ids.encode_day, days))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dlv_",
        "msg_2enI2fpVOpBPvZT7JBYg82QiO2M",
        "dlv_zzzI2fpVOpBPvZT7JBYg82QiO2M",
        "dlv_2enI2fpVOpBPvZT7JBYg82QiO2",
        "dlv_2enI2fpVOpBPvZT7JBYg82QiO-M",
        "dlv_2enI2fpVOpBPvZT7JBYg82QiO2é",
    ],
)
def test_what_is_no_id_has_no_day(text: str) -> None:
    assert ids.day_of(text) is None


def test_a_message_id_belongs_to_ordered_deliveries() -> None:
    messages = MessageIds(KEY)

    assert messages.one(["a", "b"]) == MessageIds(KEY).one(["a", "b"])
    assert len({messages.one(each) for each in (["a", "b"], ["b", "a"], ["a"], ["ab"])}) == 4
    assert messages.many([["a"], ["b"]]) == [messages.one(["a"]), messages.one(["b"])]
    assert "." not in messages.one(["a"])
