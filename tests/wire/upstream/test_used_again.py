"""Which answers leave their connection fit for the next request: whole ones, of a server that is well."""

import pytest

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit

STATUSES = {
    "200 OK": True,
    "400 Bad Request": True,
    "404 Not Found": True,
    "429 Too Many Requests": True,
    "500 Internal Server Error": False,
    "501 Not Implemented": False,
    "503 Service Unavailable": False,
}


@pytest.mark.slow
@pytest.mark.parametrize(("status", "is_kept"), STATUSES.items())
def test_a_connection_whose_answer_was_a_5xx_is_not_used_again(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: str, is_kept: bool
) -> None:
    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.answer(b"{}", status)

    with upstream.playing(answer):
        assert relay_gateway.ask(chat()).status == int(status[:3])
    assert relay_gateway.ask(chat()).status == 200
    first, second = (received.connection for received in upstream.requests)
    assert (first == second) == is_kept
