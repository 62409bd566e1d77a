"""Where the canvas draws what: numbers only, which a template writes as SVG attributes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from django.utils.functional import Promise

NODE_WIDTH: Final = 240
NODE_HEIGHT: Final = 64
NODE_HEIGHT_WITH_NUMBERS: Final = 88
ROW_GAP: Final = 48
ADD_SIZE: Final = 24
END_KEY: Final = "end"


@dataclass(frozen=True, slots=True)
class Number:
    """One count under a node, and the list of people behind it."""

    kind: str  # waiting, accepted, failed or skipped.
    word: str | Promise
    value: int
    url: str = ""


@dataclass(slots=True)
class Node:
    """One card. ``gaps`` takes the place of the summary while something is missing."""

    key: UUID | str
    component: str
    icon: str
    name: str
    summary: str = ""
    gaps: str = ""
    fixed: bool = False
    numbers: list[Number] = field(default_factory=list)
    x: int = 0
    y: int = 0

    @property
    def summary_parts(self) -> list[str]:
        """Return what gives way where room is short, and what is seen whole: the last part."""
        return self.summary.rsplit(" · ", 1)

    @property
    def height(self) -> int:
        return NODE_HEIGHT_WITH_NUMBERS if self.numbers else NODE_HEIGHT


@dataclass(frozen=True, slots=True)
class Add:
    """The "+" behind a step."""

    key: UUID | str
    name: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Canvas:
    nodes: list[Node]
    edges: list[str]  # SVG paths.
    adds: list[Add]
    width: int
    height: int


def lay_out(nodes: Iterable[Node]) -> Canvas:
    """Place nodes one under the other, 48 apart, each edge ending on the cards' middles."""
    placed = list(nodes)
    edges: list[str] = []
    adds: list[Add] = []
    top = 0
    for node in placed:
        node.y = top
        bottom = top + node.height
        top = bottom + ROW_GAP
        if node is not placed[-1]:
            middle = NODE_WIDTH // 2
            edges.append(f"M{middle} {bottom} V{top}")
            gap = (ROW_GAP - ADD_SIZE) // 2
            adds.append(Add(node.key, node.name, middle - ADD_SIZE // 2, bottom + gap))
    return Canvas(placed, edges, adds, NODE_WIDTH, max(top - ROW_GAP, 0))
