"""The short rows of the fault matrix, on the database of the tests; ``make faults`` runs all."""

import os
import subprocess
import sys

import pytest

from faults import invariants, rows
from faults.matrix import ROWS
from faults.rig import Rig
from tests.webhooks.processes import ROOT

SHORT = [row.id for row in rows.in_order() if row.is_short]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row_id", SHORT)
def test_a_short_row(row_id: str) -> None:
    with Rig() as rig:
        ROWS[row_id].run(rig)
        invariants.verify(rig)


@pytest.mark.skipif("FAULT_GUARDS" not in os.environ, reason="some minutes: set FAULT_GUARDS=1")
@pytest.mark.timeout(1_800)
def test_every_row_is_red_without_its_guard() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "faults", "--guards"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
