"""The how-to of docs/guide/other-languages.md: curl, and Node with the OpenAI SDK from the registry."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.docs_pages import ROOT, examples, matches, turns
from tests.harness.patience import PATIENCE
from tests.harness.processes.sandbox_command import SandboxCommand, sandbox_command

_HERE = Path(__file__).parent
_SCRIPTS = ("sandbox.test.mjs", "other_languages.test.mjs")
_PAGE = Path(__file__).parents[3] / "docs/guide/other-languages.md"
_SDK = "openai@7.57.0"
_INSTALL_SECONDS = 20


def _install(folder: Path) -> None:
    """Skips where there is no registry to be reached, nor a cache of it."""
    command = ["npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", _SDK]
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm found no registry in time; the how-to for other languages was not run")
    if run.returncode:
        pytest.skip("npm cannot install openai; the how-to for other languages was not run")


def _definition() -> str:
    """The `sandbox.yaml` of the page."""
    return next(one.text for one in examples("text", pages=[_PAGE]) if one.file == "sandbox.yaml")


@pytest.mark.tools
@pytest.mark.parametrize("script", _SCRIPTS)
def test_the_how_to_for_other_languages_works_with_nodes_own_test_runner(tmp_path: Path, script: str) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed; the how-to for other languages was not run")
    _install(tmp_path)
    shutil.copy(_HERE / script, tmp_path)
    (tmp_path / "sandbox.yaml").write_text(_definition(), encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        ["node", "--test", "--test-reporter=tap", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    tests = (_HERE / script).read_text(encoding="utf-8").count('\ntest("')
    assert f"# pass {tests}" in run.stdout


def test_what_the_how_to_shows_is_what_is_run() -> None:
    shown = examples("javascript", pages=[_PAGE])
    assert len(shown) > 4
    of_the_package = ROOT / "clients/node/tests/example.test.js"
    scripts = "".join(
        path.read_text(encoding="utf-8") for path in (*(_HERE / name for name in _SCRIPTS), of_the_package)
    )
    assert not [example for example in shown if example.text.strip() not in scripts]


@pytest.fixture(scope="module")
def demos() -> Iterator[SandboxCommand]:
    with sandbox_command() as served:
        yield served


@pytest.mark.slow
def test_the_lines_with_curl_print_what_the_how_to_says(demos: SandboxCommand) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the sessions were not run")
    sessions = examples("console", pages=[_PAGE])
    assert sessions
    for command, promised in (turn for one in sessions for turn in turns(one.text)):
        here = command.replace("http://127.0.0.1:8080", demos.said["url"])
        here = here.replace("http://127.0.0.1:9932", demos.said["control_url"])
        run = subprocess.run(shlex.split(here), capture_output=True, text=True, check=True)
        assert matches(run.stdout, promised), f"{command}\n{run.stdout}"


@pytest.mark.slow
def test_the_definition_of_the_how_to_is_served(tmp_path: Path) -> None:
    (tmp_path / "sandbox.yaml").write_text(_definition(), encoding="utf-8")
    with sandbox_command("--config", str(tmp_path / "sandbox.yaml")) as served:
        assert (served.ask("demo")[0], served.ask("resting")[0]) == (200, 503)
