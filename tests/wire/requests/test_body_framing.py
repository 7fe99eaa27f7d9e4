"""Table B: where a body ends. What is framed in two ways, or wrongly, is refused, and nothing in it is a request."""

import pytest

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.bodies import GOOD, MIB, Ping, chat_with, is_refused_and_closed
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import chunked, request

HIDDEN = b"GET " + scene.MODELS.encode() + b" HTTP/1.1\r\nHost: x\r\nx-api-key: " + scene.KEY.encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        (f"Content-Length: {len(HIDDEN) + 5}", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: identity", "Content-Length: 5"),
        ("Content-Length: 0", "transfer-ENCODING:chunked"),
    ],
)
def test_B6_length_and_chunks_together_are_400(
    gateway: GatewayProcess, upstream: ScriptedUpstream, lines: tuple[str, ...]
) -> None:
    assert is_refused_and_closed(gateway, upstream, chat_with(None, *lines) + b"0\r\n\r\n" + HIDDEN, 400)


@pytest.mark.parametrize(
    "length",
    ["5, 5", "5,6", "+5", "-1", "-0", "0x5", "5 5", "5;", "5.0", "1e1", "five", "٥", "", '"5"', "9" * 20],
)
def test_B7_a_length_that_is_no_number_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, length: str) -> None:
    assert is_refused_and_closed(gateway, upstream, chat_with(None, f"Content-Length: {length}") + b"12345", 400)


@pytest.mark.parametrize("second", ["5", "6", "05", ""])
def test_B7_two_lengths_are_400(gateway: GatewayProcess, upstream: ScriptedUpstream, second: str) -> None:
    lines = ("Content-Length: 5", f"Content-Length: {second}")
    assert is_refused_and_closed(gateway, upstream, chat_with(None, *lines) + b"12345", 400)


@pytest.mark.parametrize("length", [" 5", "5 ", "\t5\t", "05", "0000000005"])
def test_B7_space_around_a_length_means_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, length: str
) -> None:
    assert gateway.ask(chat_with(None, f"Content-Length:{length}") + b"12345").status == 200
    assert upstream.only_request.body == b"12345"
    assert upstream.only_request.values("Content-Length") == ["5"]


@pytest.mark.parametrize(
    "coding",
    [
        *(
            "xchunked",
            "chunked, identity",
            "identity",
            "gzip, chunked",
            "gzip",
            "chunked, chunked",
            "chunked,",
            ", chunked",
        ),
        *(
            "\x0bchunked",
            '"chunked"',
            "chunked;q=1",
            "chunk ed",
            "",
            "chunked\r\nTransfer-Encoding: chunked",
            "\x00chunked",
        ),
        *("chunked\r\nTransfer-Encoding: identity", "identity\r\nTransfer-Encoding: chunked", "deflate, gzip, chunked"),
    ],
)
def test_B8_any_coding_but_chunked_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, coding: str) -> None:
    data = chat_with(None, f"Transfer-Encoding: {coding}") + chunked(scene.BODY)
    assert is_refused_and_closed(gateway, upstream, data, 400)


def test_B8_odd_chunked_requests_are_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    body = chunked(scene.BODY)
    assert is_refused_and_closed(gateway, upstream, chat_with(None, "Transfer-Encoding : chunked") + body, 400)
    old = request(scene.CHAT, "Transfer-Encoding: chunked", key=scene.KEY, version="HTTP/1.0")
    assert is_refused_and_closed(gateway, upstream, old + body, 400)


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED", " chunked "])
def test_B8_chunked_in_any_case_is_understood(gateway: GatewayProcess, upstream: ScriptedUpstream, coding: str) -> None:
    assert gateway.ask(chat_with(None, f"Transfer-Encoding: {coding}") + chunked(scene.BODY)).status == 200
    assert upstream.only_request.body == scene.BODY


@pytest.mark.parametrize(
    "line",
    [
        *(
            b": x",
            b"nocolon",
            b"X: a\r\n folded",
            b"X : a",
            b" X: a",
            b"X: a\nY: b",
            b"X: a\rY: b",
            b"X: a\0b",
            b"X\0: a",
        ),
        *(b"X(y): a", b"X\xe9: a", b"X\x7f: a", b"X: a\x7f", b"X: a\x0bb", b"Content-Length : 5", b"X\0: a"),
    ],
)
def test_B9_a_malformed_header_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, line: bytes) -> None:
    assert is_refused_and_closed(gateway, upstream, chat_with(scene.BODY, line), 400)


def test_B9_bare_line_feeds_are_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert is_refused_and_closed(gateway, upstream, GOOD.replace(b"\r\n", b"\n"), 400)
    assert is_refused_and_closed(gateway, upstream, GOOD.replace(b"\r\n\r\n", b"\n\n"), 400)


BAD_CHUNKS = {
    "extension with LF": b"5;a\n\r\nhello\r\n0\r\n\r\n",
    "negative": b"-1\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after": b"5 \r\nhello\r\n0\r\n\r\n",
    "17 F": b"F" * 17 + b"\r\nhello\r\n0\r\n\r\n",
    "no line end": b"5\r\nhelloX0\r\n\r\n",
    "too long": b"5\r\nhello world\r\n0\r\n\r\n",
    "line feeds": b"5\nhello\n0\n\n",
    "last line feed": b"5\r\nhello\r\n0\n\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no hex": b"g\r\nhello\r\n0\r\n\r\n",
    "10 000 trailers": b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "length in a trailer": b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
    "key in a trailer": b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
@pytest.mark.parametrize("late", [False, True])
def test_B10_bad_chunks_are_400(gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes, late: bool) -> None:
    head = chat_with(None, "Transfer-Encoding: chunked")
    if not late:
        assert is_refused_and_closed(gateway, upstream, head + body, 400)
        return
    with gateway.connect() as client:
        client.send(head + b"3\r\nabc\r\n")
        gateway.ask(request("/healthz", method="GET"))  # by now the handler waits for more
        client.send(body + GOOD)
        assert contract.is_a_refusal(client.read_response(), 400)
        assert client.is_closed()
    assert upstream.requests == []


@pytest.mark.parametrize("trailer", [b"", b"X-Trailer: x\r\n", f"x-api-key: {scene.KEY}\r\n".encode()])
def test_B10_trailers_never_become_headers(gateway: GatewayProcess, upstream: ScriptedUpstream, trailer: bytes) -> None:
    body = b"5;name=value\r\nhello\r\n0\r\n" + trailer + b"\r\n"
    response = gateway.ask(chat_with(None, "Transfer-Encoding: chunked", key=None) + body)
    assert contract.is_a_refusal(response, 400, 401)
    with gateway.connect() as client:
        response = client.ask(chat_with(None, "Transfer-Encoding: chunked") + body)
        assert response.status in {200, 400}
    for received in upstream.requests:
        assert received.body == b"hello"
        assert received.values("X-Trailer") == []


def test_B10_a_mebibyte_of_chunk_extension_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    body = b"5;" + b"a" * MIB + b"\r\nhello\r\n0\r\n\r\n"
    assert is_refused_and_closed(gateway, upstream, chat_with(None, "Transfer-Encoding: chunked") + body, 400)


def test_B11_a_body_in_one_byte_chunks_costs_little(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    size = MIB // 4
    before = gateway.cpu_seconds()
    with Ping(gateway) as ping, gateway.connect() as client:
        client.send(chat_with(None, "Transfer-Encoding: chunked") + b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        assert client.read_response().status == 200
    assert upstream.only_request.body == b"x" * size
    assert gateway.cpu_seconds() - before < 1
    assert ping.answers > 0
    assert ping.worst < 1


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(
    "asked",
    [(scene.MODELS, "GET", 200), (scene.MODELS, "DELETE", 405), ("/healthz", "GET", 200), (scene.CHAT, "GET", 405)],
)
def test_B19_a_body_where_none_belongs_never_becomes_a_request(
    gateway: GatewayProcess, upstream: ScriptedUpstream, asked: tuple[str, str, int], framing: str
) -> None:
    target, method, status = asked
    if framing == "length":
        data = request(target, method=method, key=scene.KEY, body=GOOD)
    else:
        data = request(target, "Transfer-Encoding: chunked", method=method, key=scene.KEY) + chunked(GOOD)
    with gateway.connect() as client:
        assert client.ask(data).status == status
        assert client.ask(request("/healthz", method="GET")).json() == {"status": "ok"}
    assert all(received.line.startswith("GET /v1/models ") and received.body == b"" for received in upstream.requests)
