"""Table B: bodies. They are measured and bounded, never parsed: what goes up is what came, byte for byte."""

import hashlib
import json
import threading
import time
import zlib

import pytest

from tests.behaviour import contract, scene
from tests.behaviour.gateway_process import GatewayProcess
from tests.behaviour.scripted_upstream import ScriptedUpstream, Visit
from tests.behaviour.wire_client import WireClient, chunked, request

GOOD = request(scene.CHAT, key=scene.KEY, body=scene.BODY)
MIB = 1 << 20
MESSAGE_BYTES = 256 << 10  # bodies up to here are complete before the upstream hears of them


def chat(body: bytes | None = None, *headers: str | bytes, key: str | None = scene.KEY) -> bytes:
    return request(scene.CHAT, *headers, key=key, body=body)


def is_refused_and_closed(gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes, *statuses: int) -> bool:
    """Whether this is refused, the connection closed, and a request hidden behind it never executed."""
    with gateway.connect() as client:
        client.send(data + GOOD)
        response = client.read_response()
        assert contract.is_a_refusal(response, *statuses)
        assert client.is_closed()
    assert upstream.requests == []
    return True


def passes_untouched(gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes, *headers: str) -> bool:
    """Whether a body reaches the upstream as it is, with its length and Content-Type, once."""
    upstream.forget()
    assert gateway.ask(chat(body, *headers)).status == 200
    received = upstream.only_request
    assert received.values("Content-Length") == [str(len(body))]
    assert received.values("Transfer-Encoding") == []
    return received.body == body


class Ping:
    """Asks for /healthz all the time; `answers` came meanwhile, the slowest after `worst` seconds."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._client = gateway.connect()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers = 0
        self.worst = 0.0

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            begun = time.perf_counter()
            assert self._client.ask(request("/healthz", method="GET")).status == 200
            self.worst = max(self.worst, time.perf_counter() - begun)
            self.answers += 1

    def __enter__(self) -> "Ping":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()


# --- what is in it

NO_BODY = (b"\r\n", b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("endpoint", [path for path, method in scene.ENDPOINTS.items() if method == "POST"])
@pytest.mark.parametrize(
    "data", [b"Content-Length: 0\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
def test_B1_no_body_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, endpoint: str, data: bytes) -> None:
    head = request(scene.BASE + endpoint, key=scene.KEY)
    with gateway.connect() as client:
        assert contract.EMPTY_BODY.is_kept_by(client.ask(head[:-2] + data))
        assert upstream.requests == []
        assert client.ask(GOOD).status == 200  # the connection is in order


NOT_QUITE_JSON = {
    "brace": b"{",
    "list": b"[]",
    "string": b'"x"',
    "null": b"null",
    "nan": b'{"temperature": NaN}',
    "bom": b"\xef\xbb\xbf" + scene.BODY,
    "utf16": scene.BODY.decode().encode("utf-16"),
    "bad utf8": b'{"a":"\xff\xfe\xc0\x80"}',
    "trailing": scene.BODY + b"garbage",
    "two": scene.BODY + b"\n" + scene.BODY,
    "one byte": b"x",
    "zero byte": b"\0",
    "http": GOOD.replace(scene.KEY.encode(), b"x"),
}
EXTREME_JSON = {
    "deep": b"[" * 100_000,
    "long number": b'{"n":' + b"9" * 5000 + b"}",
    "1e400": b'{"n":1e400}',
    "surrogate": b'{"a":"\\ud800"}',
    "two models": b'{"model":"a","model":"b"}',
}
MODELS_AND_STREAMS = {
    "no model": b'{"messages":[]}',
    "model number": b'{"model":1}',
    "model 1 MB": b'{"model":"' + b"m" * 1_000_000 + b'"}',
    "foreign model": b'{"model":"foreign","stream":false}',
    "stream string": b'{"stream":"true"}',
    "stream 1": b'{"stream":1}',
    "stream null": b'{"stream":null}',
    "many messages": json.dumps({"messages": [{"role": "user", "content": ""}] * 20_000}).encode(),
    "unknown": b'{"zzz" : [1.0,1e2, "\\u0041"],"":{}}',
}


@pytest.mark.parametrize("body", NOT_QUITE_JSON.values(), ids=NOT_QUITE_JSON)
def test_B1_what_is_not_json_is_the_model_servers_business(
    gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes
) -> None:
    assert passes_untouched(gateway, upstream, body)


@pytest.mark.parametrize("body", EXTREME_JSON.values(), ids=EXTREME_JSON)
def test_B2_extreme_json_passes_byte_for_byte(gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes) -> None:
    assert passes_untouched(gateway, upstream, body)


@pytest.mark.parametrize("body", MODELS_AND_STREAMS.values(), ids=MODELS_AND_STREAMS)
def test_B3_models_and_unknown_fields_pass_byte_for_byte(
    gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes
) -> None:
    if len(body) <= MESSAGE_BYTES:
        assert passes_untouched(gateway, upstream, body)
    else:
        assert gateway.ask(chat(body)).status == 200
        assert upstream.only_request.body == body


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "a", "x" * 2000, None],
)
def test_B4_the_content_type_passes_as_it_is(
    gateway: GatewayProcess, upstream: ScriptedUpstream, content_type: str | None
) -> None:
    headers = () if content_type is None else (f"Content-Type: {content_type}",)
    assert passes_untouched(gateway, upstream, scene.BODY, *headers)
    assert upstream.only_request.values("Content-Type") == ([] if content_type is None else [content_type])


# --- how long it is


@pytest.mark.parametrize("size", [MESSAGE_BYTES - 1, MESSAGE_BYTES, MESSAGE_BYTES + 1, MIB + 1, 8 * MIB, 64 * MIB])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_B5_a_body_up_to_64_mib_arrives_whole(
    gateway: GatewayProcess, upstream: ScriptedUpstream, size: int, framing: str
) -> None:
    if size > 8 * MIB and framing == "chunked":
        size = 32 * MIB
    body = zlib.compress(b"").ljust(4093, b"\x01") * (size // 4093 + 1)
    body = body[:size]
    gateway.forget_peak()
    before = gateway.memory()
    with gateway.connect(30) as client:
        if framing == "length":
            client.send(chat(body))
        else:
            head = request(scene.CHAT, "Transfer-Encoding: chunked", key=scene.KEY)
            client.send(head + chunked(*(body[at : at + 70_000] for at in range(0, size, 70_000))))
        assert client.read_response().status == 200
    assert hashlib.sha256(upstream.only_request.body).digest() == hashlib.sha256(body).digest()
    assert gateway.peak_memory() - before < 24 * MIB


@pytest.mark.parametrize(("size", "status"), [(MIB - 1, 200), (MIB, 200), (MIB + 1, 413), (1 << 30, 413), (2**60, 413)])
def test_B5_a_declared_body_beyond_the_limit_is_413_unread(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream, size: int, status: int
) -> None:
    if status == 200:
        assert strict_gateway.ask(chat(b"x" * size)).status == 200
        assert len(upstream.only_request.body) == size
        return
    with strict_gateway.connect() as client:
        client.send(request(scene.CHAT, f"Content-Length: {size}", key=scene.KEY) + b"x" * 1000)
        response = client.read_response()
        assert contract.too_large(MIB).is_kept_by(response)
        assert response.header("Connection") == "close"
    assert upstream.requests == []


def test_B5_a_chunked_body_beyond_the_limit_is_413_and_ends_upstream(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    left = threading.Event()

    def take(visit: Visit) -> None:
        if visit.wait_until_left(5):
            left.set()

    strict_gateway.forget_peak()
    before = strict_gateway.memory()
    with upstream.playing(take), strict_gateway.connect() as client:
        client.send(request(scene.CHAT, "Transfer-Encoding: chunked", key=scene.KEY))
        for _ in range(64):
            if not client.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n"):
                break
        assert contract.too_large(MIB).is_kept_by(client.read_response())
        assert left.wait(2)
    assert strict_gateway.peak_memory() - before < 8 * MIB


# --- how it is framed

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
    assert is_refused_and_closed(gateway, upstream, chat(None, *lines) + b"0\r\n\r\n" + HIDDEN, 400)


@pytest.mark.parametrize(
    "length",
    ["5, 5", "5,6", "+5", "-1", "-0", "0x5", "5 5", "5;", "5.0", "1e1", "five", "٥", "", '"5"', "9" * 20],
)
def test_B7_a_length_that_is_no_number_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, length: str) -> None:
    assert is_refused_and_closed(gateway, upstream, chat(None, f"Content-Length: {length}") + b"12345", 400)


@pytest.mark.parametrize("second", ["5", "6", "05", ""])
def test_B7_two_lengths_are_400(gateway: GatewayProcess, upstream: ScriptedUpstream, second: str) -> None:
    lines = ("Content-Length: 5", f"Content-Length: {second}")
    assert is_refused_and_closed(gateway, upstream, chat(None, *lines) + b"12345", 400)


@pytest.mark.parametrize("length", [" 5", "5 ", "\t5\t", "05", "0000000005"])
def test_B7_space_around_a_length_means_nothing(
    gateway: GatewayProcess, upstream: ScriptedUpstream, length: str
) -> None:
    assert gateway.ask(chat(None, f"Content-Length:{length}") + b"12345").status == 200
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
    data = chat(None, f"Transfer-Encoding: {coding}") + chunked(scene.BODY)
    assert is_refused_and_closed(gateway, upstream, data, 400)


def test_B8_odd_chunked_requests_are_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    body = chunked(scene.BODY)
    assert is_refused_and_closed(gateway, upstream, chat(None, "Transfer-Encoding : chunked") + body, 400)
    old = request(scene.CHAT, "Transfer-Encoding: chunked", key=scene.KEY, version="HTTP/1.0")
    assert is_refused_and_closed(gateway, upstream, old + body, 400)


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED", " chunked "])
def test_B8_chunked_in_any_case_is_understood(gateway: GatewayProcess, upstream: ScriptedUpstream, coding: str) -> None:
    assert gateway.ask(chat(None, f"Transfer-Encoding: {coding}") + chunked(scene.BODY)).status == 200
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
    assert is_refused_and_closed(gateway, upstream, chat(scene.BODY, line), 400)


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
    head = chat(None, "Transfer-Encoding: chunked")
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
    response = gateway.ask(chat(None, "Transfer-Encoding: chunked", key=None) + body)
    assert contract.is_a_refusal(response, 400, 401)
    with gateway.connect() as client:
        response = client.ask(chat(None, "Transfer-Encoding: chunked") + body)
        assert response.status in {200, 400}
    for received in upstream.requests:
        assert received.body == b"hello"
        assert received.values("X-Trailer") == []


def test_B10_a_mebibyte_of_chunk_extension_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    body = b"5;" + b"a" * MIB + b"\r\nhello\r\n0\r\n\r\n"
    assert is_refused_and_closed(gateway, upstream, chat(None, "Transfer-Encoding: chunked") + body, 400)


def test_B11_a_body_in_one_byte_chunks_costs_little(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    size = MIB // 4
    before = gateway.cpu_seconds()
    with Ping(gateway) as ping, gateway.connect(20) as client:
        client.send(chat(None, "Transfer-Encoding: chunked") + b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        assert client.read_response().status == 200
    assert upstream.only_request.body == b"x" * size
    assert gateway.cpu_seconds() - before < 1
    assert ping.answers > 0
    assert ping.worst < 2  # of which the machine may take most, if it is busy


# --- when it comes


def upload(client: WireClient, begin: bytes, drip: bytes = b"", pause: float = 0.1) -> float:
    """Send `begin`, then `drip` for ever; the seconds until the gateway has had enough."""
    begun = time.monotonic()
    client.send(begin)
    client.socket.settimeout(pause)
    while time.monotonic() - begun < 8:
        try:
            client.socket.recv(1, 2)  # MSG_PEEK
            break
        except ConnectionResetError:
            break  # a drip that crossed the close
        except TimeoutError:
            client.send(drip)
    client.socket.settimeout(3)
    return time.monotonic() - begun


UNFINISHED = {
    "length": chat(None, "Content-Length: 1000") + b"half",
    "chunked": chat(None, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n",
    "nothing": chat(None, "Content-Length: 1000"),
    "size line": chat(None, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n5",
    "no last chunk": chat(None, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n",
}


@pytest.mark.parametrize("begin", UNFINISHED.values(), ids=UNFINISHED)
def test_B12_a_body_that_stops_is_408_and_never_reaches_the_upstream(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream, begin: bytes
) -> None:
    with strict_gateway.connect() as client:
        took = upload(client, begin)
        response = client.read_response()
        assert contract.SLOW_UPLOAD.is_kept_by(response)
        assert response.header("Connection") == "close"
        assert 0.4 < took < 4
    assert upstream.requests == []


def test_B12_a_long_body_that_stops_is_408_and_is_taken_back_from_the_upstream(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    left = threading.Event()

    def take(visit: Visit) -> None:
        if visit.wait_until_left(5):
            left.set()

    with upstream.playing(take), strict_gateway.connect() as client:
        client.send(chat(None, f"Content-Length: {MIB}") + b"x" * (2 * MESSAGE_BYTES))
        assert contract.SLOW_UPLOAD.is_kept_by(client.read_response())
        assert left.wait(2)
    assert not upstream.only_request.whole


@pytest.mark.parametrize("size", [1000, 100_000])
def test_B17_a_trickle_is_408_at_the_deadline(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream, size: int
) -> None:
    with strict_gateway.connect() as client:
        took = upload(client, chat(None, f"Content-Length: {size}"), b"x", pause=0.05)
        assert contract.SLOW_UPLOAD.is_kept_by(client.read_response())
        assert took < 4
    assert upstream.requests == []


@pytest.mark.parametrize("begin", [b"", b"GET /", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_B17_a_head_that_never_ends_is_closed_at_the_deadline(strict_gateway: GatewayProcess, begin: bytes) -> None:
    with strict_gateway.connect() as client:
        assert upload(client, begin, b"x" if begin else b"") < 6
        assert client.read_to_end() == b""


@pytest.mark.parametrize("head", [chat(None, "Content-Length: 1000"), chat(None, "Transfer-Encoding: chunked")])
@pytest.mark.parametrize("leave", ["half-close", "close", "reset"])
def test_B15_a_client_that_leaves_in_its_body_costs_no_call(
    gateway: GatewayProcess, upstream: ScriptedUpstream, head: bytes, leave: str
) -> None:
    line = gateway.mark_log()
    with gateway.connect() as client:
        client.send(head + b"5\r\nhe")
        gateway.wait_until_read(client)
        if leave == "half-close":
            client.half_close()
            assert client.read_to_end() == b""
        elif leave == "close":
            client.close()
        else:
            client.reset()
        gateway.log.wait_for("client_left", start=line)
    assert '"level": "warning"' not in gateway.log.since(line)
    assert '"level": "error"' not in gateway.log.since(line)
    assert upstream.requests == []


# --- how it is encoded


def bomb() -> bytes:
    """10 KB that unpack to 10 MB."""
    return zlib.compress(bytes(10 * MIB), 9)


@pytest.mark.parametrize(
    "coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip", "identity, gzip", "nonsense", ""]
)
@pytest.mark.parametrize("body", [b"\x1f\x8b\x08\x00 no gzip", scene.BODY, bomb()], ids=["bad", "plain", "bomb"])
def test_B13_B14_an_encoded_body_is_415_and_never_unpacked(
    gateway: GatewayProcess, upstream: ScriptedUpstream, coding: str, body: bytes
) -> None:
    before = gateway.memory()
    assert contract.ENCODED_BODY.is_kept_by(gateway.ask(chat(body, f"Content-Encoding: {coding}")))
    assert upstream.requests == []
    assert gateway.memory() - before < 4 * MIB


def test_B13_two_codings_in_two_headers_are_415(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    twice = ("Content-Encoding: identity", "Content-Encoding: gzip")
    for headers in (twice, twice[::-1]):
        assert contract.is_a_refusal(gateway.ask(chat(scene.BODY, *headers)), 400, 415)
    assert upstream.requests == []


def test_B13_identity_is_no_encoding(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    assert passes_untouched(gateway, upstream, scene.BODY, "Content-Encoding: identity")
    assert upstream.only_request.values("Content-Encoding") == []


# --- what stands before it


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([f"X-{number}: a" for number in range(120)], 200),
        ([f"X-{number}: a" for number in range(129)], 400),
        (["X-Same: a"] * 200, 400),
        ([f"X-Long: CANARYKEY{'a' * 7000}"], 200),
        ([f"X-Long: CANARYKEY{'a' * 8191}"], 400),
        ([f"{'X' * 8191}: CANARYKEY"], 400),
        ([f"X-{number}: CANARYKEY{'a' * 6000}" for number in range(11)], 400),
        ([f"X-{number}: CANARYKEY{'a' * 6000}" for number in range(100)], 400),
    ],
    ids=["120", "129", "200 same", "7000 B", "8191 B", "name", "64 KiB", "600 KiB"],
)
def test_B16_headers_have_a_limit(
    gateway: GatewayProcess, upstream: ScriptedUpstream, headers: list[str], status: int
) -> None:
    if status == 200:
        assert gateway.ask(chat(scene.BODY, *headers)).status == 200
    else:
        assert is_refused_and_closed(gateway, upstream, chat(scene.BODY, *headers), 400)


def ask_expecting(client: WireClient, *headers: str, key: str | None = scene.KEY, target: str = scene.CHAT) -> int:
    """Send a head that expects 100-continue, and read what comes; the final status, and no 100 before it."""
    response = client.ask(request(target, "Expect: 100-continue", *headers, key=key))
    assert response.interim == 0
    assert response.header("Connection") == "close"
    return response.status


@pytest.mark.parametrize(
    "refused",
    [
        (scene.CHAT, "gw_CANARYKEYwrong", 10, 401),
        (scene.CHAT, None, 10, 401),
        (scene.CHAT, scene.KEY, 65 * MIB, 413),
        (f"{scene.FOREIGN}/v1/completions", scene.KEY, 10, 404),
        (f"{scene.PAUSED}/v1/completions", scene.KEY, 10, 503),
        (f"{scene.BASE}/slots", scene.KEY, 10, 404),
        (scene.MODELS, scene.KEY, 10, 405),
        ("/nothing", scene.KEY, 10, 404),
        ("/healthz", None, 10, 405),
    ],
)
def test_B18_nobody_is_invited_to_send_what_will_be_refused(
    gateway: GatewayProcess, upstream: ScriptedUpstream, refused: tuple[str, str | None, int, int]
) -> None:
    target, key, size, status = refused
    with gateway.connect() as client:
        assert ask_expecting(client, f"Content-Length: {size}", key=key, target=target) == status
    assert upstream.requests == []


def test_B18_after_a_refusal_the_unsent_body_is_no_request(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with gateway.connect() as client:
        ask_expecting(client, f"Content-Length: {len(GOOD) + 10}", key=None)
        client.send(GOOD)
        assert client.is_closed(3)
    assert upstream.requests == []


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_B18_a_good_request_is_invited_and_served(
    gateway: GatewayProcess, upstream: ScriptedUpstream, expectation: str, framing: str
) -> None:
    plain = framing == "length"
    line = f"Content-Length: {len(scene.BODY)}" if plain else "Transfer-Encoding: chunked"
    with gateway.connect() as client:
        client.send(chat(None, f"Expect: {expectation}", line))
        assert client.read_head() == b"HTTP/1.1 100 Continue"
        assert upstream.requests == []
        client.send(scene.BODY if plain else chunked(scene.BODY))
        assert client.read_response().status == 200
        assert client.ask(GOOD).status == 200
    assert [received.body for received in upstream.requests] == [scene.BODY, scene.BODY]
    assert upstream.requests[0].values("Expect") == []


def test_B18_who_does_not_wait_is_served_as_well(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with gateway.connect() as client:
        response = client.ask(chat(scene.BODY, "Expect: 100-continue"))
        assert (response.status, response.interim <= 1) == (200, True)
        assert client.ask(GOOD).status == 200


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize(
    "expectations",
    [["foo"], ["100-continue, foo"], ["100-continue", "foo"], ["foo", "100-continue"], ["200-ok"], [""]],
    ids=str,
)
@pytest.mark.parametrize("target", [scene.CHAT, scene.MODELS, "/healthz", "/nothing"])
def test_B18_any_other_expectation_is_417(
    gateway: GatewayProcess, upstream: ScriptedUpstream, expectations: list[str], version: str, target: str
) -> None:
    headers = [f"Expect: {expectation}" for expectation in expectations]
    with gateway.connect() as client:
        response = client.ask(request(target, *headers, key=scene.KEY, body=scene.BODY, version=version))
        assert contract.EXPECTATION.is_kept_by(response)
        assert client.is_closed()
    assert upstream.requests == []


def test_B18_a_client_of_http_1_0_is_not_invited(gateway: GatewayProcess) -> None:
    response = gateway.ask(
        request(scene.CHAT, "Expect: 100-continue", key=scene.KEY, body=scene.BODY, version="HTTP/1.0")
    )
    assert (response.status, response.interim) == (200, 0)


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


def test_B20_fields_of_other_gateways_are_only_fields(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    trap = ScriptedUpstream()
    fields = {
        **dict.fromkeys(("api_base", "base_url", "endpoint", "custom_host", "proxy", "callback"), trap.url),
        "api_key": "x",
        "custom_llm_provider": "openai",
        "headers": {"x": "y"},
        "extra_headers": {"Host": "evil"},
        "id_slot": 0,
        "slot_id": 0,
        "lora": [{"id": 0, "scale": 9}],
        "n_predict": -1,
        "max_tokens": 10**12,
        "grammar": "root ::= " + "x" * 100_000,
        "model": "foreign",
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
            for url in ("file:///etc/passwd", f"{trap.url}/image.png", "http://169.254.169.254/latest/meta-data")
        ],
    }
    try:
        assert passes_untouched(gateway, upstream, json.dumps(fields).encode())
        assert trap.requests == []
        assert trap.connections == 0
    finally:
        trap.close()


def test_B21_many_long_prompts_at_once_stay_out_of_memory_and_block_nobody(
    gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    count, size = 20, 4 * MIB
    body = b"{" + b" " * (size - 2) + b"}"
    gateway.forget_peak()
    before = gateway.memory()
    with Ping(gateway) as ping:
        clients = [gateway.connect(30) for _ in range(count)]
        senders = [threading.Thread(target=client.send, args=(chat(body),)) for client in clients]
        for sender in senders:
            sender.start()
        assert [client.read_response().status for client in clients] == [200] * count
        for sender in senders:
            sender.join()
    assert [len(received.body) for received in upstream.requests] == [size] * count
    assert gateway.peak_memory() - before < count * size
    assert ping.answers > 0
    assert ping.worst < 2  # of which the machine may take most, if it is busy
