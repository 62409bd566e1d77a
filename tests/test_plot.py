"""The plot of what was measured says what its results say."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings

from benchmarks import plot

DOCS = Path(settings.BASE_DIR) / "docs"


def dots(svg: str) -> list[tuple[float, str]]:
    found = re.findall(r'<circle cx="([\d.]+)" cy="\d+" r="5" fill="(#\w+)"', svg)
    return [(float(x), colour) for x, colour in found]


@pytest.mark.parametrize(
    ("results", "is_met"),
    [
        ({"latency": {"ratio_allowed": 0.7}}, False),
        ({"latency": {"ratio_allowed": 0.9}}, True),
        ({"neighbour": {"ratio_neighbour": 2.5}}, False),
        ({"pipeline": {"flaky": {"ratio_cpu": 1.2}}}, True),
    ],
)
def test_what_meets_its_goal_stands_right_of_the_line(
    results: dict[str, object], is_met: bool
) -> None:
    drawn = plot.draw(results)

    ((x, colour),) = dots(drawn)
    line = float(re.findall(r'<path d="M([\d.]+) 28V', drawn)[0])
    assert (x > line, colour) == (is_met, plot.GOOD if is_met else plot.BAD)
    assert drawn.count("not measured") == len(plot.GOALS) - 1


def test_the_plot_of_the_docs_is_that_of_its_results() -> None:
    results = json.loads((DOCS / "explanation/measured.json").read_text(encoding="utf-8"))

    assert plot.draw(results) == (DOCS / "images/measured.svg").read_text(encoding="utf-8")
