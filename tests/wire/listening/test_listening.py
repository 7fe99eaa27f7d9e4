"""Table L: where a gateway listens, and what it says where it cannot."""

import os
import re
import socket

import pytest

from gateway.server.process.listen_address import PORT, ListenError, listen, open_sockets, port_of
from tests.harness import scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request

pytestmark = pytest.mark.slow


READYZ = request("/readyz", method="GET")
PLACES = {
    "taken": ("{taken}", "127.0.0.1", r"Port \d+ on 127.0.0.1 is taken"),
    "privileged": ("1023", "127.0.0.1", "Port 1023 needs more rights than this user has"),
    "an address of another machine": ("0", "192.0.2.1", "Cannot listen on 192.0.2.1"),
    "a name of nobody": ("0", "nowhere.invalid", "Cannot listen on nowhere.invalid"),
}
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


@pytest.mark.parametrize(("port", "host", "said"), PLACES.values(), ids=PLACES)
def test_L10_a_place_where_it_cannot_listen_is_one_sentence(
    start_gateway: StartGateway, upstream: ScriptedUpstream, port: str, host: str, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = port.format(taken=taken.getsockname()[1])
        arguments = ("--host", host, "--port", port)
        gateway = start_gateway(scene.config(upstream.url), arguments, serves=False, prefix=WITHOUT_RIGHTS)
        assert gateway.wait() == 1
    gateway.log.wait_for_end()
    assert re.search(said, gateway.log.since(0)), gateway.log.since(0)
    assert "Traceback" not in gateway.log.since(0)


@pytest.mark.parametrize("host", ["localhost", "::1", "0.0.0.0"])
def test_L10_names_and_both_families_are_listened_on(
    start_gateway: StartGateway, upstream: ScriptedUpstream, host: str
) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    gateway = start_gateway(scene.config(upstream.url), ("--host", host), serves=False).wait_until_serving()
    with socket.create_connection(("::1" if host == "::1" else "127.0.0.1", gateway.port), 2) as client:
        client.sendall(READYZ)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_of_two_that_start_in_one_moment_the_second_says_so() -> None:
    (first,) = open_sockets(("127.0.0.1",), 0)
    second = open_sockets(("127.0.0.1",), port_of(first))  # while nobody listens, both may bind
    with first:
        first.listen()
        with pytest.raises(ListenError, match="is taken"):
            listen(second, ("127.0.0.1",), port_of(first), PORT, backlog=1)
    assert second[0].fileno() == -1


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
