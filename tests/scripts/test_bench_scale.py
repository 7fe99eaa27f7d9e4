"""The benchmark of many deployments in miniature: what it is made of runs, and its table says what was measured."""

from pathlib import Path

import pytest

from scripts.benchmark import targets
from scripts.benchmark.measures import Cores
from scripts.scaling import report
from scripts.scaling.measures import FIGURES, Amount, ScaleBench

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
