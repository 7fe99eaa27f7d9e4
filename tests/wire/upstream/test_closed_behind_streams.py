"""A llama-server closes a connection behind each answer that it streams, and says nothing of it in its head.

As cpp-httplib does where a content provider returns false after its end (llama.cpp, tools/server/server-http.cpp).
"""

import time

import pytest

from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient

_LATE = 0.01  # seconds behind the end, when the next request may be there already


def closes_late(visit: Visit) -> None:
    visit.read_body()
    visit.begin_stream()
    visit.chunk(EVENT + DONE)
    visit.chunk(b"")
    time.sleep(_LATE)
    visit.close()


def closes_at_once(visit: Visit) -> None:
    keeps(visit)
    visit.close()


def keeps(visit: Visit) -> None:
    visit.read_body()
    visit.begin_stream()
    visit.chunk(EVENT + DONE)
    visit.chunk(b"")


@pytest.fixture
def gateway(start_gateway: StartGateway, upstream: ScriptedUpstream) -> GatewayProcess:
    """A gateway of its own: what it knows of its upstream is of this case."""
    return start_gateway(scene.config(upstream.url))


def make_known(gateway: GatewayProcess, client: WireClient) -> None:
    """Let the gateway find out that a server keeps its connections."""
    assert client.ask(chat()).status == 200
    wait_until(lambda: gateway.connections("demo", "idle") == 1, what="the connection is not kept")


def test_a_request_right_behind_a_stream_is_answered(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(closes_late), gateway.connect() as client:
        assert [client.ask(chat()).status for _ in range(60)] == [200] * 60


def test_a_server_that_keeps_them_open_is_asked_again_on_the_same(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with upstream.playing(keeps), gateway.connect() as client:
        make_known(gateway, client)
        upstream.forget()
        assert [client.ask(chat()).status for _ in range(20)] == [200] * 20
    assert len({received.connection for received in upstream.requests}) == 1


def test_who_begins_to_close_them_is_noticed(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """As where another server has taken the place of the first: its connections have ended then."""
    with upstream.playing(keeps), gateway.connect() as client:
        make_known(gateway, client)
        upstream.script = closes_at_once
        assert client.ask(chat()).status == 200
        upstream.script = closes_late
        time.sleep(_LATE)
        assert [client.ask(chat()).status for _ in range(30)] == [200] * 30
