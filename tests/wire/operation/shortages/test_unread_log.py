"""A log that nobody reads: requests are answered, signals are obeyed, and nothing is lost that need not be."""

import fcntl
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.gateway_process import COMMAND
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import WireClient, request

pytestmark = pytest.mark.slow  # each test is a process: `make test-tools` runs them

PIPE_BYTES = 4096
FINE = {"object": "fine"}
HEALTHZ = request("/healthz", method="GET")


class UnreadLog:
    """A gateway whose standard error is a small pipe that is read only on demand; `full` from the start."""

    def __init__(self, folder: Path, upstream: ScriptedUpstream, *, workers: int, full: bool) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        path = folder / "gateway.yaml"
        text = scene.config(upstream.url, f"workers: {workers}, log: {{format: json}}, timeouts: {{drain: 1}}")
        path.write_text(text.replace("port: 0", f"port: {self.port}"))
        path.chmod(0o600)
        self.reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        if full:
            fill(writer)
        command = (*COMMAND, "--config", str(path))
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
        os.close(writer)
        wait_until(self.serves)

    def serves(self) -> bool:
        try:
            with WireClient(self.port) as client:
                return client.ask(HEALTHZ).status == 200
        except OSError:
            return False

    def read(self) -> list[str]:
        """All of the log to its end, the filling left out."""
        text = b""
        while more := os.read(self.reader, 65536):
            text += more
        return text.lstrip(b"\n").decode().splitlines()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\n" * 256)
    os.set_blocking(pipe, True)


@contextmanager
def unread(folder: Path, upstream: ScriptedUpstream, *, workers: int = 1, full: bool = False) -> Iterator[UnreadLog]:
    gateway = UnreadLog(folder, upstream, workers=workers, full=full)
    try:
        yield gateway
    finally:
        os.close(gateway.reader)
        if gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("full", [False, True])
def test_a_log_that_nobody_reads_holds_up_no_request_and_no_signal(
    tmp_path: Path, upstream: ScriptedUpstream, workers: int, full: bool
) -> None:
    with unread(tmp_path, upstream, workers=workers, full=full) as gateway:
        for number in range(100):
            with WireClient(gateway.port) as client:
                client.send(b"nonsense\r\n\r\n" if number % 2 else chat(key="gw_unknown"))
                assert client.read_response().status in {400, 401}
        with WireClient(gateway.port) as client:
            for _ in range(100):
                assert client.ask(chat()).json() == FINE
            assert client.ask(HEALTHZ).status == 200
        assert gateway.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_reads_the_log_later_finds_all_of_it(tmp_path: Path, upstream: ScriptedUpstream, workers: int) -> None:
    with unread(tmp_path, upstream, workers=workers, full=True) as gateway:
        names = [f"request-{number:04}" for number in range(300)]
        for name in names:
            with WireClient(gateway.port) as client:
                assert client.ask(chat("demo", f"X-Request-ID: {name}")).json() == FINE
        gateway.process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in gateway.read()]
        assert gateway.process.wait(PATIENCE) == 0
    logged = [line["id"] for line in lines if line.get("id") in names]
    assert sorted(logged) == names
    assert workers > 1 or logged == names, "in their order"
    assert sum("stopped:" in line["message"] for line in lines) == workers
    assert any("serving on http://" in line["message"] for line in lines)


@pytest.mark.parametrize("wrong", ["the port is taken", "the configuration"])
def test_an_error_at_the_start_ends_it_though_nobody_reads_of_it(
    tmp_path: Path, upstream: ScriptedUpstream, wrong: str
) -> None:
    path = tmp_path / "gateway.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = scene.config(upstream.url).replace("port: 0", f"port: {taken.getsockname()[1]}")
        path.write_text(text + "unknown: 1\n" if wrong == "the configuration" else text)
        reader, writer = os.pipe()
        fill(writer)
        process = subprocess.Popen((*COMMAND, "--config", str(path)), stdin=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        try:
            assert process.wait(PATIENCE) == 1
        finally:
            os.close(reader)
            process.kill()
