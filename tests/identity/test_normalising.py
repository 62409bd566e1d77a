"""One spelling for one ID, and what is shown of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import masking
from identity.choices import IdKind
from identity.models import IdType
from identity.normalising import InvalidValueError, normalise, normalise_column


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (IdKind.MOBILE, "13800000001", "13800000001"),
        (IdKind.MOBILE, " +86 138-0000-0001 ", "13800000001"),
        (IdKind.MOBILE, "008613800000001", "13800000001"),
        (IdKind.MOBILE, "１３８００００００01", "13800000001"),
        (IdKind.MOBILE, "+44 (20) 7946 0958", "442079460958"),
        (IdKind.EMAIL, " Ann@Example.COM", "ann@example.com"),
        (IdKind.EMAIL, "zoe\u0308@example.com", "zoë@example.com"),
        (IdKind.DIGITS, "0012", "0012"),
        (IdKind.DEVICE, "AB-CD", "ab-cd"),
        (IdKind.TEXT, "  Zoe\u0308 B ", "Zoë B"),
        (IdKind.TEXT, "a" * 255, "a" * 255),
        (IdKind.TEXT, "   ", ""),
        (IdKind.MOBILE, "", ""),
    ],
)
def test_equal_ids_become_equal(kind: str, given: str, kept: str) -> None:
    assert normalise(given, kind) == kept


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IdKind.MOBILE, "1234"),
        (IdKind.MOBILE, "0000001234"),
        (IdKind.MOBILE, "call me"),
        (IdKind.MOBILE, "1" * 16),
        (IdKind.EMAIL, "ann"),
        (IdKind.EMAIL, "ann@example"),
        (IdKind.EMAIL, "a b@example.com"),
        (IdKind.DIGITS, "12a"),
        (IdKind.DEVICE, "a b"),
        (IdKind.TEXT, "a\x00b"),
        (IdKind.TEXT, "a\nb"),
        (IdKind.TEXT, "a" * 256),
        (IdKind.TEXT, "\ud800"),
    ],
)
def test_what_is_no_id_is_refused_without_repeating_it(kind: str, value: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        normalise(value, kind)

    assert str(caught.value).endswith(".")
    assert value not in str(caught.value)


@given(st.text(max_size=30), st.sampled_from(IdKind.values))
def test_normalising_again_changes_nothing(value: str, kind: str) -> None:
    try:
        once = normalise(value, kind)
    except InvalidValueError:
        return
    assert normalise(once, kind) == once


@given(st.lists(st.text(max_size=20)), st.sampled_from(IdKind.values))
def test_a_column_is_normalised_like_its_values(values: list[str], kind: str) -> None:
    def one(value: str) -> str | None:
        try:
            return normalise(value, kind)
        except InvalidValueError:
            return None

    assert normalise_column(values, kind) == [one(value) for value in values]


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (IdKind.MOBILE, "13800000001", "138****0001"),
        (IdKind.EMAIL, "zhang@example.com", "z****@example.com"),
        (IdKind.TEXT, "A12345", "A****5"),
        (IdKind.TEXT, "A1", "****"),
    ],
)
def test_a_masked_value_hides_its_middle(kind: str, value: str, shown: str) -> None:
    id_type = IdType(kind=kind, sensitive=True)

    assert masking.mask(value, id_type) == shown
    assert masking.shown(value, id_type, in_clear=False) == shown
    assert masking.shown(value, id_type, in_clear=True) == value


def test_a_type_that_is_not_sensitive_is_shown() -> None:
    assert masking.shown("A12345", IdType(kind=IdKind.TEXT), in_clear=False) == "A12345"
