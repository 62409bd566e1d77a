"""The registry of rows, and how one is run and judged."""

import os
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from faults import invariants
from faults.names import GUARDS_VARIABLE
from faults.processes import ROOT, NotRunError, RowError, check, python
from faults.rig import Rig

Figures = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the matrix: what is done to the system, and what must come of it."""

    id: str
    title: str
    run: Callable[[Rig], Figures]
    # The guard without which this row must fail, if one has been made removable.
    guard: str = ""
    # Few seconds, and no servers of its own: part of the ordinary tests.
    is_short: bool = False


@dataclass
class Result:
    row: Row
    verdict: str
    seconds: float
    figures: Figures = field(default_factory=dict)
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.row.id,
            "title": self.row.title,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 1),
            "figures": self.figures,
            "reason": self.reason,
        }


PASSED: Final = "passed"
FAILED: Final = "FAILED"
NOT_RUN: Final = "not run"

ROWS: Final[dict[str, Row]] = {}


def row(
    id: str,  # noqa: A002 - it is the row's
    title: str,
    *,
    guard: str = "",
    is_short: bool = False,
) -> Callable[[Callable[[Rig], Figures]], Callable[[Rig], Figures]]:
    """Put a function into the matrix."""

    def register(function: Callable[[Rig], Figures]) -> Callable[[Rig], Figures]:
        if id in ROWS:
            raise ValueError(f"two rows are named {id}")
        ROWS[id] = Row(id, title, function, guard, is_short)
        return function

    return register


def tests(*nodes: str) -> Callable[[Rig], Figures]:
    """Return a row that runs tests of the suite which prove the same on real sockets."""

    def run(rig: Rig) -> Figures:
        plugin = ["-p", "faults.plugin"] if rig.without else []
        answer = subprocess.run(
            python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *plugin, *nodes),
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                GUARDS_VARIABLE: rig.without,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        last = answer.stdout.strip().splitlines()[-1:] or [answer.stderr[-300:]]
        failed = [
            line for line in answer.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
        ]
        check(answer.returncode == 0, "; ".join(failed)[:300] or last[0])
        return {"tests": list(nodes), "result": last[0].split(" in ")[0].strip("= ")}

    return run


def run(
    row: Row,
    *,
    without: str = "",
    scale: int = 1,
    world: Callable[[], Any],
    keep: Path | None = None,
) -> Result:
    """Run one row in a world of its own, then hold both ledgers against each other."""
    started = time.monotonic()
    figures: Figures = {}
    try:
        with world(), Rig(without=without, owns_servers=True, scale=scale) as rig:
            try:
                figures = row.run(rig)
                doubled = invariants.verify(rig)
            except Exception:
                if keep is not None:
                    shutil.copytree(rig.directory, keep / row.id, dirs_exist_ok=True)
                raise
            if rig.ledger.count():
                figures = {**figures, "requests": rig.ledger.count(), "accepted twice": doubled}
        verdict, reason = PASSED, ""
    except NotRunError as error:
        verdict, reason = NOT_RUN, str(error)
    except RowError as error:
        verdict, reason = FAILED, str(error)
    except Exception as error:  # noqa: BLE001 - a row that breaks is red, and the others go on
        verdict = FAILED
        reason = f"{type(error).__name__}: {error} ({_place(error)})"
        if isinstance(error.__context__, RowError):
            # Leaving a world that the row broke failed too.
            reason = f"{error.__context__}; then {reason}"
    return Result(row, verdict, time.monotonic() - started, figures, reason)


def _place(error: BaseException) -> str:
    found = [
        each for each in traceback.extract_tb(error.__traceback__) if "faults" in each.filename
    ]
    return f"{found[-1].filename.rpartition('/')[2]}:{found[-1].lineno}" if found else "?"


@contextmanager
def nothing() -> Iterator[None]:
    """Be a world that is there already."""
    yield
