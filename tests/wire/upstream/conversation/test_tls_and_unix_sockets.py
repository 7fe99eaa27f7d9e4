"""Upstreams behind TLS and behind Unix sockets."""

import random
import threading
from collections.abc import Callable

import pytest

from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.stage import DONE, EVENT, Stage, chat, says
from tests.harness.sockets.upstream_visit import GatewayLeft, Visit
from tests.wire.upstream.conversation.connections import connections

MIB = 1 << 20
FINE = {"object": "fine"}


def stream(visit: Visit) -> None:
    visit.read_body()
    visit.begin_stream()
    visit.chunk(EVENT)
    visit.chunk(DONE)
    visit.chunk(b"")


@pytest.mark.parametrize("deployment", ["tls", "unix"])
def test_TLS_and_Unix_sockets_carry_everything_and_are_reused(
    relay_gateway: GatewayProcess, stage: Stage, deployment: str
) -> None:
    far = stage.tls if deployment == "tls" else stage.unix
    far.forget()
    long = random.Random(1).randbytes(3 * MIB)
    assert relay_gateway.ask(chat(deployment)).json() == FINE
    with far.playing(lambda visit: visit.answer(visit.read_body())):
        assert relay_gateway.ask(chat(deployment, body=long)).body == long
    with far.playing(stream):
        response = relay_gateway.ask(chat(deployment))
    assert (response.body, response.whole) == (EVENT + DONE, True)
    assert len(set(connections(far))) == 1
    host = far.url.removeprefix("https://") if deployment == "tls" else "localhost"
    assert all(received.values("Host") == [host] for received in far.requests)


@pytest.mark.parametrize("deployment", ["tls", "unix"])
@pytest.mark.parametrize("go", [Visit.close, Visit.reset])
def test_a_stream_that_breaks_off_over_TLS_or_a_Unix_socket_is_seen_to(
    relay_gateway: GatewayProcess, stage: Stage, deployment: str, go: object
) -> None:
    assert callable(go)

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        assert seen.wait(PATIENCE)
        go(visit)

    seen = threading.Event()
    far = stage.tls if deployment == "tls" else stage.unix
    with far.playing(script), relay_gateway.connect() as client:
        client.send(chat(deployment))
        client.read_head()
        first = client.read_some()
        seen.set()
        rest = first + client.read_to_end()
    assert b'data: {"error":' in rest
    assert not rest.endswith(b"0\r\n\r\n")


UNFRAMED = {
    "text": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"half of it"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"half of it"),
    "a stream": (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", EVENT + DONE),
    "long": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"x" * 3 * MIB),
}


@pytest.mark.parametrize(("head", "body"), UNFRAMED.values(), ids=UNFRAMED)
def test_U23_a_body_until_the_end_of_TLS_is_whole_with_a_close_notify(
    relay_gateway: GatewayProcess, stage: Stage, head: bytes, body: bytes
) -> None:
    with stage.tls.playing(says(head + body, then=Visit.close_tls)):
        response = relay_gateway.ask(chat("tls"))
    assert (response.status, response.body, response.whole) == (200, body, True)


@pytest.mark.parametrize("go", [Visit.close, Visit.reset])
@pytest.mark.parametrize(("head", "body"), UNFRAMED.values(), ids=UNFRAMED)
def test_U23_a_body_until_the_end_of_TLS_needs_a_close_notify(
    relay_gateway: GatewayProcess, stage: Stage, head: bytes, body: bytes, go: Callable[[Visit], None]
) -> None:
    """RFC 9112 9.8: the FIN may be a stranger's, who wants half an answer to pass for one (a truncation attack)."""

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(head, body)
        assert seen.wait(PATIENCE)
        go(visit)

    seen = threading.Event()
    with stage.tls.playing(script), relay_gateway.connect() as client:
        client.send(chat("tls"))
        client.read_head()
        client.read_some()
        seen.set()
        rest = client.read_to_end()
    assert not rest.endswith(b"0\r\n\r\n")
    assert (b'data: {"error":' in rest) == (b"event-stream" in head)


def test_U23_a_head_alone_is_an_empty_answer_with_a_close_notify(relay_gateway: GatewayProcess, stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    with stage.tls.playing(says(head, then=Visit.close_tls)):
        response = relay_gateway.ask(chat("tls"))
    assert (response.status, response.body, response.whole) == (200, b"", True)
    with stage.tls.playing(says(head, then=Visit.close)):
        response = relay_gateway.ask(chat("tls"))
    assert (response.status, response.whole) in {(502, True), (200, False)}  # the latter if the head came well before


@pytest.mark.parametrize("deployment", ["tls", "unix"])
def test_a_client_that_leaves_frees_a_TLS_or_Unix_upstream(
    relay_gateway: GatewayProcess, stage: Stage, deployment: str
) -> None:
    far = stage.tls if deployment == "tls" else stage.unix
    far.forget()
    left = []

    def wait(visit: Visit) -> None:
        visit.read_body()
        try:
            left.append(visit.wait_until_left())
        except GatewayLeft:
            left.append(True)

    with far.playing(wait), relay_gateway.connect() as client:
        client.send(chat(deployment))
        assert far.wait_for(lambda far: bool(far.requests) and far.requests[0].whole)
        client.close()
        assert far.wait_for(lambda far: far.busy == 0)
    assert left == [True]
