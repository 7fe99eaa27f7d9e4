"""Workers that hang are ended by their supervisor: nobody waits for them for ever, and they hold nothing any more."""

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import until_left
from tests.harness.sockets.wire_client import Closed
from tests.wire.limits.limited_keys import limited
from tests.wire.operation.workers.several_workers import CHAT, TWO, workers_of

pytestmark = pytest.mark.slow

_LOOK_SOON = "from gateway.server.process import workers\nworkers.LOOK_SECONDS = 1.0\n"


def _is_answered(gateway: GatewayProcess) -> bool:
    try:
        return gateway.ask(CHAT).status == 200
    except (OSError, Closed):  # it has come to one that is about to be ended
        return False


def test_workers_that_hang_are_ended_and_hold_no_limit(
    start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    script, left = tmp_path / "look_soon.py", threading.Event()
    script.write_text(_LOOK_SOON)
    environ = {"RUN_FIRST": str(script), "XDG_STATE_HOME": str(tmp_path)}
    gateway = start_gateway(limited(upstream.url, "concurrent_requests: 1", TWO), (), environ)
    hanging = set(workers_of(gateway))
    with upstream.playing(until_left(left)), gateway.connect() as client:
        client.send(CHAT)
        assert upstream.wait_for(lambda upstream: bool(upstream.requests))
        assert gateway.ask(CHAT).status == 429
        for pid in hanging:
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Closed):
            client.read_response()
        assert left.wait(60)
    gateway.log.wait_for("hangs; killing it")
    wait_until(lambda: len(workers_of(gateway)) == 2 and not hanging & set(workers_of(gateway)))
    wait_until(lambda: _is_answered(gateway), "what they had under way is still held")
