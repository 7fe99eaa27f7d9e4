"""Bodies that are held while they arrive count towards the limits of the deployment they are for.

`narrow` has one connection and lets two requests wait.
"""

from tests.harness import contract
from tests.harness.patience import wait_until
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import Response, WireClient

FINE = {"object": "fine"}
BODY = b"x" * 200_000


def begin(gateway: GatewayProcess) -> WireClient:
    """A client whose last byte is still to come."""
    client = gateway.connect()
    client.send(chat("narrow", body=BODY)[:-1])
    gateway.wait_until_read(client)
    return client


def test_bodies_that_still_arrive_are_counted_and_one_too_many_is_503(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    clients = [begin(relay_gateway) for _ in range(3)]
    with begin(relay_gateway) as late:
        response = late.read_response()
        assert contract.BUSY.is_kept_by(response)
    relay_gateway.log.wait_for("limits.waiting is reached by requests whose bodies still arrive")
    assert upstream.requests == []
    clients[0].close()
    wait_until(lambda: finish(begin(relay_gateway)).status == 200)
    for client in clients[1:]:
        assert finish(client).json() == FINE


def finish(client: WireClient) -> Response:
    client.send(BODY[-1:])
    return client.read_response()


def test_large_bodies_that_stream_hold_the_place_of_their_connection_only(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with relay_gateway.connect() as client:
        client.send(chat("narrow", body=BODY * 4)[:-1])
        assert upstream.wait_for(lambda upstream: upstream.busy == 1)
        others = [begin(relay_gateway) for _ in range(2)]
        client.send(BODY[-1:])
        assert client.read_response().json() == FINE
        for other in others:
            assert finish(other).json() == FINE
