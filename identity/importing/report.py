from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

SHOWN_REJECTS: Final = 100


class ImportFileError(Exception):
    """The file as a whole cannot be read; the message is full sentences and says what to do."""


class Reject(NamedTuple):
    """One line that was left out."""

    line: int  # Of the file, 1 for the first; the one that a record begins on.
    column: str  # "" when it is about the whole line.
    reason: str  # A full sentence without the value: it may be somebody's address.
    code: str = "invalid"


RejectSink = Callable[[Reject], None]


@dataclass(slots=True)
class ImportReport:
    """What an import did, or with ``dry_run`` would do."""

    what: str
    dry_run: bool = False
    lines: int = 0
    accepted: int = 0
    rejected: int = 0
    new_people: int = 0
    merged_people: int = 0
    conflicts: int = 0
    # Lines whose event is known already; lines that changed nothing in a list.
    repeated: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    # The first ones, for a screen; a sink gets them all.
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, reject: Reject) -> None:
        self.rejected += 1
        self.reasons[reject.reason] += 1
        if len(self.rejects) < SHOWN_REJECTS:
            self.rejects.append(reject)

    @property
    def lines_per_second(self) -> int:
        return round(self.lines / self.seconds) if self.seconds else 0

    def as_dict(self) -> dict[str, Any]:
        """Return everything for ``--json``, without the rejects themselves."""
        answer = asdict(self)
        del answer["rejects"]
        answer["reasons"] = dict(self.reasons)
        return {
            **answer,
            "seconds": round(self.seconds, 3),
            "lines_per_second": self.lines_per_second,
        }
