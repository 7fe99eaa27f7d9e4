"""A client or an upstream that vanishes without a FIN: asleep, unplugged, gone. Its slot is free all the same."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.island import Island
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import GatewayLeft, Visit

SECONDS = 3  # of silence at TCP's level
SERVER = f"host: 0.0.0.0, timeouts: {{dead_peer: {SECONDS}}}"
GONE = {  # whoever is the first to notice: the gateway, or the kernel
    "it vanished: what it is sent is never acknowledged",
    "the connection broke: [Errno 110] Connection timed out",
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def island() -> Iterator[Island]:
    try:
        island = Island()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs Linux, iproute2 and the right to make a network namespace: {error}")
    yield island
    island.close()


def ending_of(gateway: GatewayProcess, name: str) -> tuple[str, str]:
    """How the log says that a request ended, and why."""
    line = json.loads(gateway.log.wait_for(rf'\{{.*"id":"{name}".*\}}')[0])
    return line["ending"], line.get("cause", "")


@pytest.mark.tools
@pytest.mark.parametrize("talks", [True, False], ids=["in a stream", "in silence"])
def test_a_client_that_vanishes_frees_its_slot(
    start_gateway: StartGateway, upstream: ScriptedUpstream, island: Island, talks: bool
) -> None:
    left = threading.Event()

    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        try:
            visit.chunk(EVENT)
            while talks:
                visit.chunk(EVENT)
                time.sleep(0.01)
            assert visit.wait_until_left()
        except GatewayLeft:
            pass
        left.set()

    gateway = start_gateway(scene.config(upstream.url, SERVER))
    with upstream.playing(answer):
        client = island.call(lambda: socket.create_connection((island.here, gateway.port), PATIENCE))
        with client:
            client.sendall(chat("demo", "x-request-id: vanishing"))
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
            island.pull_the_cable()
            assert left.wait(PATIENCE)
    assert ending_of(gateway, "vanishing")[0] == "client_left"


@pytest.mark.tools
@pytest.mark.parametrize("said", [b"", HEAD + b"%x\r\n%b\r\n" % (len(EVENT), EVENT)], ids=["before it", "amid it"])
def test_an_upstream_that_vanishes_ends_its_answer(
    start_gateway: StartGateway, upstream: ScriptedUpstream, island: Island, said: bytes
) -> None:
    listener = island.call(lambda: socket.create_server((island.there, 0)))
    url = f"http://{island.there}:{listener.getsockname()[1]}"
    deployment = f"deployments:\n  far: {{account: acme, upstream: '{url}', status: ready}}\n"
    probes = "probes: {unreachable_after: 3600}"
    gateway = start_gateway(f"server: {{port: 0, {SERVER}, {probes}}}\n{scene.ACCOUNTS}{deployment}")
    with listener, gateway.connect() as client:
        client.send(chat("far", "x-request-id: deserted"))
        connection = _request_of(listener)
        with connection:
            connection.sendall(said)
            if said:
                client.read_head()
                client.read_chunk()
            island.pull_the_cable()
            rest = client.read_to_end() if said else b""
            if said:
                assert b"The model endpoint broke off in the middle of its answer." in rest
            else:
                assert contract.UNREACHABLE.is_kept_by(client.read_response())
    ending, cause = ending_of(gateway, "deserted")
    assert ending == ("upstream_cut" if said else "refused")
    assert cause in GONE


def _request_of(listener: socket.socket) -> socket.socket:
    """The connection on which a request comes; probes are not answered."""
    while True:
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE)
        if connection.recv(1 << 16).startswith(b"POST"):
            return connection
        connection.close()


@pytest.mark.slow
def test_a_client_that_reads_nothing_and_is_there_is_not_taken_for_gone(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """Its kernel has room for nothing more and says so: TCP_USER_TIMEOUT would end the connection."""
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {dead_peer: 0.5}"))
    body = EVENT * 20_000 + DONE

    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.answer(body)

    with upstream.playing(answer), gateway.connect() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(chat("demo"))
        time.sleep(3)  # several times as long; no event tells that nothing happens
        response = client.read_response()
    assert (len(response.body), response.whole) == (len(body), True)
