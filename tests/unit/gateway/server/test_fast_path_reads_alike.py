"""What is recognized as a plain request, aiohttp and the request handler read in the same way."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from gateway.core.http.headers import REQUEST_ID, lines_of, upward
from gateway.proxy.request_body import HELD_BYTES, RequestBody
from gateway.server.fast_path.fast_path_parser import PlainRequest, plain_request
from gateway.server.handlers.proxied_endpoints import asked_of
from gateway.server.http_server import MAX_LINE_BYTES
from gateway.server.request_validation import refuse_ambiguous, without_surprises
from tests.unit.gateway.server.plain_requests import CLIENTS, in_chunks, posted


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


IN_CHUNKS = [
    in_chunks(),
    in_chunks(b"Expect: 100-continue", body=b"2\r\nhe\r\n03\r\nllo\r\n00\r\n\r\n"),
    in_chunks(body=b"A\r\n0123456789\r\n0b\r\n0123456789a\r\n0\r\n\r\n"),
]
TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b": ", b":", b" ", b"\t", b",", b";", b"%2f", b"//", b"?", b"#", b"\xe9", b"\x7f"),
    *(b"?beta=true", b"?key=gw_other&a=%20"),
    *(b"Content-Length: 5\r\n", b"content-length: 4\r\n", b"\r\nContent-Length: ", b"Content-Length: 5,5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:\r\n", b"Upgrade: x\r\n", b"Expect: 100-continue\r\n"),
    *(b"0\r\n\r\n", b"5\r\n", b"5;a=b\r\n", b"0\r\nX: y\r\n\r\n", b"0x5\r\n", b"+5\r\n", b"5 \r\n"),
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
async def test_whatever_is_plain_is_read_by_aiohttp_in_the_same_way(part: int, is_thorough: bool) -> None:
    accepted, number = 0, 2500 if is_thorough else 625
    for seed in range(part * 2500, part * 2500 + number):
        chance = random.Random(seed)
        data = spoiled(chance, chance.choice([*CLIENTS.values(), posted(), *IN_CHUNKS]))
        request = plain_request(data)
        if request is None or request.missing > 100 or request.is_endless:
            continue
        if request.missing:  # what comes is the rest of it, whatever it looks like
            data += bytes(chance.choices(b"\r\n0aG", k=request.missing))
            request = plain_request(data)
        assert request is not None, seed
        assert request.missing == 0, seed
        accepted += 1
        assert (await long_way(data)).readings == [plain_way(request)], (seed, data)
    assert accepted > number / 10
