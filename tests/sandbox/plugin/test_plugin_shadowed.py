"""The pytest plugin in projects that have folders of our packages' names."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROJECT = """
import gateway, mockserver

def test_of_their_own():
    assert gateway.THEIRS and mockserver.THEIRS
"""
WITH_A_SANDBOX = """
def test_with_a_sandbox(gguf_sandbox):
    gguf_sandbox.deployment().pause()

def test_with_a_mock(mock_llama_server):
    assert mock_llama_server.url
"""
ONLY_GATEWAY = """
import gateway

def test_with_a_sandbox(gguf_sandbox):
    assert gateway.THEIRS
    gguf_sandbox.deployment().pause()
"""


def _package(project: Path, name: str) -> Path:
    folder = project / name
    folder.mkdir()
    (folder / "__init__.py").write_text("THEIRS = True\n")
    return folder


def _run(pytester: pytest.Pytester, **environment: str) -> pytest.RunResult:
    """Run pytest as its users do: pytester's own way of starting it would set PYTHONPATH."""
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:randomly\n")
    command = [Path(sys.executable).with_name("pytest")]
    started = time.monotonic()
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=False)
    lines = (run.stdout.splitlines(), run.stderr.splitlines())
    return pytest.RunResult(run.returncode, *lines, time.monotonic() - started)


def test_a_project_with_folders_of_these_names_has_its_own(pytester: pytest.Pytester) -> None:
    for name in ("gateway", "mockserver"):
        _package(pytester.path, name)
    pytester.makepyfile(PROJECT)
    _run(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize("regular", [True, False])
def test_a_fixture_that_cannot_be_had_says_what_is_in_its_way(pytester: pytest.Pytester, regular: bool) -> None:
    folder = _package(pytester.path, "mockserver")
    if not regular:
        (folder / "__init__.py").unlink()
    pytester.makepyfile(WITH_A_SANDBOX)
    result = _run(pytester)
    if not regular and result.parseoutcomes() == {"passed": 2}:
        return  # installed as a whole, our package goes before a mere folder
    result.assert_outcomes(errors=2)
    sentence = f"The fixtures of gguf-gateway need its package 'mockserver', but Python finds {folder} under that name"
    assert result.stdout.str().count(f"\n{sentence} first: rename that") == 2
    assert "Traceback" not in result.stdout.str()


def test_a_sandbox_does_not_mind_a_folder_named_gateway(pytester: pytest.Pytester) -> None:
    _package(pytester.path, "gateway")
    pytester.makepyfile(ONLY_GATEWAY)
    _run(pytester).assert_outcomes(passed=1)


def test_a_gateway_hidden_by_pythonpath_says_so(pytester: pytest.Pytester) -> None:
    folder = _package(pytester.path, "gateway")
    pytester.makepyfile(ONLY_GATEWAY)
    result = _run(pytester, PYTHONPATH=str(pytester.path))
    result.assert_outcomes(errors=1)
    said = f"*GatewayError: The gateway cannot start: PYTHONPATH leads Python to another `gateway`, {folder}."
    result.stdout.fnmatch_lines([said])
