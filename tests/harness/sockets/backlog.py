"""A stream of events whose reader stalls: between two events, all that the gateway has read is one whole event."""

import queue
import socket
import threading
import time

from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.stage import DONE, EVENT
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient, request

UNREAD_SECONDS = 1.0  # for which the gateway leaves an event unread: it is held up by its client
EVENTS = EVENT * 2500  # some 120 KiB: more than the gateway lets wait for a client, less than it reads at a time


def marked(number: int) -> bytes:
    """The event that many others follow in one piece."""
    return b"data: %07d\n\n" % number


def stalling_client(gateway: GatewayProcess) -> WireClient:
    """A client whose kernel holds little for it."""
    client = gateway.connect()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return client


class Backlog:
    """A script that sends one piece after the other, each once the gateway has read the one before.

    `stalled` gets the number of the piece that it leaves unread. The stream ends once `go_on` is set.
    """

    def __init__(self, gateway: GatewayProcess, upstream_port: int) -> None:
        self._gateway = gateway
        self._port = upstream_port
        self._gateways_port = 0
        self.stalled: queue.Queue[int] = queue.Queue()
        self.go_on = threading.Event()

    def __call__(self, visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        self._gateways_port = visit.gateway_port
        number = 0
        while not self._is_unread_for(UNREAD_SECONDS):
            number += 1
            visit.chunk(marked(number) + EVENTS)
        self.stalled.put(number)
        assert self.go_on.wait(PATIENCE)
        visit.chunk(DONE)
        visit.chunk(b"")

    def _is_unread_for(self, seconds: float) -> bool:
        """Whether bytes for the gateway lie in the kernel for so long, and for two turns of its event loop.

        A gateway that is only kept waiting for a processor reads them in the turn in which it answers another request.
        """
        deadline = time.monotonic() + seconds
        while self._gateway.unread(self._gateways_port, self._port):
            if time.monotonic() > deadline:
                answers = [self._gateway.ask(request("/healthz", method="GET")).status for _ in range(2)]
                assert answers == [200, 200]
                return self._gateway.unread(self._gateways_port, self._port) > 0
            time.sleep(0.002)  # no event tells of another process's socket
        return False
