"""The body of a request that is refused is dropped: neither an idle connection nor a closed one keeps it."""

from contextlib import ExitStack

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.wire_client import WireClient, request

_BODY = b"x" * 300_000
_COUNT = 120
_MOST = 16 << 20  # less than half of all the bodies


def refused(client: WireClient) -> None:
    client.send(request(scene.CHAT, key="gw_nobodys", body=_BODY))
    assert contract.is_a_refusal(client.read_response(), 401)


def test_a_connection_kept_open_keeps_no_refused_body(gateway: GatewayProcess) -> None:
    with ExitStack() as clients:
        refused(clients.enter_context(gateway.connect()))
        before = gateway.memory()
        for _ in range(_COUNT):
            refused(clients.enter_context(gateway.connect()))
        assert gateway.memory() - before < _MOST


def test_a_connection_that_closed_keeps_no_refused_body(gateway: GatewayProcess) -> None:
    with gateway.connect() as client:
        refused(client)
    before = gateway.memory()
    for _ in range(_COUNT):
        with gateway.connect() as client:
            refused(client)
    assert gateway.memory() - before < _MOST


def test_a_client_that_left_in_its_body_leaves_nothing_of_it(gateway: GatewayProcess) -> None:
    half = request(scene.CHAT, key=scene.KEY, body=_BODY)[:-1000]
    with gateway.connect() as other:
        refused(other)
        before = gateway.memory()
        for _ in range(_COUNT):
            with gateway.connect() as client:
                client.send(half)
            refused(other)  # by then that one is seen to have left
        assert gateway.memory() - before < _MOST
