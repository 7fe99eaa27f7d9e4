"""Told to stop, the gateway finishes for clients that read slowly, and tells everybody it can no longer wait for."""

import os
import signal
import socket

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import Blackhole, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient

# About what the kernel takes off the gateway's hands for a client that reads nothing: of some of these answers, the
# end lies in the gateway alone.
BODY = os.urandom(4800 << 10)
SIZES = range(3800 << 10, len(BODY), 20 << 10)
HEADS = {
    "as long as it says": "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
    "as long as it lasts": "HTTP/1.0 200 OK\r\n\r\n",
}


def slow_readers(gateway: GatewayProcess, upstream: ScriptedUpstream, head: str) -> dict[int, WireClient]:
    """Clients that have read nothing yet of answers of these sizes, all of which are under way."""

    def answer(visit: Visit) -> None:
        size = int(visit.read_body())
        visit.send(head.format(size).encode() + BODY[:size])
        visit.close()

    clients = {}
    with upstream.playing(answer):
        for size in SIZES:
            clients[size] = gateway.connect()
            clients[size].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # and no more later
            clients[size].send(chat(body=str(size).encode()).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert upstream.wait_for(lambda upstream: len(upstream.requests) == len(SIZES))
        gateway.wait_until_idle()
    return clients


def read(client: WireClient) -> bytes:
    """What comes of a body until the connection is closed properly. Raises ConnectionResetError."""
    client.read_head()
    data = bytes(client.received).partition(b"\r\n\r\n")[2]
    return data + b"".join(iter(lambda: client.socket.recv(1 << 20), b""))


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_slow_reader_has_its_answer_to_the_end(
    upstream: ScriptedUpstream, start_gateway: StartGateway, head: str
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {drain: 100}"))
    clients = slow_readers(gateway, upstream, head)
    gateway.send_signal(signal.SIGTERM)
    gateway.log.wait_for("stopping: ")
    for size, client in reversed(clients.items()):  # those last whose end lies in the gateway alone
        assert read(client) == BODY[:size], f"not the {size} bytes that were sent"
    assert gateway.wait() == 0
    gateway.log.wait_for(r"stopped: \d+ finished, 0 cut")


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_who_does_not_read_within_the_drain_sees_no_part_as_the_whole(
    upstream: ScriptedUpstream, start_gateway: StartGateway, head: str
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {drain: 0.2}"))
    clients = slow_readers(gateway, upstream, head)
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait() == 0
    cut = 0
    for size, client in clients.items():
        try:
            body = read(client)
        except ConnectionResetError:
            cut += 1
        else:
            assert body == BODY[:size] or "Content-Length" in head, "a part looks whole"
            cut += body != BODY[:size]
    assert cut > 0
    gateway.log.wait_for(rf"stopped: \d+ finished, {cut} cut")


@pytest.mark.slow
def test_who_has_no_connection_yet_when_the_drain_is_over_is_told_so(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    """One is being received, one waits for a connection to be opened, and one in line behind that."""
    blackhole = Blackhole()
    limits = "limits: {connections: 1}, timeouts: {drain: 0.3, connect: 30}"
    gateway = start_gateway(scene.config(blackhole.url, limits))
    clients = [gateway.connect() for _ in range(3)]
    clients[0].send(chat("demo", "Content-Length: 1000", body=None) + b"x" * 10)
    for client in clients[1:]:
        client.send(chat())
        gateway.wait_until_read(client)
    gateway.send_signal(signal.SIGTERM)
    for client in clients:
        assert contract.DRAINING.is_kept_by(client.read_response())
    assert gateway.wait() == 0
    gateway.log.wait_for("stopped: 0 finished, 3 cut")
    assert gateway.log.since(0).count('"draining"') == 3
    blackhole.close()
