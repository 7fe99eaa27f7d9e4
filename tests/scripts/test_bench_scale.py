"""The benchmarks of many deployments in miniature: what they are made of runs, and tables say what was measured."""

import asyncio
from pathlib import Path

import pytest

from scripts.benchmark import targets
from scripts.benchmark.measures import Cores
from scripts.scaling import changes_report, report
from scripts.scaling.measures import FIGURES, Amount, ScaleBench
from scripts.scaling.paired_changes import DEMAND, Pairs, measured
from scripts.scaling.population import Population

TINY = Amount(sizes=(3,), keys=10, seconds=1, viewers=(2, 3), changes=1)


@pytest.mark.tools
def test_a_miniature_measures_every_figure_of_the_table(tmp_path: Path) -> None:
    bench = ScaleBench(TINY, tmp_path, Cores(None, None, None), lambda _: None)
    with targets.backend(tmp_path, None) as backend:
        bench.database(backend, 3)
        bench.yaml(backend, 3)
    assert bench.failures == []
    assert set(bench.values) == set(FIGURES)
    assert all(value >= 0 for by_size in bench.values.values() for values in by_size.values() for value in values)
    report.write(tmp_path, dict.fromkeys(("date", "processor", "load before", "Python"), "x"), 10, bench.values)
    section = report.section(tmp_path)
    assert "| deployments | 3 |" in section
    assert section.count("\n| ") == 2 + len(FIGURES)


def test_there_is_no_section_before_something_was_measured(tmp_path: Path) -> None:
    assert report.section(tmp_path) == ""


def changes(folder: Path, deployments: int, keys: int, pairs: int) -> list[Pairs]:
    with targets.backend(folder, None) as backend:
        home = Population(folder / "home", backend, deployments, keys)
        home.in_database()
        with home.gateway(None) as target:
            return asyncio.run(measured(home, target, pairs, folder, None))


@pytest.mark.tools
def test_changes_are_measured_in_pairs_and_told_in_a_section(tmp_path: Path) -> None:
    found = changes(tmp_path, 3, 10, 2)
    assert [(len(one.pairs), one.keys) for one in found] == [(2, 10)] * 2
    changes_report.write(tmp_path, dict.fromkeys(("date", "processor", "load before", "Python"), "x"), 3, found)
    section = report.section(tmp_path)
    assert section.startswith("## A request beside a change")
    assert section.count("\n| ") == 2 + len(found)


@pytest.mark.slow
def test_no_request_waits_for_a_change_and_it_is_in_force_in_a_second(tmp_path: Path) -> None:
    """With 10,000 keys and 1,000 deployments. A busy machine is late for both windows of a pair: medians are judged."""
    for one in changes(tmp_path, 1_000, 10_000, 8):
        figures = one.figures()
        assert figures["longer, median"] <= DEMAND.longer, figures
        assert figures["in force, median"] <= DEMAND.in_force, figures
