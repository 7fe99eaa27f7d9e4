"""A low limit on open files: idle strangers give way to requests, and whoever operates the gateway is told."""

import re
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import EVENT, chat
from tests.harness.sockets.upstream_visit import Visit, fine
from tests.harness.sockets.wire_client import Closed, WireClient, request

pytestmark = pytest.mark.slow  # each test is a process: `make test-tools` runs them

FINE = {"object": "fine"}
TOLD = "more than 112 client connections: the longest idle are closed"


def is_closed_by_it(client: WireClient) -> bool:
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        client.socket.settimeout(PATIENCE)


def test_idle_strangers_give_way_to_requests_and_it_is_said_once(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url), prefix=("prlimit", "--nofile=256:256"))
    with gateway.connect() as known:
        assert known.ask(chat()).json() == FINE
        strangers: list[WireClient] = []
        for _ in range(20):  # not all at once: an event loop that finds no descriptor closes whoever waits
            strangers += [gateway.connect() for _ in range(20)]
            assert gateway.ask(chat()).json() == FINE
            assert known.ask(chat()).json() == FINE
        wait_until(lambda: gateway.descriptors().clients <= 112)
        assert known.ask(chat()).json() == FINE
        closed = [is_closed_by_it(stranger) for stranger in strangers]
        assert closed == sorted(closed, reverse=True), "the longest idle first"
        assert 400 - 112 <= sum(closed) < 400
        assert known.ask(chat()).json() == FINE
    gateway.log.wait_for(TOLD)
    assert gateway.log.since(0).count(TOLD) == 1


def test_a_stranger_with_half_a_head_gives_way_as_well(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(scene.config(upstream.url), prefix=("prlimit", "--nofile=256:256"))
    for _ in range(8):
        for _ in range(50):
            gateway.connect().send(b"POST /api/gguf/demo/v1/chat")
        assert gateway.ask(chat()).json() == FINE
    gateway.log.wait_for(TOLD)


def test_strangers_at_the_operators_port_are_counted_with_clients(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    few = ("prlimit", "--nofile=256:256")
    gateway = start_gateway(scene.config(upstream.url, "admin: {port: 0}"), prefix=few)
    port = int(gateway.log.wait_for(r"status page and metrics on http://127\.0\.0\.1:(\d+)")[1])
    strangers: list[WireClient] = []
    for _ in range(20):
        strangers += [WireClient(port) for _ in range(20)]
        assert gateway.ask(chat()).json() == FINE
    wait_until(lambda: sum(map(is_closed_by_it, strangers)) >= 400 - 112)
    gateway.log.wait_for(TOLD)
    with WireClient(port) as operator:
        assert operator.ask(request("/healthz", method="GET")).status == 200
    for stranger in strangers:
        stranger.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_soft_limit_is_raised_to_the_hard_one(
    start_gateway: StartGateway, upstream: ScriptedUpstream, workers: int
) -> None:
    limits = ("prlimit", "--nofile=128:3000")
    gateway = start_gateway(scene.config(upstream.url, f"workers: {workers}"), prefix=limits)
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    for pid in children if workers > 1 else [str(gateway.pid)]:
        found = re.search(r"^Max open files +(\d+) +(\d+)", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
        assert found is not None
        assert found.groups() == ("3000", "3000")


def test_a_burst_of_requests_leaves_upstreams_their_descriptors(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """All of them come at once and none is ever idle, so that nobody can give way."""

    def stream(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        visit.wait_until_left()

    gateway = start_gateway(scene.config(upstream.url, "timeouts: {connect: 1}"), prefix=("prlimit", "--nofile=64:64"))
    with upstream.playing(stream):
        clients = [gateway.connect(patience=0.1) for _ in range(60)]
        for client in clients:
            client.send(chat())
        seen: set[int] = set()
        for _ in range(3):
            seen.update(filter(None, map(status_of, clients)))
    for client in clients:
        client.close()
    assert 200 in seen
    assert seen <= {200, 503}
    with upstream.playing(fine):
        wait_until(lambda: is_served(gateway))


def is_served(gateway: GatewayProcess) -> bool:
    with gateway.connect() as client:
        client.send(chat())
        return status_of(client) == 200


def status_of(client: WireClient) -> int | None:
    """The status of its answer; None if it has none yet, or was not let in."""
    try:
        return int(client.read_head().split(b" ")[1])
    except (Closed, OSError):
        return None
