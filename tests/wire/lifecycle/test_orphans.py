"""A run of the tests that is broken off leaves no gateway behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.patience import PATIENCE, wait_until

pytestmark = pytest.mark.tools  # about the tests themselves

ROOT = Path(__file__).parents[3]
BLOCKING = """
import time
from tests.harness import scene
from tests.harness.processes.gateway_process import GatewayProcess

def test_that_blocks(tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text(scene.config("http://127.0.0.1:9"))
    config.chmod(0o600)
    print(f"pid {GatewayProcess(config).wait_until_serving().pid}", flush=True)
    time.sleep(600)
"""
# What else is installed here would only make it start slower.
UNUSED = ("randomly", "cacheprovider", "hypothesispytest", "aiohttp", "anyio", "asyncio", "xdist")
INI = "[pytest]\naddopts = -s " + " ".join(f"-p no:{plugin}" for plugin in UNUSED)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.usefixtures("heard_ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_gateway_ends_with_a_test_run_that_is_ended_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("TMPDIR", str(pytester.path))  # what is killed cannot tidy up
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini(INI)
    pytester.makepyfile(BLOCKING)
    run = pytester.popen([sys.executable, "-m", "pytest"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    pid = int(next(line.partition("pid ")[2] for line in run.stdout if "pid " in line))
    assert is_running(pid)
    os.kill(run.pid, number)
    run.communicate(timeout=PATIENCE)
    wait_until(lambda: not is_running(pid))
