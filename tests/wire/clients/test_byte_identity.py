"""What goes in comes out, byte for byte, in both directions: compared by SHA-256."""

import gzip
import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import Response, chunked, request

MIB = 1024 * 1024
LIMIT = 64 * MIB  # the default of server.limits.body_bytes
JSON = "Content-Type: application/json"
ALL_BYTES = bytes(range(256))


@lru_cache(maxsize=2)
def noise(size: int) -> bytes:
    """Bytes in which nothing repeats that could hide a lost or doubled piece."""
    return random.Random(size).randbytes(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def ask(gateway: GatewayProcess, body: bytes, path: str = scene.CHAT, *headers: str) -> Response:
    return gateway.ask(request(path, JSON, *headers, key=scene.KEY, body=body))


def pieces_of(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """`data` in pieces of these sizes, again and again."""
    pieces, at, number = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + sizes[number % len(sizes)]])
        at += sizes[number % len(sizes)]
        number += 1
    return pieces


# --- up


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_of_the_limit_arrives_whole(gateway: GatewayProcess, upstream: ScriptedUpstream, coding: str) -> None:
    body = noise(LIMIT)
    if coding == "length":
        assert ask(gateway, body).status == 200
    else:
        head = request(scene.CHAT, JSON, "Transfer-Encoding: chunked", key=scene.KEY)
        assert gateway.ask(head + chunked(*pieces_of(body, [1 << 20, 77, 65536]))).status == 200
    assert sha256(upstream.only_request.body) == sha256(body)
    assert upstream.only_request.values("Content-Length") == ([str(LIMIT)] if coding == "length" else [])


def test_a_body_one_byte_longer_than_the_limit_is_refused_unread(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    response = gateway.ask(request(scene.CHAT, JSON, f"Content-Length: {LIMIT + 1}", key=scene.KEY))
    assert response.status == 413
    assert response.json()["error"] == {
        "type": "request_too_large",
        "message": f"The request body exceeds the limit of {LIMIT} bytes.",
    }
    assert upstream.requests == []


@pytest.mark.slow
def test_a_chunked_body_a_byte_too_long_never_becomes_a_whole_request(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    head = request(scene.CHAT, JSON, "Transfer-Encoding: chunked", key=scene.KEY)
    assert gateway.ask(head + chunked(*pieces_of(noise(LIMIT + 1), [1 << 20]))).status == 413
    assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert not upstream.only_request.whole


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3, 5, 250], [300], [65536, 1]])
def test_a_chunked_body_arrives_whole_however_it_is_cut(
    gateway: GatewayProcess, upstream: ScriptedUpstream, sizes: list[int]
) -> None:
    body = ALL_BYTES * (8 if sizes == [1] else 2000)  # 2000: beyond what is held before it is sent on
    with gateway.connect() as client:
        client.send(request(scene.CHAT, JSON, "Transfer-Encoding: chunked", key=scene.KEY))
        for piece in pieces_of(chunked(*pieces_of(body, sizes)), [70_000]):
            client.send(piece)
        assert client.read_response().status == 200
    assert sha256(upstream.only_request.body) == sha256(body)


def test_what_is_no_json_at_all_is_passed_on_as_it_is(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    body = b'\xef\xbb\xbf{"a": 1e400, "b": \xff\xfe, "a": 2,}\r\n\x00'
    assert ask(gateway, body).status == 200
    assert upstream.only_request.body == body


# --- down

ANY_STREAM = f"{scene.BASE}/v1/embeddings"  # no last word is expected here: a stream may be anything

EVENT = 'data: {"choices":[{"delta":{"content":"naïve 日本語 🦙"}}]}\n\n'.encode()
STREAMS = {
    "LF": EVENT * 20 + b"data: [DONE]\n\n",
    "CRLF": EVENT.replace(b"\n", b"\r\n") * 20 + b"data: [DONE]\r\n\r\n",
    "CR": EVENT.replace(b"\n", b"\r") * 20,
    "comments and pings": b": ping\n\n" + EVENT + b":\n\nevent: ping\ndata: {}\nid: 7\nretry: 10\n\n",
    "no blank line at the end": EVENT + b"data: [DONE]",
    "a byte order mark": b"\xef\xbb\xbf" + EVENT,
    "no text at all": ALL_BYTES * 4,
    "nothing": b"",
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("sizes", [[1], [len(EVENT) * 2], [len(EVENT) - 3]], ids=["bytes", "two events", "split"])
def test_a_stream_comes_down_as_it_was_sent(
    gateway: GatewayProcess, upstream: ScriptedUpstream, stream: str, sizes: list[int]
) -> None:
    data = STREAMS[stream]

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        for piece in pieces_of(data, sizes):
            visit.chunk(piece)
        visit.chunk(b"")

    with upstream.playing(script):
        response = ask(gateway, scene.BODY, ANY_STREAM)
    assert response.whole
    assert response.header("Content-Type") == "text/event-stream"
    assert sha256(response.body) == sha256(data)


def test_the_wire_may_be_cut_anywhere_even_in_chunk_headers(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire += b"".join(b"%X;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in (EVENT, EVENT[:5], EVENT[5:]))
    wire += b"0\r\nTrailer: gone\r\n\r\n"

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(*pieces_of(wire, [1]))

    with upstream.playing(script):
        response = ask(gateway, scene.BODY, ANY_STREAM)
    assert response.whole
    assert response.body == EVENT * 2
    assert response.header("Trailer") is None


def test_a_line_of_ten_million_bytes_comes_down_whole(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    line = b"data: " + noise(10_000_000).hex().encode()[:10_000_000] + b"\n\ndata: [DONE]\n\n"

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(line)
        visit.chunk(b"")

    with upstream.playing(script):
        response = ask(gateway, scene.BODY)
    assert response.whole
    assert sha256(response.body) == sha256(line)


def _with_length(visit: Visit, body: bytes) -> None:
    visit.answer(body)


def _chunked(visit: Visit, body: bytes) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    visit.send(chunked(*pieces_of(body, [1 << 20, 13])))


def _until_close(visit: Visit, body: bytes) -> None:
    visit.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", body)
    visit.close()


@pytest.mark.slow
@pytest.mark.parametrize("frame", [_with_length, _chunked, _until_close])
def test_an_answer_of_16_mib_comes_down_whole(
    gateway: GatewayProcess, upstream: ScriptedUpstream, frame: Callable[[Visit, bytes], None]
) -> None:
    body = noise(16 * MIB)

    def script(visit: Visit) -> None:
        visit.read_body()
        frame(visit, body)

    with upstream.playing(script):
        response = ask(gateway, scene.BODY)
    assert response.whole
    assert sha256(response.body) == sha256(body)


@pytest.mark.slow
def test_U19_a_hose_of_200_mb_comes_down_whole_and_fills_no_memory(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """Asked for in HTTP/1.0, so that what comes after the head is the body and nothing else."""
    block, blocks = noise(MIB), 200
    sent, received = hashlib.sha256(), hashlib.sha256()

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        for number in range(blocks):
            data = number.to_bytes(8, "big") + block[8:]
            sent.update(data)
            visit.chunk(data)
        visit.chunk(b"")

    before = gateway.memory()
    gateway.forget_peak()
    with upstream.playing(script), gateway.connect() as client:
        client.send(request(ANY_STREAM, JSON, key=scene.KEY, body=scene.BODY, version="HTTP/1.0"))
        client.read_head()
        size = len(begun := bytes(client.received).partition(b"\r\n\r\n")[2])
        received.update(begun)
        while data := client.socket.recv(MIB):
            received.update(data)
            size += len(data)
    assert size == blocks * MIB
    assert received.digest() == sent.digest()
    assert gateway.peak_memory() - before < 4 * MIB


@pytest.mark.slow
def test_a_slow_reader_gets_every_byte_and_holds_up_nobody(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    body = noise(LIMIT)  # more than all buffers on the way hold

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        for piece in pieces_of(body, [1 << 16]):
            visit.chunk(piece)
        visit.chunk(b"")

    with upstream.playing(script), gateway.connect() as client:
        client.send(request(ANY_STREAM, JSON, key=scene.KEY, body=scene.BODY))
        assert upstream.wait_for(lambda upstream: upstream.busy == 1)
        gateway.wait_until_idle()
        assert upstream.busy == 1, "the gateway has taken what nobody reads"
        response = client.read_response()
    assert response.whole
    assert sha256(response.body) == sha256(body)
    assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).json() == {"object": "fine"}


def test_events_are_passed_on_one_by_one_and_not_collected(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    seen = threading.Semaphore(0)

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        for _ in range(5):
            visit.chunk(EVENT)
            assert seen.acquire(timeout=PATIENCE), "the event did not reach the client before the next was sent"
        visit.chunk(b"")

    with upstream.playing(script), gateway.connect() as client:
        client.send(request(scene.CHAT, JSON, key=scene.KEY, body=scene.BODY))
        client.read_head()
        for _ in range(5):
            received = b""
            while EVENT not in received:
                received += client.read_some()
            seen.release()


# --- gzip


def test_a_compressed_answer_is_passed_on_compressed(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    packed = gzip.compress(EVENT * 100, mtime=0)

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.answer(packed, "200 OK", b"Content-Encoding: gzip")

    with upstream.playing(script):
        response = ask(gateway, scene.BODY, scene.CHAT, "Accept-Encoding: gzip")
    assert response.header("Content-Encoding") == "gzip"
    assert response.body == packed
    assert upstream.only_request.values("Accept-Encoding") == ["gzip"]


@pytest.mark.parametrize("path", [scene.CHAT, f"{scene.BASE}/v1/messages", "/api/gguf/nowhere/v1/messages"])
def test_nothing_is_compressed_on_the_way(gateway: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    with upstream.playing(lambda visit: visit.answer(b"a" * 10_000)):
        response = ask(gateway, scene.BODY, path, "Accept-Encoding: gzip, deflate, br, zstd")
    assert response.header("Content-Encoding") is None
    assert response.body == b"a" * 10_000 or response.status == 404
