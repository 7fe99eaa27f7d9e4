"""Every example of docs/guide/testing.md is a whole file: pasted alone into an empty project, it runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.docs_pages import ROOT, Example, examples

_EXAMPLES = examples("python", pages=[ROOT / "docs" / "guide" / "testing.md"])
_OF_CONFTEST = """
def test_both_are_there(gguf_sandbox):
    assert [deployment.name for deployment in gguf_sandbox] == ["demo", "slow"]
"""


def _pasted(example: Example, project: Path) -> Path:
    """The example as the file that its first line names."""
    assert example.file is not None, f"{example}: name a file in its first line"
    project.mkdir(exist_ok=True)
    (project / example.file).write_text(example.text, encoding="utf-8")
    return project / example.file


def test_no_two_examples_have_the_same_name() -> None:
    names = [example.file for example in _EXAMPLES]
    assert len(names) >= 12
    assert len(set(names)) == len(names)


@pytest.mark.slow
@pytest.mark.long
def test_each_example_runs_when_it_is_pasted_alone(tmp_path: Path) -> None:
    tests = [_pasted(one, tmp_path / str(number)) for number, one in enumerate(_EXAMPLES) if one.file != "conftest.py"]
    assert _run(tmp_path).splitlines()[-1].startswith(f"{len(tests)} passed")


@pytest.mark.slow
def test_the_conftest_of_the_guide_runs_when_it_is_pasted_alone(tmp_path: Path) -> None:
    (conftest,) = (example for example in _EXAMPLES if example.file == "conftest.py")
    _pasted(conftest, tmp_path)
    (tmp_path / "test_it.py").write_text(_OF_CONFTEST)
    assert _run(tmp_path).splitlines()[-1].startswith("1 passed")


def _run(project: Path) -> str:
    """What pytest says of a project with no settings but the one that pytest-asyncio warns without."""
    (project / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    command = [str(Path(sys.executable).with_name("pytest")), "-q", "-W", "error", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
def test_each_example_satisfies_a_strict_type_checker(tmp_path: Path) -> None:
    files = [str(_pasted(example, tmp_path)) for example in _EXAMPLES]
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *files]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
