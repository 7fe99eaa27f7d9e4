"""Which connections to an upstream are kept and used again."""

from collections import Counter

import pytest

from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat, says
from tests.harness.sockets.upstream_visit import Visit, fine
from tests.wire.upstream.conversation.connections import connections

FINE = {"object": "fine"}


def test_a_connection_is_kept_for_the_same_deployment_only(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    for deployment in ("demo", "demo", "steady", "steady", "demo"):
        assert relay_gateway.ask(chat(deployment)).json() == FINE
    first, second, third, fourth, fifth = connections(upstream)
    assert first == second == fifth
    assert third == fourth != first


def test_the_connection_that_was_in_use_last_is_used_again(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """Not one that is kept only now: behind an answer in chunks nobody knows at once whether it stays open."""
    gateway = start_gateway(scene.config(upstream.url))
    with upstream.playing(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n")):
        gateway.ask(chat())
    gateway.ask(chat())
    wait_until(lambda: gateway.connections("demo", "idle") == 2)
    gateway.ask(chat())
    in_chunks, last, again = connections(upstream)
    assert in_chunks != last == again


def test_a_connection_serves_fewer_requests_than_llama_server_allows(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    served: Counter[int] = Counter()

    def like_llama_server(visit: Visit) -> None:
        visit.read_body()
        served[visit.received.connection] += 1
        last = served[visit.received.connection] == 100
        visit.answer(b"{}", "200 OK", b"Connection: close" if last else b"Keep-Alive: timeout=5, max=100")
        if last:
            visit.close()

    with upstream.playing(like_llama_server), relay_gateway.connect() as client:
        for _ in range(250):
            assert client.ask(chat()).status == 200
    assert max(served.values()) < 100
    assert len(served) <= 4


@pytest.mark.parametrize("go", [Visit.close, Visit.reset])
def test_U5_a_connection_that_is_closed_after_an_answer_is_not_used_again(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, go: object
) -> None:
    assert callable(go)

    def answer_and_go(visit: Visit) -> None:
        fine(visit)
        go(visit)

    with upstream.playing(answer_and_go):
        outcomes = [relay_gateway.ask(chat()).status for _ in range(50)]
    # The close may come in the very moment in which the next request is sent: that one is a 502, and never sent again.
    assert set(outcomes) <= {200, 502}
    assert outcomes.count(200) <= len(upstream.requests) <= 50
    assert outcomes.count(200) == len(upstream.requests) or go is Visit.reset  # which may destroy an answer


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error", "503 Busy"])
@pytest.mark.parametrize("word", [b"close", b"Close", b"x-other, close"])
def test_a_connection_that_is_said_to_close_is_closed(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: str, word: bytes
) -> None:
    left = []

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.answer(b"{}", status, b"Connection: " + word)
        left.append(visit.wait_until_left())

    with upstream.playing(script), relay_gateway.connect() as client:
        assert client.ask(chat()).status == int(status[:3])
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
        assert client.ask(chat()).status == int(status[:3])  # the client's own connection stays
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert left == [True, True]
