"""Recognizes a plain request: to a proxied endpoint, whole, with nothing unusual in it.

Nearly every request is one. What is not (two keys that differ, bytes that look odd) is not an error: aiohttp's parser
and `request_pipeline` decide what becomes of it. So this may be as narrow as it likes.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.endpoints import ENDPOINTS, PREFIX
from gateway.core.http.content_length import split_at_length
from gateway.core.http.headers import NO_DIGESTS, PLAIN_HEADER, REQUEST_ID, lines_of, presented_digest, upward
from gateway.proxy.request_body import HELD_BYTES
from gateway.server.admission import RequestedTarget
from gateway.server.request_validation import is_host

_MAX_HEAD_BYTES = 4000  # half of what aiohttp's parser takes for one line; real clients send less than 2000

# With or without a query, which goes no further: Claude Code sends `?beta=true` with each request.
_REQUEST_LINE = re.compile(
    rb"(GET|POST) %b([A-Za-z0-9._-]{1,64})(/[a-z0-9/_-]{1,64})(?:\?[A-Za-z0-9._=&-]{1,200})? HTTP/1\.1"
    % PREFIX.encode()
).fullmatch
_PREFLIGHT_LINE = re.compile(rb"OPTIONS /[A-Za-z0-9._/-]{0,200} HTTP/1\.1").fullmatch
_LENGTH = re.compile(rb"[1-9][0-9]{0,10}").fullmatch
# Left out where they are there: the request may be plain but for them.
_CHUNKED = (b"\r\nTransfer-Encoding: chunked\r\n", b"\r\ntransfer-encoding: chunked\r\n")
_EXPECTS = (b"\r\nExpect: 100-continue\r\n", b"\r\nexpect: 100-continue\r\n")
_LAST_CHUNK = b"0\r\n\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n").match  # and no extension (RFC 9112 7.1.1)
_CONNECTION = {b"keep-alive", b"Keep-Alive"}
_WEBSOCKET = re.compile(rb"sec-websocket-").match
# With any of these a request is not plain, nor with a second Content-Length.
_NOT_PLAIN = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"expect",
        b"http2-settings",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class PlainHead:
    """What a plain request's head says, but for its body's length. `upward` are the lines that the server may see.

    `is_chunked`: the body comes in chunks. `expects`: the client asked to be told to continue.
    """

    asked: RequestedTarget
    upward: bytes
    request_id: str | None
    origin: str | None
    has_body: bool
    is_chunked: bool
    expects: bool


@dataclass(slots=True)
class PlainRequest:
    """A request, or the beginning of one, of which so many bytes are `missing`.

    Of chunks the end is not known before it is there (`is_endless`): until then 1 at least is missing.
    """

    head: PlainHead
    body: bytes
    missing: int = 0
    is_endless: bool = False


def plain_request(data: bytes) -> PlainRequest | None:
    """The plain request that `data` is, or is the beginning of; None if it is anything else, or more than one."""
    lines, end, body = data.partition(b"\r\n\r\n")
    if not end or len(lines) > _MAX_HEAD_BYTES:
        return None
    before, length, behind = split_at_length(lines)
    head = _plain_head(before, behind)
    if head is None or head.is_chunked:
        return None if head is None or length is not None else _in_chunks(head, body)
    missing = -len(body) if length is None else _missing(body, length)
    if missing < 0 or head.has_body == (length is None):
        return None
    return PlainRequest(head, body, missing)


def _missing(body: bytes, length: bytes) -> int:
    """How many bytes a body of this `length` lacks; -1 if it is none that is plain, or the body is longer."""
    if length == b"%d" % len(body) and body:
        return 0
    return int(length) - len(body) if _LENGTH(length) is not None else -1


def _in_chunks(head: PlainHead, data: bytes) -> PlainRequest | None:
    """The request whose chunks begin with this; None if there is nothing in them, or they are long and not whole.

    `body` is what there is of the chunks, while they are not whole.
    """
    beginning = PlainRequest(head, data, 1, is_endless=True) if len(data) <= HELD_BYTES else None
    if data.find(_LAST_CHUNK) < 0:
        return beginning
    pieces: list[bytes] = []
    at = 0
    while (found := _CHUNK_SIZE(data, at)) is not None:
        size = int(found[1], 16)
        at = found.end() + size + 2
        if data[at - 2 : at] != b"\r\n":
            break
        if size == 0:
            return PlainRequest(head, b"".join(pieces)) if pieces and at == len(data) else None
        pieces.append(data[found.end() : at - 2])
    return beginning


def is_plain_preflight(data: bytes) -> bool:
    """Whether this is one whole `OPTIONS` without a body, as browsers send before a web page's request.

    aiohttp answers it, and need not read on: the page's request takes the fast path.
    """
    if not data.startswith(b"OPTIONS ") or data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES) != len(data) - 4:
        return False
    request_line, *lines = data[:-4].split(b"\r\n")
    headers = [(found[1], found[2]) for found in map(PLAIN_HEADER, lines) if found is not None]
    if _PREFLIGHT_LINE(request_line) is None or len(headers) != len(lines) or not _all_plain(headers):
        return False
    return any(name.lower() == b"host" and is_host(value.decode()) for name, value in headers)


def _without(spellings: tuple[bytes, ...], lines: bytes) -> tuple[bytes, bool]:
    """The head without a line that is spelled so, and whether there was one."""
    for line in spellings:
        at = lines.find(line)
        if at >= 0:
            return lines[:at] + lines[at + len(line) - 2 :], True
    return lines, False


@lru_cache(maxsize=512)
def _plain_head(before: bytes, behind: bytes) -> PlainHead | None:
    """The head of these lines, between which its length was. Remembered: a client sends the same ones again."""
    lines, expects = _without(_EXPECTS, b"%b\r\n%b\r\n" % (before, behind) if behind else before + b"\r\n")
    lines, is_chunked = _without(_CHUNKED, lines)
    request_line, *others = lines[:-2].split(b"\r\n")
    named = _REQUEST_LINE(request_line)
    headers = [(found[1], found[2]) for found in map(PLAIN_HEADER, others) if found is not None]
    if named is None or len(headers) != len(others) or len(headers) > 64 or not _all_plain(headers):
        return None
    endpoint = ENDPOINTS.get(named[3].decode())
    known = CIMultiDictProxy(CIMultiDict((name.decode(), value.decode()) for name, value in headers))
    if endpoint is None or not endpoint.is_plain or endpoint.method.encode() != named[1]:
        return None
    if (is_chunked or expects) and not endpoint.has_body:
        return None
    digest = presented_digest(known)
    if digest in NO_DIGESTS or not is_host(known.get("Host", "")):
        return None
    asked, upward_lines = RequestedTarget(digest, named[2].decode(), endpoint), lines_of(upward(headers))
    return PlainHead(
        asked, upward_lines, known.get(REQUEST_ID), known.get("Origin"), endpoint.has_body, is_chunked, expects
    )


def _all_plain(headers: list[tuple[bytes, bytes]]) -> bool:
    """No header twice (aiohttp refuses some of these), none with an effect beyond its own value."""
    values = {name.lower(): value for name, value in headers}
    if len(values) != len(headers) or not _NOT_PLAIN.isdisjoint(values):
        return False
    return values.get(b"connection", b"keep-alive") in _CONNECTION and not any(map(_WEBSOCKET, values))
