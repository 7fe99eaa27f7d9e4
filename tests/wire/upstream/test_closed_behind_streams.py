"""A llama-server closes a connection behind each answer that it streams, and says nothing of it in its head.

As cpp-httplib does where a content provider returns false after its end (llama.cpp, tools/server/server-http.cpp).
"""

import time

from tests.harness.patience import wait_until
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


def make_known(gateway: GatewayProcess, client: WireClient) -> None:
    """Let the gateway find out that a server keeps its connections."""
    wait_until(lambda: gateway.connections("demo", "idle") == 0, what="a connection of before stays idle")
    assert client.ask(chat()).status == 200
    wait_until(lambda: gateway.connections("demo", "idle") == 1, what="the connection is not kept")


def test_a_request_right_behind_a_stream_is_answered(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with upstream.playing(closes_late), relay_gateway.connect() as client:
        statuses = [client.ask(chat()).status for _ in range(60)]
    assert statuses[2:] == [200] * 58  # the gateway may have known another server here that keeps them open


def test_a_server_that_keeps_them_open_is_asked_again_on_the_same(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with upstream.playing(keeps), relay_gateway.connect() as client:
        make_known(relay_gateway, client)
        upstream.forget()
        assert [client.ask(chat()).status for _ in range(20)] == [200] * 20
    assert len({received.connection for received in upstream.requests}) == 1


def test_who_begins_to_close_them_is_noticed(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """As where another server has taken the place of the first: its connections have ended then."""
    with upstream.playing(keeps), relay_gateway.connect() as client:
        make_known(relay_gateway, client)
        upstream.script = closes_at_once
        assert client.ask(chat()).status == 200
        upstream.script = closes_late
        time.sleep(_LATE)
        assert [client.ask(chat()).status for _ in range(30)] == [200] * 30
