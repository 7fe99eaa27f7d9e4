"""A child that a test forks off while it has a sandbox, as live servers of web frameworks are: it keeps none of it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from mockserver import BackgroundMock
from mockserver.sandbox import Sandbox
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.sandbox_requests import post

TEST_RUN = """
import multiprocessing, time
from mockserver.sandbox import Sandbox
with Sandbox() as sandbox:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    print(sandbox.gateway_pid, child.pid, flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


@pytest.fixture
def connection(mock_llama_server: BackgroundMock) -> Iterator[HTTPConnection]:
    """One to the mock, which the child had as well at its birth."""
    connection = HTTPConnection("127.0.0.1", mock_llama_server.port, timeout=PATIENCE)
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b'{"status":"ok"}'
    yield connection
    connection.close()


@pytest.fixture
def child(gguf_sandbox: Sandbox, connection: HTTPConnection) -> Iterator[None]:
    forking = multiprocessing.get_context("fork")
    lives = forking.Event()
    process = forking.Process(target=_live, args=(lives,))
    process.start()
    assert lives.wait(PATIENCE)
    yield
    process.kill()
    process.join()


def _live(lives: "multiprocessing.synchronize.Event") -> None:
    lives.set()
    time.sleep(PATIENCE)


@pytest.mark.usefixtures("child")
def test_a_child_does_not_keep_a_mocks_port_open(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.crash()
    assert post(gguf_sandbox)[0] == 502
    demo.resume()
    assert post(gguf_sandbox)[0] == 200


@pytest.mark.usefixtures("child")
def test_a_child_does_not_keep_connections_open(mock_llama_server: BackgroundMock, connection: HTTPConnection) -> None:
    mock_llama_server.set_state("paused")
    assert connection.sock.recv(1) == b""


@pytest.mark.slow
def test_a_child_that_lives_on_does_not_keep_the_gateway_alive(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # what is killed cannot tidy up
    with subprocess.Popen([sys.executable, "-c", TEST_RUN], env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        gateway, child = map(int, run.stdout.readline().split())
        run.kill()
        wait_until(lambda: not Path(f"/proc/{gateway}").exists())
        assert Path(f"/proc/{child}").exists()
        os.kill(child, signal.SIGKILL)
