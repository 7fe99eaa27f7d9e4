"""Every way in which an upstream may frame its answer."""

import threading

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat, says
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import request
from tests.wire.upstream.conversation.connections import connections

FINE = {"object": "fine"}
TRAILERS = b"".join(b"X-%d: %b\r\n" % (number, b"a" * 1000) for number in range(60))
ANSWERS = {
    "HTTP/1.0 by length": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", False, False),
    "HTTP/1.0 by length, kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        False,
        True,
    ),
    "HTTP/1.0 until closed": (b"HTTP/1.0 200 OK\r\n\r\n{}", True, False),
    "HTTP/1.1 until closed": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", True, False),
    "HTTP/1.1 until closed, unsaid": (b"HTTP/1.1 200 OK\r\n\r\n{}", True, False),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", False, True),
    "103 first": (
        b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        False,
        True,
    ),
    "ten interim answers": (
        b"HTTP/1.1 102 Processing\r\n\r\n" * 10 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        False,
        True,
    ),
    "an empty line first": (b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", False, True),
    "a length with spaces": (b"HTTP/1.1 200 OK\r\nContent-Length:  \t2 \r\n\r\n{}", False, True),
    "chunks with extensions": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{\r\n01;c\r\n}\r\n0\r\nX-Trailer: a\r\n\r\n",
        False,
        True,
    ),
    "many trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + TRAILERS + b"\r\n",
        False,
        True,
    ),
    "200 without a byte": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, True),
}


@pytest.mark.parametrize("cut_at", [None, 1, 20], ids=["whole", "first byte apart", "cut at 20"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_every_way_to_frame_an_answer_is_understood(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, answer: tuple[bytes, bool, bool], cut_at: int | None
) -> None:
    said, closes, kept = answer
    pieces = [said] if cut_at is None else [said[:cut_at], said[cut_at:]]
    with relay_gateway.connect() as client:
        with upstream.playing(says(*pieces, then=Visit.close if closes else lambda _: None)):
            response = client.ask(chat())
        assert (response.status, response.whole, response.interim) == (200, True, 0)
        assert response.body == (b"{}" if said.endswith((b"}", b"a\r\n\r\n")) else b"")
        assert b"cookie" not in response.head.lower()
        assert client.ask(chat()).json() == FINE
    assert len(set(connections(upstream))) == (1 if kept else 2)


def test_a_body_until_the_close_that_ends_in_a_reset_is_not_whole(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf")
        assert seen.wait(PATIENCE)
        visit.reset()

    seen = threading.Event()
    with upstream.playing(script), relay_gateway.connect() as client:
        client.send(chat())
        client.read_head()
        assert client.read_some() == b"4\r\nhalf\r\n"
        seen.set()
        assert client.read_to_end() == b""


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("asked", ["", "Connection: keep-alive", "Connection: close"])
def test_a_client_of_http_1_0_gets_no_chunks(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, framing: bytes, asked: str
) -> None:
    body = b"4\r\nbody\r\n0\r\n\r\n" if b"chunked" in framing else b"body"
    ask = request(scene.CHAT, *([asked] if asked else []), key=scene.KEY, body=scene.BODY, version="HTTP/1.0")
    then = (lambda _: None) if framing else Visit.close
    with relay_gateway.connect() as client:
        with upstream.playing(says(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + body, then=then)):
            response = client.ask(ask)
        assert response.head.startswith(b"HTTP/1.0 200 OK")
        assert (response.body, response.whole) == (b"body", True)
        assert response.header("Transfer-Encoding") is None
        if asked.endswith("alive") and b"Length" in framing:
            assert response.header("Connection") == "keep-alive"
            assert client.ask(ask).json() == FINE
        else:
            assert client.is_closed()
