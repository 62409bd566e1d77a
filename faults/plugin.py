"""For pytest: run the suite's tests without one guard, to see them turn red."""

from faults import guards


def pytest_collection() -> None:
    """Take it away once Django is set up and before any test is imported."""
    guards.take_away_those_named()
