"""How values become text."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from webhooks import values

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        (None, ""),
        ([], ""),
        ([None, "", []], ""),
        (0, "0"),
        (0.0, "0"),
        (False, "false"),
        (True, "true"),
        (" ", " "),
        ("张三 😀", "张三 😀"),
        (12.0, "12"),
        (11.77, "11.77"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (Decimal("20.50"), "20.50"),
        (Decimal("1E+3"), "1000"),
        (float("nan"), "nan"),
        (["gold", "", 7, None, True], "gold, 7, true"),
        (("a", "b"), "a, b"),
        (date(2026, 11, 24), "2026-11-24"),
        ({"a": "é"}, '{"a":"é"}'),
    ],
)
def test_text_of(value: Any, text: str) -> None:
    assert values.text_of(value) == text


@pytest.mark.parametrize(
    ("value", "json"),
    [
        ("20", "20"),
        ("20.50", "20.50"),
        (" -3 ", "-3"),
        ("+5", "5"),
        ("007", "7"),
        ("1e3", "1000"),
        (0, "0"),
        (2.5, "2.5"),
        (Decimal("0.10"), "0.10"),
        ("", None),
        ("12,5", None),
        ("NaN", None),
        ("Infinity", None),
        ("1_000", None),
        ("٣", None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ([1], None),
        ("20\n}", None),
    ],
)
def test_number_json(value: Any, json: str | None) -> None:
    assert values.number_json(value) == json


@pytest.mark.parametrize(
    ("pattern", "value", "text"),
    [
        ("YYYY-MM-DD", "2026-01-05", "2026-01-05"),
        ("D/M/YY", "2026-01-05", "5/1/26"),
        ("YYYY年M月D日", "2026-01-05", "2026年1月5日"),
        ("YYYY-MM-DD HH:mm:ss", "2026-01-05T20:30:01Z", "2026-01-06 04:30:01"),
        ("H:mm", "2026-01-05T20:30:01+08:00", "20:30"),
        ("YYYY-MM-DD", date(2026, 1, 5), "2026-01-05"),
        ("YYYY-MM-DD", datetime(2026, 1, 5, 23, tzinfo=UTC), "2026-01-06"),
        ("YYYY-MM-DD", "soon", "soon"),
        ("YYYY-MM-DD", None, ""),
        ("YYYY-MM-DD", 0, "0"),
    ],
)
def test_a_date_is_written_in_the_zone_of_the_workspace(
    pattern: str, value: Any, text: str
) -> None:
    assert values.date_format(pattern, SHANGHAI)(value) == text


@pytest.mark.parametrize(
    ("pattern", "value", "text"),
    [
        ("0", 2.5, "3"),
        ("0.00", "0.125", "0.13"),
        ("#,##0.00", 1234567.891, "1,234,567.89"),
        ("#,##0", "-1234.5", "-1,235"),
        ("0%", 0.256, "26%"),
        ("0.0", 0, "0.0"),
        ("0.0", "many", "many"),
        ("0.0", None, ""),
        ("0", "1e300", "1e300"),
    ],
)
def test_a_number_is_rounded_as_people_do(pattern: str, value: Any, text: str) -> None:
    assert values.number_format(pattern)(value) == text


@pytest.mark.parametrize("pattern", ["0", "0.00", "#,##0", "#,##0.000", "0%", "#,##0.0%"])
@pytest.mark.parametrize("number", [0, 7, -7, 999, 1_000, -1_234_567, 10**15 - 1, 10**15])
def test_a_whole_number_is_written_like_its_text(pattern: str, number: int) -> None:
    convert = values.number_format(pattern)
    assert convert(number) == convert(str(number))


@pytest.mark.parametrize("pattern", ["", "yyyy", "%Y", "YYYY ${x}", "{0.__class__}", "Day D", "--"])
def test_a_date_pattern_holds_parts_of_a_date_and_nothing_odd(pattern: str) -> None:
    assert values.date_format_problem(pattern)


@pytest.mark.parametrize("pattern", ["00", "0.", "#0", "0.0000000", "{:f}"])
def test_other_number_patterns_are_refused(pattern: str) -> None:
    assert values.number_format_problem(pattern)
    with pytest.raises(ValueError, match="format"):
        values.converter(pattern)
