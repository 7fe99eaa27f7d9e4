"""Table U: framing that turns out wrong when the client has its first bytes."""

import threading
from contextlib import suppress

import pytest

from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import EVENT, chat, says
from tests.harness.sockets.upstream_visit import GatewayLeft, Visit

WRONG_LATER = {
    "short of its length, FIN": (b"Content-Length: 10\r\n\r\n12345", False),
    "no last chunk, FIN": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", False),
    "cut within a chunk, FIN": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nA\r\n123", False),
    "no chunk size": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n", True),
    "a chunk longer than its size": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345678\r\n0\r\n\r\n", True),
}


@pytest.mark.parametrize(("said", "stays"), WRONG_LATER.values(), ids=WRONG_LATER)
def test_U12_a_body_that_is_not_whole_is_not_made_to_look_whole(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, said: bytes, stays: bool
) -> None:
    head, _, body = said.partition(b"\r\n\r\n")

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        assert has_head.wait(PATIENCE)
        visit.send(body)
        if not stays:
            visit.close()

    has_head = threading.Event()
    with upstream.playing(script), relay_gateway.connect() as client:
        client.send(chat())
        client.read_head()
        has_head.set()
        rest = client.read_to_end()
    assert b"12345" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    before = upstream.only_request.connection
    assert relay_gateway.ask(chat()).json() == {"object": "fine"}
    assert upstream.requests[1].connection != before


ENDLESS = {
    "a trailer": (b"0\r\nX-Trailer: ", b"a"),
    "trailers": (b"0\r\n", b"X-Trailer: aaaa\r\n"),
    "an extension": (b"5;", b"a"),
    "an extension of the last chunk": (b"0;", b"a"),
    "zeros before a size": (b"0", b"0"),
}


@pytest.mark.parametrize(("begins", "goes_on"), ENDLESS.values(), ids=ENDLESS)
def test_U12_what_frames_a_body_has_an_end_or_the_stream_is_broken(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, begins: bytes, goes_on: bytes
) -> None:
    sent: list[int] = []
    piece = goes_on * (64 * 1024 // len(goes_on))

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        assert seen.wait(PATIENCE)
        with suppress(GatewayLeft):
            visit.send(begins, *[piece] * 128)
            sent.append(len(piece) * 128)

    seen = threading.Event()
    line = len(relay_gateway.log.lines)
    with upstream.playing(script), relay_gateway.connect() as client:
        client.send(chat())
        client.read_head()
        assert client.read_some() == b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
        seen.set()
        rest = client.read_to_end()
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert b"The model endpoint broke off" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert sent == []
    relay_gateway.log.wait_for("the framing of its answer exceeds 65536 bytes", start=line)
    assert relay_gateway.ask(chat()).json() == {"object": "fine"}


@pytest.mark.parametrize(
    "said",
    [
        b"Content-Length: %d\r\n\r\n%b" % (len(EVENT) + 5, EVENT),
        b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\x1f\x8b\n\n\r\n",
    ],
    ids=["of a stated length", "compressed"],
)
def test_U18_a_broken_stream_that_has_no_room_for_an_event_is_only_cut(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, said: bytes
) -> None:
    head, _, body = said.partition(b"\r\n\r\n")

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + head + b"\r\n\r\n" + body)
        assert seen.wait(PATIENCE)
        visit.close()

    seen = threading.Event()
    with upstream.playing(script), relay_gateway.connect() as client:
        client.send(chat())
        client.read_head()
        assert client.read_some() == body
        seen.set()
        assert client.read_to_end() == b""


SURPLUS = {
    "bytes": b"surplus",
    "a whole answer": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "line ends": b"\r\n\r\n",
}
FRAMES = {
    "by length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345",
    "by chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
    "by status": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "later"])
@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_U12_bytes_beyond_an_answer_never_become_part_of_the_next(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, frame: bytes, surplus: bytes, at_once: bool
) -> None:
    with upstream.playing(says(*([frame + surplus] if at_once else [frame, surplus]))):
        response = relay_gateway.ask(chat())
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert response.whole
    assert response.body in {b"12345", b""}
    assert relay_gateway.ask(chat()).json() == {"object": "fine"}
    # Blank lines between two answers mean nothing (RFC 9112 2.2).
    assert len({received.connection for received in upstream.requests}) == 2 or not surplus.strip()
