"""Streams that last until they are let end: what is under way when something happens to a gateway."""

import threading

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient


class HeldStreams:
    """A script whose streams have begun, and end when they are let; with a body of their own."""

    def __init__(self) -> None:
        self.let_end = threading.Event()

    def __call__(self, visit: Visit) -> None:
        own = visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        while not self.let_end.is_set():
            if visit.wait_until_left(0.05):
                return
        visit.chunk(own + DONE)
        visit.chunk(b"")


def begin(gateway: GatewayProcess, number: int) -> list[WireClient]:
    """So many clients, each in the middle of its stream."""
    clients = [gateway.connect() for _ in range(number)]
    for at, client in enumerate(clients):
        client.send(chat(body=b"%d\n\n" % at))
    for client in clients:
        client.read_head()
        assert EVENT in client.read_some()
    return clients
