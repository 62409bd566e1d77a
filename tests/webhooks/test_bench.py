"""The benchmark runs whole, and its figures are those of people who were all sent to, once."""

import json
import shutil
import subprocess
import sys

import pytest

from benchmarks import plot
from journeys.management.commands import bench
from qa_webhook import local


@pytest.mark.slow
def test_the_pipeline_is_measured_beside_the_obvious_design_and_wrk_in_one_run(
    process_environment: dict[str, str],
) -> None:
    command = [sys.executable, str(local.BASE_DIR / "manage.py"), "bench", "pipeline", "--json"]
    ended = subprocess.run(
        [*command, "--people", "200", "--naive-people", "20"],
        env=process_environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert {
        *("people", "people_per_second", "stages", "memory_mb"),
        *("naive", "wrk", "ratio_naive", "ratio_wrk", "tls", "flaky", "meets_goal"),
    } <= set(figures)
    assert (figures["people"], figures["duplicates"]) == (200, 0)
    assert figures["naive"]["people"] == 20
    assert (figures["tls"] is None) is (shutil.which("openssl") is None)
    assert figures["flaky"]["duplicates"] == 0
    assert all(microseconds > 0 for microseconds in figures["stages"].values())
    assert len(figures["memory_mb"]) == figures["senders"] == 2
    assert (figures["ratio_wrk"] is None) is (shutil.which("wrk") is None)
    rates = [figures["people_per_second"], figures["naive"]["people_per_second"]]
    assert figures["ratio_naive"] == pytest.approx(rates[0] / rates[1], abs=0.01)


def test_every_benchmark_knows_how_many_people_it_is_about() -> None:
    goals = {goal.path[0] for goal in plot.GOALS}

    assert goals | {"pages"} == set(bench.PEOPLE)
    assert bench.PEOPLE["scale"] == 1_000_000
