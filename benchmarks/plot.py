"""Draws what was measured against its goals: ``python -m benchmarks.plot RESULTS.json PLOT.svg``.

RESULTS.json is one object: the name of each benchmark with what ``bench NAME --json`` printed.
"""

import json
import math
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

ROW, LEFT, WIDTH, TOP, RIGHT = 32, 320, 400, 40, 144
# How many times better or worse than its goal the two ends of the axis are.
LEAST, MOST = 0.5, 6.0
INK, FAINT, GOOD, BAD = "#6b7280", "#c4c9d2", "#2f855a", "#c2410c"


class Goal(NamedTuple):
    """A figure by its place in the results, and what it has to reach or to stay below."""

    path: tuple[str, ...]
    label: str
    goal: float
    is_most: bool = False


GOALS: Final = (
    Goal(("pipeline", "ratio_naive"), "Pipeline: times the obvious design", 50),
    Goal(("pipeline", "ratio_wrk"), "Pipeline: share of wrk", 0.15),
    Goal(("pipeline", "tls", "ratio_wrk"), "Pipeline over TLS: share of wrk", 0.2),
    Goal(("pipeline", "flaky", "ratio_cpu"), "10 % refused: times the processor time", 1.5, True),
    Goal(("scale", "ratio_scale"), "1,000,000 people: share of the rate at 10,000", 0.9),
    Goal(("batch", "ratio_batch"), "Fifty people a message: times one", 3),
    Goal(("latency", "ratio_allowed"), "50 ms: share of what open requests allow", 0.8),
    Goal(("neighbour", "ratio_neighbour"), "Beside a webhook that hangs: times alone", 2, True),
    Goal(("events", "events_per_second"), "Events a second through the API", 500),
    Goal(("events", "p95_seconds"), "Event to request: seconds, 95th percentile", 1, True),
)


def _figure(results: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = results
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) else None


def _place(better: float) -> float:
    """Return where on the axis stands what is so many times better than its goal."""
    share = math.log(min(max(better, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + WIDTH * share


def draw(results: Mapping[str, Any]) -> str:
    """Return the plot: a dot a figure, right of the line when its goal is met."""
    rows = [(goal, _figure(results, goal.path)) for goal in GOALS]
    height = TOP + ROW * len(rows) + 8
    line = _place(1.0)
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{height}"'
    font = f'font-family="Inter, sans-serif" font-size="13" fill="{INK}"'
    name = 'role="img" aria-label="What was measured, against its goals"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} {name}>',
        f'<text x="{line:.0f}" y="20" text-anchor="middle">goal</text>',
        f'<path d="M{line:.1f} 28V{height - 8}" stroke="{INK}"/>',
    ]
    for number, (goal, figure) in enumerate(rows):
        y = TOP + ROW * number + ROW // 2
        label = escape(goal.label)
        parts.append(f'<text x="{LEFT - 16}" y="{y + 4}" text-anchor="end">{label}</text>')
        parts.append(f'<path d="M{LEFT} {y}H{LEFT + WIDTH}" stroke="{FAINT}" stroke-width="0.5"/>')
        if figure is None:
            told = "not measured"
        else:
            better = goal.goal / max(figure, 1e-9) if goal.is_most else figure / goal.goal
            colour = GOOD if better >= 1 else BAD
            x = _place(better)
            parts.append(f'<path d="M{line:.1f} {y}H{x:.1f}" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"/>')
            told = f"{figure:g} ({'≤' if goal.is_most else '≥'} {goal.goal:g})"
        parts.append(f'<text x="{LEFT + WIDTH + 16}" y="{y + 4}">{told}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw(json.loads(source.read_text())), encoding="utf-8")
