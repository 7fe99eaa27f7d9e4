"""Table L: a start that is broken off, on either event loop, in bare surroundings."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.fleet import Fleet, StartGateway
from tests.harness.processes.gateway_process import COMMAND
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat

pytestmark = pytest.mark.slow


FINE = {"object": "fine"}


def test_L4_a_signal_at_any_moment_of_the_start_is_a_clean_end(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(scene.config(upstream.url))
    path.chmod(0o600)

    def start_and_stop(number: int) -> tuple[int, str]:
        process = subprocess.Popen(
            (*COMMAND, "--config", str(path)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.15 * number)  # any moment will do
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE)[1]
        return process.returncode, said

    with ThreadPoolExecutor(2) as starters:
        for status, said in starters.map(start_and_stop, range(1, 7)):
            assert status in {0, -signal.SIGTERM}
            assert "Traceback" not in said


@pytest.mark.usefixtures("heard_ctrl_c")
@pytest.mark.parametrize(
    "module",
    [
        "click.core",
        "pydantic",
        "aiohttp.web",
        "gateway.server.process.run",
        "gateway.registry.factory",
        "signal handlers",
    ],
)
def test_L4_ctrl_c_while_it_starts_ends_it_without_a_word(
    tmp_path: Path, upstream: ScriptedUpstream, module: str
) -> None:
    """Python is made to say what it has imported, so that the moment is known."""
    path = tmp_path / "gateway.yaml"
    path.write_text(scene.config(upstream.url))
    path.chmod(0o600)
    with subprocess.Popen(
        (*COMMAND, "--config", str(path)),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    ) as process:
        assert process.stderr is not None
        wanted = "serving on" if module == "signal handlers" else rf"\| +{re.escape(module)}$"
        said = []
        for line in process.stderr:
            said.append(line)
            if re.search(wanted, line):
                process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == (0 if module == "signal handlers" else -signal.SIGINT), said[-5:]
    assert any(re.search(wanted, line) for line in said)
    words = [line for line in said if not line.startswith("import time:")]
    assert "Traceback" not in "".join(words)
    assert words == [] or module == "signal handlers"


@pytest.mark.parametrize("installed", [True, False])
def test_it_runs_on_uvloop_where_installed_and_on_asyncio_where_not(
    fleet: Fleet, upstream: ScriptedUpstream, installed: bool
) -> None:
    if installed:
        pytest.importorskip("uvloop")
    gateway = fleet.borrow("uvloop" if installed else "asyncio", scene.config(upstream.url))
    assert gateway.ask(chat()).json() == FINE
    assert gateway.is_on_uvloop() == installed


def test_L22_it_serves_in_bare_surroundings(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    """As in a container: no HOME, the C locale, assertions and docstrings stripped, nothing written but its log."""
    kept = ('PATH="$PATH"', 'PYTHONPATH="$PYTHONPATH"', "LANG=C", "PYTHONOPTIMIZE=2", "PYTHONUNBUFFERED=1")
    bare = ("sh", "-c", f'exec env -i {" ".join(kept)} "$@"', "sh", sys.executable, "-OO")
    gateway = start_gateway(scene.config(upstream.url), prefix=bare)
    assert gateway.ask(chat()).json() == FINE
    assert contract.BAD_KEY.is_kept_by(gateway.ask(chat(key="gw_ключ")))
    assert [file.name for file in gateway.config.parent.iterdir()] == ["gateway.yaml"]
