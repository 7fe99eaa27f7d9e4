"""Where the gateway listens: one address or several, on one port, in both families."""

import json
import socket
from collections.abc import Iterator

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request

HEALTHZ = request("/healthz", method="GET")


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


pytestmark = [pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6"), pytest.mark.slow]


def serves(gateway: GatewayProcess, address: str) -> bool:
    """Whether it answers at an address; no if it does not listen there."""
    try:
        with socket.create_connection((address, gateway.port), PATIENCE) as client:
            client.sendall(HEALTHZ)
            return client.recv(1000).startswith(b"HTTP/1.1 200 OK")
    except ConnectionRefusedError:
        return False


ONE, TWO, SIX = "127.0.0.1", "127.0.0.2", "::1"
HOSTS = {
    "IPv4 alone": ("0.0.0.0", {ONE, TWO}),
    "both families": ("'::'", {ONE, TWO, SIX}),
    "both by a list": ("[0.0.0.0, '::']", {ONE, TWO, SIX}),
    "all of IPv6 and one of IPv4": ("['::', 127.0.0.2]", {TWO, SIX}),
    "several": ("[127.0.0.1, '::1']", {ONE, SIX}),
    "all of IPv4 and one of it": ("[0.0.0.0, 127.0.0.2]", {ONE, TWO}),
    "both families and one of each": ("['::', '::1']", {ONE, TWO, SIX}),
    "twice the same": ("[127.0.0.1, localhost, 127.0.0.1]", {ONE, SIX}),
    "one": ("127.0.0.2", {TWO}),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("hosts", "reached"), HOSTS.values(), ids=HOSTS)
def test_it_listens_where_it_is_told_to_and_nowhere_else(
    start_gateway: StartGateway, upstream: ScriptedUpstream, hosts: str, reached: set[str], workers: int
) -> None:
    config = scene.config(upstream.url, f"host: {hosts}, workers: {workers}")
    gateway = start_gateway(config, serves=False).wait_until_serving()
    if "localhost" in hosts:
        names = {str(found[4][0]) for found in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
        reached = names & {ONE, SIX}
    assert {address for address in (ONE, TWO, SIX) if serves(gateway, address)} == reached


def test_all_urls_are_printed_with_one_port(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(scene.config(upstream.url, "host: ['::1', 127.0.0.1]"), serves=False)
    gateway.wait_until_serving()
    gateway.log.wait_for(rf"serving on http://\[::1\]:{gateway.port} and http://127\.0\.0\.1:{gateway.port}\b")


def test_the_command_line_takes_several_too(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(scene.config(upstream.url), ("--host", ONE, "--host", SIX))
    assert [serves(gateway, address) for address in (ONE, TWO, SIX)] == [True, False, True]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is taken at one address only."""
    with socket.create_server((TWO, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_where_one_of_them_is_taken_it_says_so_and_listens_nowhere(
    start_gateway: StartGateway, upstream: ScriptedUpstream, taken: int, workers: int
) -> None:
    config = scene.config(upstream.url, f"host: [{ONE}, {TWO}], workers: {workers}")
    gateway = start_gateway(config, ("--port", str(taken)), serves=False)
    assert gateway.wait() == 1
    gateway.log.wait_for(rf"Port {taken} on {TWO} is taken")


def test_who_comes_by_ipv4_to_both_families_is_named_by_that_address(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "host: '::'"))
    assert gateway.ask(request("/metrics", method="GET", host="localhost")).status == 200
    gateway.ask(request(scene.MODELS, "x-request-id: mapped", method="GET"))
    assert json.loads(gateway.log.wait_for('"mapped"').string)["client"] == ONE
