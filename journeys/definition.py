"""The document of a draft or a version: a start and the steps after it, as typed, frozen values.

The JSON keeps only what components put into ``config``; what a config means is its
component's affair (``journeys.components``). A draft may be as incomplete as its marketer
left it, so reading never fails on what is missing.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Step:
    """One component on the canvas. Its key stays the same across moves and versions."""

    key: UUID
    component: str
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            key=UUID(str(data["key"])),
            component=str(data["component"]),
            name=str(data.get("name", "")),
            config=dict(data.get("config") or {}),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "key": str(self.key),
            "component": self.component,
            "name": self.name,
            "config": dict(self.config),
        }


@dataclass(frozen=True, slots=True)
class Document:
    """What a marketer has drawn. Every change returns a new document."""

    start: Step | None = None
    steps: tuple[Step, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        start = data.get("start")
        return cls(
            start=Step.from_json(start) if start else None,
            steps=tuple(Step.from_json(step) for step in data.get("steps", ())),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "start": self.start.to_json() if self.start else None,
            "steps": [step.to_json() for step in self.steps],
        }

    def __iter__(self) -> Iterator[Step]:
        """Yield the start, then the steps in the order that people take."""
        if self.start:
            yield self.start
        yield from self.steps

    def step(self, key: UUID) -> Step | None:
        """Return the start or the step of this key."""
        return next((step for step in self if step.key == key), None)

    def after(self, key: UUID) -> Step | None:
        """Return the step that people reach after this one; None at the end."""
        keys = [step.key for step in self]
        place = keys.index(key) + 1
        return list(self)[place] if place < len(keys) else None

    def replaced(self, step: Step) -> Self:
        """Return the document with ``step`` in place of the one of its key."""
        if self.start and self.start.key == step.key:
            return replace(self, start=step)
        return replace(self, steps=tuple(step if s.key == step.key else s for s in self.steps))

    def inserted(self, step: Step, after: UUID | None) -> Self:
        """Return the document with ``step`` behind the one of the key ``after``; None is the start.

        Raises:
            KeyError: there is no step ``after`` any more.
        """
        place = 0
        if after is not None and (self.start is None or after != self.start.key):
            keys = [each.key for each in self.steps]
            if after not in keys:
                raise KeyError(after)
            place = keys.index(after) + 1
        return replace(self, steps=(*self.steps[:place], step, *self.steps[place:]))

    def without(self, key: UUID) -> Self:
        return replace(self, steps=tuple(step for step in self.steps if step.key != key))

    def renewed(self) -> Self:
        """Return a copy whose steps have keys of their own, for a duplicate of the journey."""
        return replace(
            self,
            start=replace(self.start, key=uuid.uuid4()) if self.start else None,
            steps=tuple(replace(step, key=uuid.uuid4()) for step in self.steps),
        )
