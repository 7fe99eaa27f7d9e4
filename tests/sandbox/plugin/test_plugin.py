"""The pytest plugin as another project meets it: installed, and named nowhere."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.patience import PATIENCE, wait_until

pytestmark = pytest.mark.slow


LIGHT = """
import sys, pytest
before = set(sys.modules)
import gguf_gateway_pytest
print(*sorted(set(sys.modules) - before))
"""

PROJECT = """
import asyncio, json, os, unittest, urllib.request, urllib.error
import pytest
from mockserver import MockLlamaServer
from mockserver.sandbox import Sandbox

def ask(sandbox, name=None, path="/v1/models"):
    url = sandbox.deployment(name).base_url + path
    request = urllib.request.Request(url, headers={"x-api-key": sandbox.key})
    try:
        with urllib.request.urlopen(request, timeout=100) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code

def note(sandbox):
    with open("pids", "a") as pids:
        pids.write(f"{sandbox.gateway_pid}\\n")

@pytest.mark.parametrize("number", range(2))
def test_sync(gguf_sandbox, number):
    note(gguf_sandbox)
    demo = gguf_sandbox.deployment()
    assert demo.requests == []
    assert ask(gguf_sandbox) == 200
    assert [seen.path for seen in demo.requests] == ["/v1/models"]
    demo.pause()
    assert ask(gguf_sandbox) == 503

@pytest.mark.parametrize("number", range(2))
async def test_async(gguf_sandbox, number):
    demo = gguf_sandbox["demo"]
    assert demo.requests == []
    assert await asyncio.to_thread(ask, gguf_sandbox) == 200
    waiting = asyncio.create_task(demo.aio.wait_for_requests(2))
    assert await asyncio.to_thread(ask, gguf_sandbox) == 200
    assert len(await waiting) == 2
    await demo.aio.crash()
    assert await asyncio.to_thread(ask, gguf_sandbox) == 502

def test_factory(gguf_sandbox_factory):
    sandbox = gguf_sandbox_factory({"one": MockLlamaServer(alias="a"), "two": MockLlamaServer(state="paused")})
    note(sandbox)
    assert (ask(sandbox, "one"), ask(sandbox, "two")) == (200, 503)

def test_mock_alone(mock_llama_server, mock_llama_server_factory):
    other = mock_llama_server_factory(alias="other")
    for mock in (mock_llama_server, other):
        with urllib.request.urlopen(mock.url + "/v1/models", timeout=100) as answer:
            assert answer.status == 200
        assert [seen.path for seen in mock.requests] == ["/v1/models"]

class TestUnittest(unittest.TestCase):
    def test_context_manager(self):
        with Sandbox(server={"limits": {"body_bytes": 10}}) as sandbox:
            note(sandbox)
            self.assertEqual(ask(sandbox), 200)
"""

FAILING = """
import os, signal, urllib.request

def refused(sandbox):
    try:
        urllib.request.urlopen(sandbox.deployment().base_url + "/v1/models", timeout=100)
    except urllib.error.HTTPError as error:
        error.close()
    assert sandbox.log

def test_that_fails(gguf_sandbox):
    demo = gguf_sandbox.deployment()
    request = urllib.request.Request(demo.base_url + "/v1/models?a=b", headers={"key": gguf_sandbox.key})
    urllib.request.urlopen(request, timeout=100).close()
    demo.wait_for_requests(1, ended="aborted", timeout=0.1)

def test_that_fails_too(mock_llama_server):
    urllib.request.urlopen(mock_llama_server.url + "/v1/models", timeout=100).close()
    assert mock_llama_server.requests == []

def test_that_kills_it(gguf_sandbox):
    refused(gguf_sandbox)
    os.kill(gguf_sandbox.gateway_pid, signal.SIGKILL)
    gguf_sandbox.deployment().pause()
"""

# A project like many: asyncio and xdist; what else is installed here would only make it start slower.
INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
addopts = -p no:cacheprovider -p no:randomly -p no:hypothesispytest -p no:aiohttp -p no:anyio -p no:timeout
"""

BLOCKING = """
import time

def test_that_blocks(gguf_sandbox):
    with open("pid", "w") as pid:
        pid.write(str(gguf_sandbox.gateway_pid))
    time.sleep(600)
"""


def test_importing_the_plugin_imports_nothing_but_pytest() -> None:
    run = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["gguf_gateway_pytest"]


@pytest.mark.long
def test_sync_and_async_tests_unittest_and_xdist(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(PROJECT)
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=7)
    pids = {int(pid) for pid in (pytester.path / "pids").read_text().split()}
    assert len(pids) >= 3
    assert not [pid for pid in pids if _is_alive(pid)]


def test_a_failed_test_shows_requests_and_a_dead_gateways_last_words(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E*mockserver.NotInTime: demo: fewer than 1 request(s) with ended='aborted' in 0.1 s.",
            "E*demo received 1 request(s):",
            "E*<#* GET /v1/models, 0 B -> 200, finished>",
            "*<Sandbox http://127.0.0.1:*: demo>*",
            "the gateway's log ends:",
            "*demo /v1/models -> 200 finished",
            "E*assert * == []",
            "*<mock llama-server http://127.0.0.1:*: ready>*",
            "the mock received 1 request(s):",
            "E*GatewayError: The gateway exited with status -9. Its log ends: * GET */v1/models -> 401 refused*",
        ]
    )


@pytest.mark.usefixtures("heard_ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_pytest_that_is_killed_leaves_no_gateway(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("TMPDIR", str(pytester.path))  # what is killed cannot tidy up
    pytester.makeini(INI)
    pytester.makepyfile(BLOCKING)
    run = pytester.popen([sys.executable, "-m", "pytest"], stdin=subprocess.DEVNULL)
    pid = int(_wait_for(pytester.path / "pid"))
    assert _is_alive(pid)
    run.send_signal(number)
    run.communicate(timeout=PATIENCE)
    wait_until(lambda: not _is_alive(pid))


def _wait_for(path: Path) -> str:
    wait_until(lambda: path.exists() and path.read_text(), f"{path} did not come")
    return path.read_text()


def _is_alive(pid: int) -> bool:
    """Whether it runs; a zombie waiting for its parent does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
