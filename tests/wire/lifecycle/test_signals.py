"""Table L: signals that do not end a gateway, and a log that it cannot write."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import COMMAND
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, chat
from tests.harness.sockets.wire_client import WireClient, request
from tests.wire.lifecycle.held_streams import HeldStreams, begin

pytestmark = pytest.mark.slow


FINE = {"object": "fine"}
READYZ = request("/readyz", method="GET")


def test_L3_no_other_signal_ends_it(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    streams = HeldStreams()
    with upstream.playing(streams):
        (client,) = begin(gateway, 1)
        for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGWINCH", "SIGCONT"):
            for _ in range(3):
                gateway.send_signal(signal.Signals[name])
            assert gateway.ask(READYZ).status == 200
        streams.let_end.set()
        assert client.read_to_last_chunk().endswith(DONE)
    assert gateway.is_alive


def bare_gateway(tmp_path: Path, upstream: ScriptedUpstream, log: int) -> "tuple[subprocess.Popen[bytes], int]":
    """A gateway that writes to `log`, a file descriptor, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "gateway.yaml"
    path.write_text(scene.config(upstream.url).replace("port: 0", f"port: {port}"))
    path.chmod(0o600)
    process = subprocess.Popen((*COMMAND, "--config", str(path)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def serves() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return False
        return True

    wait_until(serves)
    return process, port


@pytest.mark.parametrize("place", ["closed pipes", "full disk"])
def test_L3_L15_a_log_that_cannot_be_written_costs_no_request(
    tmp_path: Path, upstream: ScriptedUpstream, place: str
) -> None:
    if place == "closed pipes":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    process, port = bare_gateway(tmp_path, upstream, writer)
    os.close(writer)
    try:
        for data in (chat(), chat(key="gw_bad"), chat("closed"), b"nonsense\r\n\r\n"):
            with WireClient(port) as client:
                assert client.ask(data).status in {200, 400, 401, 404}
        with WireClient(port) as client:
            assert client.ask(chat()).json() == FINE
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
