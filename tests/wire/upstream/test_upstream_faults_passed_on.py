"""Table U: what an upstream may do and what it may not, once it answers: what passes, what is replaced, how it ends."""

import gzip
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.harness import contract
from tests.harness.gateway_process import GatewayProcess
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.scripted_upstream import GatewayLeft, ScriptedUpstream, Visit, fine
from tests.harness.stage import BRISK, DONE, EVENT, STEADY, chat, says
from tests.harness.wire_client import Response

MIB = 1 << 20


# --- time


def test_U7_a_first_byte_that_does_not_come_in_time_is_a_504(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    left = []

    def hang(visit: Visit) -> None:
        visit.read_body()
        left.append(visit.wait_until_left())

    begun = time.monotonic()
    with upstream.playing(hang):
        assert contract.TIMED_OUT.is_kept_by(relay_gateway.ask(chat("brisk")))
        took = time.monotonic() - begun
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
    assert BRISK <= took < AT_ONCE
    assert left == [True]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("piece", [b"w", b":\n\n"], ids=["U8 a byte at a time", "U9 pings"])
def test_a_stream_lasts_as_long_as_it_likes_if_its_pauses_are_short(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, piece: bytes
) -> None:
    def drip(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        for _ in range(5):
            visit.chunk(piece)
            time.sleep(STEADY / 4)
        visit.chunk(b"")

    with upstream.playing(drip):
        response = relay_gateway.ask(chat("steady"))
    assert response.whole
    assert response.pieces == (piece,) * 5


# --- framing that turns out wrong when the client has its first bytes

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


# --- errors of the model server

LLAMA = b'{"error":{"code":%d,"message":"the request exceeds the available context size","type":"exceed_context"}}'
ERRORS = {
    **{
        f"{status} JSON": (status, b"application/json; charset=utf-8", LLAMA % status)
        for status in (400, 404, 405, 409, 413, 422, 429, 500, 501, 503, 504, 529)
    },
    "500 HTML": (500, b"text/html", b"<html><script>alert(1)</script></html>"),
    "503 HTML": (503, b"text/html", b"<html>Service Unavailable</html>"),
    "400 plain text": (400, b"text/plain", b"no"),
    "500 nothing": (500, b"application/json", b""),
    "503 nothing": (503, b"application/json", b""),
    "500 of 10 MB": (500, b"application/json", b"x" * 10 * MIB),
    "503 of 10 MB": (503, b"application/json", b"x" * 10 * MIB),
}


@pytest.mark.parametrize(("status", "kind", "body"), ERRORS.values(), ids=ERRORS)
def test_U13_an_error_of_the_model_server_passes_untouched(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: int, kind: bytes, body: bytes
) -> None:
    def script(visit: Visit) -> None:
        visit.read_body()
        lines = (b"Content-Type: " + kind, b"Content-Length: %d" % len(body), b"Retry-After: 7", b"Connection: close")
        visit.send(b"HTTP/1.1 %d Whatever\r\n" % status + b"\r\n".join(lines) + b"\r\n\r\n" + body)
        visit.close()

    with upstream.playing(script):
        response = relay_gateway.ask(chat())
    assert (response.status, response.whole) == (status, True)
    assert response.body == body
    assert response.header("Content-Type") == kind.decode()
    assert response.header("Retry-After") == "7"
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert response.header("Connection") is None  # the upstream's connection is none of the client's business


LOADING = (
    b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}',
    b'{"status":"loading model"}',
)


@pytest.mark.parametrize("body", LOADING)
@pytest.mark.parametrize("chunked", [True, False])
def test_U13_a_model_that_is_loading_is_a_502(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes, chunked: bool
) -> None:
    framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    if not chunked:
        framed = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    with upstream.playing(says(head, framed)):
        assert contract.UNREACHABLE.is_kept_by(relay_gateway.ask(chat()))


def test_U13_an_error_that_breaks_off_is_passed_on_as_far_as_it_came(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n"
    with upstream.playing(says(head + b"<html>", then=Visit.close)), relay_gateway.connect() as client:
        client.send(chat())
        assert client.read_head().startswith(b"HTTP/1.1 503 ")
        assert client.read_to_end() == b"<html>"


REDIRECTS = {
    "300 A": b"http://169.254.169.254/latest",
    "301 A": b"http://127.0.0.1/slots",
    "302 A": b"//evil.test",
    "303 A": b"file:///etc/passwd",
    "305 A": b"http://127.0.0.1:1",
    "307 A": b"/v1/models",
    "308 A": b"https://CANARYUP@evil.test",
    "399 A": b"",
}


@pytest.mark.parametrize(("status", "target"), REDIRECTS.items())
def test_U14_a_redirect_is_a_502_and_neither_followed_nor_shown(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: str, target: bytes
) -> None:
    with upstream.playing(lambda visit: visit.answer(b"moved to CANARYUP", status, b"Location: " + target)):
        response = relay_gateway.ask(chat())
    assert contract.UNREACHABLE.is_kept_by(response)
    assert response.header("Location") is None
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_U15_a_refusal_of_the_gateways_own_key_is_a_502_and_logged(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: str
) -> None:
    line = relay_gateway.mark_log()
    with upstream.playing(lambda visit: visit.answer(b"CANARYUPSTREAM is wrong", status, b"WWW-Authenticate: Bearer")):
        response = relay_gateway.ask(chat())
    assert contract.UNREACHABLE.is_kept_by(response)
    assert response.header("WWW-Authenticate") is None
    relay_gateway.log.wait_for(r"refuses the gateway's own upstream_key \(40[13]\)", start=line)


# --- statuses and their words

REASONS = {
    "none": b"HTTP/1.1 200\r\n",
    "empty": b"HTTP/1.1 200 \r\n",
    "odd": b"HTTP/1.1 200 <script>\r\n",
    "UTF-8": "HTTP/1.1 200 прекрасно\r\n".encode(),
    "NUL": b"HTTP/1.1 200 O\0K\r\n",
    "long": b"HTTP/1.1 200 " + b"O" * 5000 + b"\r\n",
}


@pytest.mark.parametrize("line", REASONS.values(), ids=REASONS)
def test_U17_the_upstreams_words_for_its_status_are_not_repeated(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, line: bytes
) -> None:
    with upstream.playing(says(line + b"Content-Length: 2\r\n\r\n{}")):
        response = relay_gateway.ask(chat())
    assert response.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.body == b"{}"


@pytest.mark.parametrize("follows", [b"", b"12345"], ids=["nothing", "bytes"])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("status", [204, 304])
def test_U17_a_status_without_a_body_ends_with_its_head_whatever_follows(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, status: int, framing: bytes, follows: bytes
) -> None:
    said = b"HTTP/1.1 %d Nothing\r\n%b\r\n" % (status, framing)

    with upstream.playing(says(said, follows)), relay_gateway.connect() as client:
        response = client.ask(chat("steady"))
        assert response.status == status
        assert response.header("Content-Length") is None
        assert response.header("Transfer-Encoding") is None
        assert upstream.wait_for(lambda upstream: upstream.busy == 0)
        upstream.script = fine
        assert client.ask(chat("steady")).json() == {"object": "fine"}  # the client's connection is in step
    assert len({received.connection for received in upstream.requests}) == 1 + bool(follows)


# --- compression

ZEROS = gzip.compress(bytes(50 * MIB), mtime=0)


def test_U21_a_bomb_passes_unopened(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    before = relay_gateway.memory()
    relay_gateway.forget_peak()
    with upstream.playing(lambda visit: visit.answer(ZEROS, "200 OK", b"Content-Encoding: gzip")):
        response = relay_gateway.ask(chat())
    assert response.body == ZEROS
    assert response.header("Content-Encoding") == "gzip"
    assert relay_gateway.peak_memory() - before < 5 * MIB


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd"])
def test_U21_a_compressed_stream_passes_piece_by_piece(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, coding: bytes
) -> None:
    seen = threading.Semaphore(0)

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream(b"Content-Encoding: " + coding)
        for number in range(5):
            visit.chunk(b"\x1f\x8b\x08%d" % number)
            assert seen.acquire(timeout=PATIENCE)
        visit.chunk(b"")

    with upstream.playing(script), relay_gateway.connect() as client:
        client.send(chat())
        assert b"Content-Encoding: " + coding in client.read_head()
        for number in range(5):
            assert client.read_some() == b"4\r\n\x1f\x8b\x08%d\r\n" % number
            seen.release()
        assert client.read_to_last_chunk() == b""


# --- all of it at random

BROKEN = (502, contract.UNREACHABLE.body, True)


def _stream_broken(own: bytes) -> bytes:
    return b'data: %b\n\ndata: {"error":{"type":"api_error","message":"%b"}}\n\n' % (
        own,
        b"The model endpoint broke off in the middle of its answer.",
    )


@dataclass(frozen=True)
class Play:
    """What an upstream does with a request that holds a number, and what its client may see: status, body, whole."""

    act: Callable[[Visit, bytes], object]
    seen: Callable[[bytes], tuple[tuple[int, bytes, bool], ...]] = lambda _: (BROKEN,)


def _stream(visit: Visit, own: bytes) -> None:
    visit.begin_stream()
    for piece in (EVENT, b"data: %b\n\n" % own, DONE, b""):
        visit.chunk(piece)


def _broken_stream(visit: Visit, own: bytes) -> None:
    visit.begin_stream()
    visit.chunk(b"data: %b\n\n" % own)
    visit.close()


def _cut(visit: Visit, own: bytes) -> None:
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + own)
    visit.close()


GOOD = [
    Play(lambda visit, own: visit.answer(own), lambda own: ((200, own, True),)),
    Play(_stream, lambda own: ((200, EVENT + b"data: %b\n\n" % own + DONE, True),)),
]
BAD = [
    Play(lambda visit, own: visit.answer(own, "500 Oh"), lambda own: ((500, own, True),)),
    Play(lambda visit, _: visit.close()),
    Play(lambda visit, _: visit.reset()),
    Play(lambda visit, own: visit.send(b"garbage %b\r\n\r\n" % own)),
    Play(lambda visit, own: visit.answer(b"", "302 Found", b"Location: /" + own)),
    Play(lambda visit, _: visit.answer(LOADING[0], "503 Service Unavailable")),
    Play(_cut, lambda _: ((200, b"", False), BROKEN)),
    Play(_broken_stream, lambda own: ((200, _stream_broken(own), False), BROKEN)),
]


def play_for(number: int) -> Play:
    """Half of the time something good, half of the time something bad."""
    return random.Random(number).choice(GOOD * len(BAD) + BAD * len(GOOD))


def test_U24_every_client_gets_its_own_answer_whatever_others_do(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def script(visit: Visit) -> None:
        own = visit.read_body()
        play_for(int(own)).act(visit, own)

    def ask(number: int) -> Response:
        return relay_gateway.ask(chat(body=b"%d" % number))

    numbers = range(800)
    with upstream.playing(script), ThreadPoolExecutor(16) as clients:
        responses = list(clients.map(ask, numbers))
    for number, seen in zip(numbers, responses, strict=True):
        assert (seen.status, seen.body, seen.whole) in play_for(number).seen(b"%d" % number)
    assert Counter(int(received.body) for received in upstream.requests) == Counter(numbers)
