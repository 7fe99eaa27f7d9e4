"""Two workers on one port, and streams under way in each."""

from pathlib import Path

from tests.harness import scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import WireClient, request
from tests.wire.lifecycle.held_streams import begin

TWO = "workers: 2"
CHAT = request(scene.CHAT, key=scene.KEY, body=scene.BODY)


def workers_of(gateway: GatewayProcess) -> list[int]:
    """The processes that serve."""
    return [int(pid) for pid in Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()]


def begin_in_each_worker(gateway: GatewayProcess, upstream: ScriptedUpstream) -> list[WireClient]:
    """Streams under way, at least one in each worker: with so many, luck alone cannot miss one."""
    before = upstream.busy
    clients = begin(gateway, 24)
    assert upstream.busy == before + len(clients)
    return clients
