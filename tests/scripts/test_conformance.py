"""What is known of each test of llama.cpp's suite, and that the command says it when something is not."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from scripts.conforming import lists, running, suite
from scripts.conforming.lists import Known
from scripts.conforming.selection import NOT_RUN

PASSES, FAILS = "unit/test_a.py::test_passes", "unit/test_a.py::test_fails[a # b-(c|d)]"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two lists of one test each."""
    (tmp_path / "expected_pass.txt").write_text(f"{PASSES}\n")
    (tmp_path / "not_passed.txt").write_text(f"# Why not.\n\n{FAILS}  # knows a story\n")
    return tmp_path


def test_both_lists_are_sorted_and_share_no_test() -> None:
    known = lists.load()
    written = (lists.DIRECTORY / "expected_pass.txt").read_text().splitlines()
    assert written == sorted(known.expected)
    assert list(known.reasons) == sorted(known.reasons)
    assert known.gaps([*known.expected, *known.reasons]) == []
    assert len(known.expected) >= 259


def test_every_test_of_a_module_that_is_not_run_has_that_as_its_reason() -> None:
    modules = tuple(f"unit/test_{module}.py::" for module in NOT_RUN)
    known = lists.load()
    assert not [name for name in known.expected if name.startswith(modules)]
    for name, reason in known.reasons.items():
        assert reason.startswith("not run: ") == name.startswith(modules), name


def test_a_reason_may_follow_any_name_of_a_test(directory: Path) -> None:
    assert lists.load(directory) == Known({PASSES}, {FAILS: "knows a story"})


@pytest.mark.parametrize("line", ["unit/test_a.py::test_b", "unit/test_a.py::test_b  # ", "  # why"])
def test_a_line_without_test_or_reason_is_named(directory: Path, line: str) -> None:
    with (directory / "not_passed.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=r"^not_passed\.txt, line 4: "):
        lists.load(directory)


def test_a_test_in_no_list_in_both_or_only_in_a_list_is_told(directory: Path) -> None:
    known = lists.load(directory)
    known.reasons[PASSES] = "but it does"
    assert known.gaps([PASSES, "unit/test_a.py::test_new"]) == [
        "in neither list, say in not_passed.txt why: unit/test_a.py::test_new",
        f"in both lists: {PASSES}",
        f"listed, but not in the suite: {FAILS}",
    ]


def test_an_expected_test_that_fails_is_skipped_or_is_not_run_is_missing(directory: Path) -> None:
    known = lists.load(directory)
    assert known.missing({PASSES: "passed", FAILS: "failed"}, [PASSES, FAILS]) == []
    for outcomes in ({PASSES: "failed"}, {PASSES: "skipped"}, {}):
        assert known.missing(outcomes, [PASSES, FAILS]) == [PASSES]
    assert known.missing({}, [FAILS]) == []


def test_what_begins_to_pass_moves_from_one_list_to_the_other(directory: Path) -> None:
    known = lists.load(directory)
    new = known.new({PASSES: "failed", FAILS: "passed"})
    known.move(new)
    lists.store(known, directory)
    assert new == [FAILS]
    assert lists.load(directory) == Known({PASSES, FAILS})
    assert (directory / "not_passed.txt").read_text() == "# Why not.\n\n"


def test_no_worker_gets_a_port_that_someone_listens_on() -> None:
    (slot,) = running.free_slots(1)
    with socket.create_server(("127.0.0.1", 8080 + 10 * slot)):
        assert slot not in running.free_slots(3)


def test_too_few_free_ports_are_one_sentence() -> None:
    with pytest.raises(suite.SuiteError, match=r"^The suite needs 401 free ports among 8080, 8090, \.\.\. 12070\.$"):
        running.free_slots(401)


@pytest.mark.tools
def test_without_pypi_pip_gives_up_soon_and_says_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    begun = time.monotonic()
    with pytest.raises(suite.SuiteError, match=r"^pip failed, is PyPI reachable\? It said: No matching [^\n]+$"):
        suite.pip("download", "--no-deps", "--dest", str(tmp_path), "llama-cpp-python==0.3.36")
    assert time.monotonic() - begun < 30


def test_a_mock_that_does_not_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mock = tmp_path / "mock-llama-server"
    mock.write_text("#!/bin/sh\necho 'something' >&2\necho 'No module named mockserver' >&2\nexit 1\n")
    mock.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(suite.SuiteError, match=r"^The mock does not start: No module named mockserver$"):
        running.mock_path()
