"""The GitHub Action, its script run as the runner runs it, with this environment as what it installed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.harness.patience import PATIENCE

_ACTION = Path(__file__).parents[2] / "clients/github-action"


@contextmanager
def started(folder: Path, **inputs: str) -> Iterator[tuple[int, str, dict[str, str]]]:
    """The script's exit code, what it said and its outputs; what it started ends with the block."""
    if not (folder / "gguf-gateway").exists():
        (folder / "gguf-gateway").symlink_to(sys.prefix)
    given = {"SERVE": "mock", "OPTIONS": "", "PORT": "0", "CONTROL_PORT": "0", "PACKAGE": "", **inputs}
    output = folder / f"output-{given['PORT']}"
    output.touch()
    environ = {**os.environ, **given, "RUNNER_TEMP": str(folder), "GITHUB_OUTPUT": str(output)}
    with open(folder / f"said-{given['PORT']}", "w+", encoding="utf-8") as said:
        environ["GITHUB_ACTION_PATH"] = str(_ACTION)
        script = subprocess.Popen([_ACTION / "start.sh"], env=environ, stdout=said, stderr=said, start_new_session=True)
        try:
            code = script.wait(PATIENCE)
            lines = output.read_text(encoding="utf-8").splitlines()
            said.seek(0)
            yield code, said.read(), dict(line.split("=", 1) for line in lines)
        finally:
            with suppress(ProcessLookupError):  # nothing was started
                os.killpg(script.pid, signal.SIGTERM)


@pytest.mark.tools
def test_a_mock_listens_when_the_step_is_over(tmp_path: Path, free_ports: tuple[int, int]) -> None:
    port, control = map(str, free_ports)
    options = '--alias demo --fault "503 times=1"'
    with started(tmp_path, PORT=port, CONTROL_PORT=control, OPTIONS=options) as (code, said, outputs):
        assert (code, outputs["key"]) == (0, ""), said
        with urlopen(f"{outputs['base-url']}/health", timeout=PATIENCE) as answer:
            assert answer.status == 200
        with urlopen(f"{outputs['control-url']}/__mock__/faults", timeout=PATIENCE) as answer:
            assert b'"times":1' in answer.read()


@pytest.mark.tools
def test_two_uses_in_one_job_have_a_log_each(tmp_path: Path, free_ports: tuple[int, int]) -> None:
    with (
        started(tmp_path, PORT=str(free_ports[0]), OPTIONS="--alias one") as (_, first, _outputs),
        started(tmp_path, PORT=str(free_ports[1]), OPTIONS="--alias other") as (_, second, _outputs),
    ):
        logs = [Path(said.split("its log is ")[1].strip()) for said in (first, second)]
        for log, port in zip(logs, free_ports, strict=True):
            assert f"listening on http://127.0.0.1:{port}" in log.read_text(encoding="utf-8")


@pytest.mark.tools
def test_a_sandbox_listens_when_the_step_is_over(tmp_path: Path, free_ports: tuple[int, int]) -> None:
    port, control = map(str, free_ports)
    with started(tmp_path, SERVE="sandbox", PORT=port, CONTROL_PORT=control) as (code, said, outputs):
        assert code == 0, said
        request = Request(f"{outputs['base-url']}/v1/models", headers={"x-api-key": outputs["key"]})
        with urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 200
        with urlopen(f"{outputs['control-url']}/__mock__/state", timeout=PATIENCE) as answer:
            assert b'"ready"' in answer.read()


@pytest.mark.tools
def test_what_cannot_start_fails_the_step_with_its_own_words(tmp_path: Path, free_ports: tuple[int, int]) -> None:
    with started(tmp_path, PORT=str(free_ports[0]), OPTIONS="--answers nowhere.yaml") as (code, said, outputs):
        assert (code, outputs) == (1, {})
        assert "::error::Error: nowhere.yaml: No such file or directory." in said


def test_the_action_names_what_its_script_reads_and_writes() -> None:
    action = yaml.safe_load((_ACTION / "action.yml").read_text(encoding="utf-8"))
    script = (_ACTION / "start.sh").read_text(encoding="utf-8")
    for name in action["outputs"]:
        assert script.count(f"{name}=") == 2, "once for the mock, once for the sandbox"
    for name in action["runs"]["steps"][-1]["env"]:
        assert f"${name}" in script or f"${{{name}" in script
