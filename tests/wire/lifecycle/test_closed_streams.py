"""Standard streams that are closed: it serves all the same, and no socket takes the place of one."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.gateway_process import COMMAND
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import WireClient

pytestmark = pytest.mark.slow

FINE = {"object": "fine"}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("closed", ["0<&- 1>&- 2>&-", "2>&-", "1>&- 2>&-"])
def test_it_serves_with_closed_standard_streams(
    tmp_path: Path, upstream: ScriptedUpstream, closed: str, workers: int
) -> None:
    path = tmp_path / "gateway.yaml"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path.write_text(scene.config(upstream.url, f"workers: {workers}").replace("port: 0", f"port: {port}"))
    path.chmod(0o600)
    process = subprocess.Popen(("sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, "--config", str(path)))

    def is_served() -> bool:
        assert process.poll() is None, "it has ended"
        try:
            with WireClient(port) as client:
                return bool(client.ask(chat()).json() == FINE)
        except OSError:
            return False

    try:
        wait_until(is_served)
        for number in range(3):
            assert not os.readlink(f"/proc/{process.pid}/fd/{number}").startswith("socket:")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
