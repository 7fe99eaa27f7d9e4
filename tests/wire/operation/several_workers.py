"""Two workers on one port, and streams under way in each."""

import threading
from pathlib import Path

from tests.harness import scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient, request

TWO = "workers: 2"
CHAT = request(scene.CHAT, key=scene.KEY, body=scene.BODY)
EVENT = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'


def workers_of(gateway: GatewayProcess) -> list[int]:
    """The processes that serve."""
    return [int(pid) for pid in Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()]


class HeldStreams:
    """A script whose streams begin, and end when they are let."""

    def __init__(self) -> None:
        self.let_end = threading.Event()

    def __call__(self, visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        while not self.let_end.is_set():
            if visit.wait_until_left(0.02):
                return
        visit.chunk(b"data: [DONE]\n\n")
        visit.chunk(b"")


def begin(gateway: GatewayProcess) -> WireClient:
    client = gateway.connect()
    client.send(CHAT)
    client.read_head()
    client.read_some()
    return client


def begin_in_each_worker(gateway: GatewayProcess, upstream: ScriptedUpstream) -> list[WireClient]:
    """Streams under way, at least one in each worker: with so many, luck alone cannot miss one."""
    before = upstream.busy
    clients = [begin(gateway) for _ in range(24)]
    assert upstream.busy == before + len(clients)
    return clients
