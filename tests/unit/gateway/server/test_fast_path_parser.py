"""What is recognized as a plain request, and that nobody else would read it in another way."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from gateway.core.account import digest_of
from gateway.core.endpoints import ENDPOINTS
from gateway.core.headers import REQUEST_ID, lines_of, upward
from gateway.proxy.request_body import HELD_BYTES, RequestBody
from gateway.server.fast_path_parser import PlainRequest, plain_request
from gateway.server.handlers.proxied_endpoints import asked_of
from gateway.server.http_server import MAX_LINE_BYTES
from gateway.server.request_validation import refuse_ambiguous, without_surprises

KEY = "gw_plainrequest"
CHAT = b"POST /api/gguf/demo/v1/chat/completions HTTP/1.1"
MODELS = b"GET /api/gguf/demo/v1/models HTTP/1.1"
HOST = b"Host: gateway.test"
BEARER = b"Authorization: Bearer gw_plainrequest"


def joined(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def posted(*lines: bytes, host: bytes = HOST, key: bytes = BEARER, request_line: bytes = CHAT) -> bytes:
    """A plain request with a body of five bytes and these lines besides."""
    return joined(request_line, host, key, *lines, b"Content-Length: 5", body=b"hello")


# Heads as these clients send them, in their order and spelling.
HTTPX = joined(
    b"POST /api/gguf/demo/v1/embeddings HTTP/1.1",
    b"Host: 127.0.0.1:8080",
    b"Accept: */*",
    b"Accept-Encoding: gzip, deflate, br, zstd",
    b"Connection: keep-alive",
    b"User-Agent: python-httpx/0.28.1",
    BEARER,
    b"Content-Length: 2",
    b"Content-Type: application/json",
    body=b"{}",
)
OPENAI_PYTHON = joined(
    CHAT,
    b"Host: 127.0.0.1:8080",
    b"Accept-Encoding: gzip, deflate",
    b"Connection: keep-alive",
    b"Accept: application/json",
    b"Content-Type: application/json",
    b"User-Agent: OpenAI/Python 1.99.0",
    b"X-Stainless-Lang: python",
    b"X-Stainless-Package-Version: 1.99.0",
    b"X-Stainless-OS: Linux",
    b"X-Stainless-Arch: x64",
    b"X-Stainless-Runtime: CPython",
    b"X-Stainless-Runtime-Version: 3.12.3",
    BEARER,
    b"X-Stainless-Async: false",
    b"x-stainless-retry-count: 0",
    b"x-stainless-read-timeout: 600",
    b"Content-Length: 2",
    body=b"{}",
)
ANTHROPIC_PYTHON = joined(
    b"POST /api/gguf/demo/v1/messages HTTP/1.1",
    b"Host: 127.0.0.1:8080",
    b"Accept-Encoding: gzip, deflate",
    b"Connection: keep-alive",
    b"Accept: application/json",
    b"Content-Type: application/json",
    b"User-Agent: Anthropic/Python 0.60.0",
    b"X-Stainless-Lang: python",
    b"X-Api-Key: gw_plainrequest",
    b"anthropic-version: 2023-06-01",
    b"x-stainless-retry-count: 0",
    b"x-stainless-timeout: 600",
    b"Content-Length: 2",
    body=b"{}",
)
CURL = joined(
    CHAT,
    b"Host: 127.0.0.1:8080",
    b"User-Agent: curl/8.5.0",
    b"Accept: */*",
    BEARER,
    b"Content-Type: application/json",
    b"Content-Length: 2",
    body=b"{}",
)
NODE_FETCH = joined(
    CHAT,
    b"host: localhost:8080",
    b"connection: keep-alive",
    b"content-type: application/json",
    b"authorization: Bearer gw_plainrequest",
    b"accept: */*",
    b"accept-language: *",
    b"sec-fetch-mode: cors",
    b"user-agent: node",
    b"accept-encoding: gzip, deflate",
    b"content-length: 2",
    body=b"{}",
)
GET_MODELS = joined(MODELS, b"Host: [::1]:8080", b"User-Agent: curl/8.5.0", b"Accept: */*", b"key: gw_plainrequest")
CLIENTS = {
    "httpx": HTTPX,
    "openai-python": OPENAI_PYTHON,
    "anthropic": ANTHROPIC_PYTHON,
    "curl": CURL,
    "Node fetch": NODE_FETCH,
    "GET": GET_MODELS,
}


@pytest.mark.parametrize("data", CLIENTS.values(), ids=CLIENTS)
def test_what_real_clients_send_is_plain(data: bytes) -> None:
    request = plain_request(data)
    assert request is not None
    assert (request.missing, request.whole_size) == (0, len(data))
    assert request.head.asked.deployment_id == "demo"
    assert request.head.asked.key_digest == digest_of(KEY)
    assert request.body == data.partition(b"\r\n\r\n")[2]
    assert KEY.encode() not in request.head.upward


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
def test_every_proxied_endpoint_can_be_asked_plainly(endpoint: object) -> None:
    known = next(known for known in ENDPOINTS.values() if known is endpoint)
    line = f"{known.method} /api/gguf/A-z_0.9{known.path} HTTP/1.1".encode()
    request = plain_request(posted(request_line=line) if known.has_body else joined(line, HOST, BEARER))
    assert request is not None
    assert (request.head.asked.endpoint, request.head.asked.deployment_id) == (known, "A-z_0.9")


REFUSED = {
    # the head as such
    "a bare line feed for a line end": posted().replace(b"\r\nAuth", b"\nAuth"),
    "a bare line feed in a value": posted(b"Accept: a\nX: b"),
    "a bare carriage return in a value": posted(b"Accept: a\rb"),
    "a blank line before the request": b"\r\n" + posted(),
    "a folded line": posted(b"Accept: a", b" b"),
    "a folded line after the length": joined(CHAT, HOST, BEARER, b"Content-Length: 5", b" 5", body=b"hello"),
    "bytes beyond ASCII in a value": posted(b"Accept: \xe9"),
    "a NUL in a value": posted(b"Accept: a\x00b"),
    "a DEL in a value": posted(b"Accept: a\x7fb"),
    "an empty value": posted(b"Accept:"),
    "a value of spaces": posted(b"Accept:   "),
    "a space after a value": posted(b"Accept: a "),
    "a space before the colon": posted(b"Accept : a"),
    "no colon": posted(b"Accept"),
    "no name": posted(b": a"),
    "a space before a name": joined(CHAT, b" Host: a", BEARER, b"Content-Length: 5", body=b"hello"),
    "a bad name": posted(b"Acc(ept: a"),
    "a head that is too long": posted(b"X-Long: " + b"x" * 4000),
    "too many headers": posted(*(b"x-%d: 1" % number for number in range(70))),
    "no end of the head": posted().partition(b"\r\n\r\n")[0],
    "nothing": b"",
    # Host
    "no Host": joined(CHAT, BEARER, b"Content-Length: 5", body=b"hello"),
    "two Hosts": posted(b"host: gateway.test"),
    "a Host with a path": posted(host=b"Host: gateway.test/x"),
    "a Host with a user": posted(host=b"Host: a@gateway.test"),
    "a Host with a port too high": posted(host=b"Host: gateway.test:65536"),
    # framing
    "two lengths that differ": posted(b"Content-Length: 6"),
    "two lengths that are the same": posted(b"Content-Length: 5"),
    "two lengths in two spellings": posted(b"content-length: 5"),
    "a length in capitals": posted().replace(b"Content-Length", b"CONTENT-LENGTH"),
    "a list of lengths": posted().replace(b": 5", b": 5, 5"),
    "a length with a sign": posted().replace(b": 5", b": +5"),
    "a length below nothing": posted().replace(b": 5", b": -5"),
    "a length with two spaces": posted().replace(b": 5", b":  5"),
    "a length without a space": posted().replace(b": 5", b":5"),
    "a length with a tab": posted().replace(b": 5", b":\t5"),
    "a length with a space after it": posted().replace(b": 5", b": 5 "),
    "a length with a leading zero": posted().replace(b": 5", b": 05"),
    "a length with an underscore": posted(b"X: y" * 9).replace(b": 5", b": 0_5"),
    "a length in hex": posted().replace(b": 5", b": 0x5"),
    "a length in other digits": posted().replace(b": 5", ": ٥".encode()),
    "a length beyond all measure": posted().replace(b": 5", b": 99999999999999999999"),
    "a length of nothing": joined(CHAT, HOST, BEARER, b"Content-Length: 0"),
    "an empty length": joined(CHAT, HOST, BEARER, b"Content-Length: "),
    "no length": joined(CHAT, HOST, BEARER),
    "chunks": joined(CHAT, HOST, BEARER, b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
    "chunks and a length": posted(b"Transfer-Encoding: chunked"),
    "chunks and a length before it": posted(b"transfer-encoding: identity"),
    "TE": posted(b"TE: trailers"),
    "Trailer": posted(b"Trailer: x"),
    "GET with a length of nothing": joined(MODELS, HOST, BEARER, b"Content-Length: 0"),
    "GET with a body": joined(MODELS, HOST, BEARER, b"Content-Length: 5", body=b"hello"),
    "GET with something after it": joined(MODELS, HOST, BEARER, body=b"hello"),
    "something after the body": posted() + b"\r\n",
    "two requests": posted() * 2,
    # what changes what is meant
    "Expect": posted(b"Expect: 100-continue"),
    "Upgrade": posted(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"),
    "Upgrade alone": posted(b"Upgrade: websocket"),
    "HTTP2-Settings": posted(b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "a coded body": posted(b"Content-Encoding: gzip"),
    "Connection: close": posted(b"Connection: close"),
    "a header nominated": posted(b"Connection: keep-alive, accept", b"Accept: */*"),
    "Connection: close after another": posted(b"Connection: keep-alive", b"Connection: close"),
    # the request line
    "a query": posted(request_line=CHAT.replace(b" HTTP", b"?a=b HTTP")),
    "an empty query": posted(request_line=CHAT.replace(b" HTTP", b"? HTTP")),
    "a fragment": posted(request_line=CHAT.replace(b" HTTP", b"#a HTTP")),
    "an escape in the path": posted(request_line=CHAT.replace(b"chat", b"ch%61t")),
    "an escape in the id": posted(request_line=CHAT.replace(b"demo", b"d%65mo")),
    "an escaped slash": posted(request_line=CHAT.replace(b"demo/", b"demo%2f")),
    "two slashes": posted(request_line=CHAT.replace(b"demo/", b"demo//")),
    "a slash at the end": posted(request_line=CHAT.replace(b" HTTP", b"/ HTTP")),
    "a step up": posted(request_line=CHAT.replace(b"demo/", b"demo/../demo/")),
    "no id": posted(request_line=CHAT.replace(b"demo", b"")),
    "an id too long": posted(request_line=CHAT.replace(b"demo", b"d" * 65)),
    "the whole URL": posted(request_line=CHAT.replace(b"/api", b"http://gateway.test/api")),
    "HTTP/1.0": posted(request_line=CHAT.replace(b"1.1", b"1.0")),
    "HTTP/1.2": posted(request_line=CHAT.replace(b"1.1", b"1.2")),
    "HTTP/2.0": posted(request_line=CHAT.replace(b"1.1", b"2.0")),
    "http/1.1": posted(request_line=CHAT.replace(b"HTTP", b"http")),
    "no version": posted(request_line=CHAT.replace(b" HTTP/1.1", b"")),
    "two spaces": posted(request_line=CHAT.replace(b" /", b"  /")),
    "a tab": posted(request_line=CHAT.replace(b" /", b"\t/")),
    "a space at the end": posted(request_line=CHAT + b" "),
    "a method in lower case": posted(request_line=CHAT.replace(b"POST", b"post")),
    "another method": posted(request_line=CHAT.replace(b"POST", b"PUT")),
    "GET where POST is served": joined(CHAT.replace(b"POST", b"GET"), HOST, BEARER),
    "POST where GET is served": posted(request_line=MODELS.replace(b"GET", b"POST")),
    "HEAD": joined(MODELS.replace(b"GET", b"HEAD"), HOST, BEARER),
    "another path": posted(request_line=CHAT.replace(b"chat", b"chit")),
    "another prefix": posted(request_line=CHAT.replace(b"/api/gguf", b"/api/other")),
    # keys
    "no key": joined(CHAT, HOST, b"Content-Length: 5", body=b"hello"),
    "another scheme": posted(key=b"Authorization: Basic gw_plainrequest"),
    "a bare key": posted(key=b"Authorization: gw_plainrequest"),
    "two keys that differ": posted(b"x-api-key: gw_other"),
    "two keys that differ in one header": posted(b"Authorization: Bearer gw_other"),
}

# aiohttp answers 400 to these, and closes after the last.
GAPS = {
    "GET with an empty length": joined(MODELS, HOST, BEARER, b"Content-Length: "),
    "two Content-Types": posted(b"Content-Type: application/json", b"content-type: text/plain"),
    "two User-Agents": posted(b"User-Agent: a", b"User-Agent: a"),
    "two Servers": posted(b"Server: a", b"Server: a"),
    "an old WebSocket's key": posted(b"Sec-WebSocket-Key1: a"),
    "Proxy-Connection: close": posted(b"Proxy-Connection: close"),
}


@pytest.mark.parametrize("data", GAPS.values(), ids=GAPS)
def test_what_aiohttp_would_refuse_is_not_plain(data: bytes) -> None:
    assert plain_request(data) is None


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_needs_a_second_thought_is_not_plain(data: bytes) -> None:
    assert plain_request(posted()) is not None
    assert plain_request(data) is None


def test_the_same_key_in_two_headers_is_one_key() -> None:
    request = plain_request(posted(b"x-api-key: gw_plainrequest"))
    assert request is not None
    assert request.head.asked.key_digest == digest_of(KEY)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_beginning_says_how_much_is_missing(cut: int) -> None:
    whole = posted()
    request = plain_request(whole[:-cut])
    assert request is not None
    assert (request.missing, request.whole_size, request.body) == (cut, len(whole), b"hello"[:-cut])


def test_a_body_beyond_what_the_fast_path_carries_is_a_beginning_still() -> None:
    size = HELD_BYTES + 1
    request = plain_request(posted().replace(b": 5", b": %d" % size))
    assert request is not None
    assert request.missing == size - 5


def test_a_remembered_head_does_not_remember_the_length() -> None:
    short = plain_request(posted())
    long = plain_request(posted().replace(b": 5\r\n\r\nhello", b": 11\r\n\r\nhello world"))
    assert short is not None
    assert long is not None
    assert short.head is long.head
    assert (short.body, long.body) == (b"hello", b"hello world")
    assert plain_request(posted().replace(b": 5", b": 4")) is None


# --- read as aiohttp and the request handler reads it


@dataclass(frozen=True)
class Reading:
    """All that is done with a request depends on this."""

    deployment_id: str
    endpoint: object
    digest: bytes
    upward: bytes
    framing: bytes
    request_id: str | None
    body: bytes


@dataclass
class Seen:
    """What became of bytes that aiohttp was given."""

    readings: list[Reading | str] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Wire(asyncio.Transport):
    """A client's connection that notes when it is answered."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.seen.answered.set()

    def writelines(self, list_of_data: object) -> None:
        self.seen.answered.set()

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        self.seen.answered.set()


async def read_by_handler(request: web.BaseRequest) -> Reading | str:
    """How the long way reads a request; or why it would not serve it, or not the same."""
    assert isinstance(request, web.Request)
    refuse_ambiguous(request)
    asked = asked_of(request)
    if asked is None or not asked.key_digest:
        return "no target" if asked is None else "no key"
    if not request.keep_alive or tuple(request.version) != (1, 1):
        return "not kept alive"
    endpoint = asked.endpoint
    body = framing = b""
    if endpoint.has_body:
        upload = RequestBody(request, HELD_BYTES, 1.0)
        body, framing = await upload.read_first(), upload.framing()
        if not upload.complete:
            return "a body that goes on"
    elif request.body_exists:
        return "a body that nobody reads"
    lines = lines_of(upward(request.raw_headers))
    return Reading(
        asked.deployment_id, endpoint, asked.key_digest, lines, framing, request.headers.get(REQUEST_ID), body
    )


async def long_way(data: bytes) -> Seen:
    """Give aiohttp these bytes as the gateway does, on a connection of their own."""
    seen = Seen()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.readings.append("not read")
        seen.readings[-1] = await read_by_handler(request)
        return web.Response()

    made = web.Application()._make_request
    server = web.Server(
        handle,
        request_factory=without_surprises(made),
        auto_decompress=False,
        access_log=None,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
    )
    connection, wire = server(), Wire(seen)
    connection.connection_made(wire)
    await asyncio.sleep(0)
    connection.data_received(data)
    await seen.answered.wait()
    await asyncio.sleep(0)
    if connection._messages:  # more than one request
        seen.readings.append("another request")
    if wire.closed:
        seen.readings.append("closed")
    connection.connection_lost(None)
    return seen


def plain_way(request: PlainRequest) -> Reading:
    """How the fast path reads it."""
    head, size = request.head, len(request.body)
    framing = b"Content-Length: %d\r\n" % size if size else b""
    return Reading(
        head.asked.deployment_id,
        head.asked.endpoint,
        head.asked.key_digest,
        head.upward,
        framing,
        head.request_id,
        request.body,
    )


TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b": ", b":", b" ", b"\t", b",", b";", b"%2f", b"//", b"?", b"#", b"\xe9", b"\x7f"),
    *(b"Content-Length: 5\r\n", b"content-length: 4\r\n", b"\r\nContent-Length: ", b"Content-Length: 5,5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:\r\n", b"Upgrade: x\r\n", b"Expect: 100-continue\r\n"),
    *(
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: Keep-Alive\r\n",
        b"Connection: accept\r\n",
    ),
    *(b"Host: a\r\n", b"x-api-key: gw_plainrequest\r\n", b"key: gw_other\r\n", b"x-request-id: r-1\r\n", b"1", b"0"),
    *(
        b"GET",
        b"HTTP/1.0",
        b"/v1/models",
        b"Accept: \t a\r\n",
        b"accept: b \r\n",
        b"OpenAI-Beta: x\ty\r\n",
        b"\r\n\r\n",
    ),
    *(
        b"anthropic-api-key: a\r\n",
        b"openai-organization: o\r\n",
        b"Cookie: a=b; c\r\n",
        b"Accept:\r\n",
        b"x-app: \r\n",
    ),
    *(
        b"Keep-Alive: timeout=5\r\n",
        b"Proxy-Connection: close\r\n",
        b"Sec-WebSocket-Key1: x\r\n",
        b"POST ",
        b".",
        b"..",
    ),
]


def spoiled(chance: random.Random, data: bytes) -> bytes:
    """The data with up to three bytes changed, tokens put in (most at a line's beginning), or pieces left out."""
    spoilt = bytearray(data)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(spoilt) + 1)
        line = spoilt.find(b"\r\n", at) + 2
        match chance.randrange(6):
            case 0:
                spoilt[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                spoilt[at:at] = chance.choice(TOKENS)
            case 2 | 3:
                spoilt[line:line] = chance.choice(TOKENS)
            case 4:
                del spoilt[at : at + chance.randrange(1, 8)]
            case _:
                end = spoilt.find(b"\r\n", line) + 2
                spoilt[line:line] = spoilt[line:end]
    return bytes(spoilt)


@pytest.mark.parametrize("part", range(4))
async def test_whatever_is_plain_is_read_by_aiohttp_in_the_same_way(part: int) -> None:
    accepted = 0
    for seed in range(part * 2500, part * 2500 + 2500):
        chance = random.Random(seed)
        data = spoiled(chance, chance.choice([*CLIENTS.values(), posted()]))
        request = plain_request(data)
        if request is None or request.missing > 100:
            continue
        if request.missing:  # what comes is the rest of it, whatever it looks like
            data += bytes(chance.choices(b"\r\n0aG", k=request.missing))
            request = plain_request(data)
        assert request is not None, seed
        assert request.missing == 0, seed
        accepted += 1
        assert (await long_way(data)).readings == [plain_way(request)], (seed, data)
    assert accepted > 250
