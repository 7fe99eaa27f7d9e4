"""What very many requests in line cost, and that those that leave are out of it."""

import re
import threading
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient
from tests.wire.operation.workers.several_workers import CHAT

pytestmark = pytest.mark.slow

FEW, MANY = 100, 1100
MOST_KIB = 8.0  # of resident memory for one more


def resident(gateway: GatewayProcess) -> float:
    """KiB of memory of the process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{gateway.pid}/status").read_text())
    assert found is not None
    return float(found[1])


def test_a_request_in_line_takes_eight_kibibytes_at_most(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    over = threading.Event()

    def hold(visit: Visit) -> None:
        while not over.is_set() and not visit.wait_until_left(0.05):
            pass

    with upstream.playing(hold):
        gateway = start_gateway(scene.config(upstream.url, "limits: {connections: 1, waiting: 5000}"))
        clients: list[WireClient] = []
        sizes = []
        for number in (FEW, MANY):
            while len(clients) <= number:
                clients.append(gateway.connect())
                clients[-1].send(CHAT)
            gateway.wait_until_waiting(number, "demo")
            sizes.append(resident(gateway))
        assert (sizes[1] - sizes[0]) / (MANY - FEW) <= MOST_KIB
        for client in clients[1:]:
            client.close()
        wait_until(lambda: gateway.connections("demo", "waiting") == 0, what="some are in line still")
        over.set()
