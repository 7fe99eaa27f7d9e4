"""Recognizes a plain request: to a proxied endpoint, whole, with nothing unusual in it.

Nearly every request is one. What is not (two keys that differ, bytes that look odd) is not an error: aiohttp's parser
and `request_pipeline` decide what becomes of it. So this may be as narrow as it likes.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.endpoints import ENDPOINTS, PREFIX
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
# Cut out before the head is looked up: it is the one line in which a client's requests differ.
_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_DIGITS = re.compile(rb"[1-9][0-9]{0,10}").fullmatch
# Cut out, too, where they are there: the request may be plain but for them.
_CHUNKED = (b"\r\nTransfer-Encoding: chunked\r\n", b"\r\ntransfer-encoding: chunked\r\n")
_EXPECTS = (b"\r\nExpect: 100-continue\r\n", b"\r\nexpect: 100-continue\r\n")
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
    """What a plain request's head says. `upward` are the header lines that the model server may see."""

    asked: RequestedTarget
    upward: bytes
    request_id: str | None
    origin: str | None
    has_body: bool


@dataclass(slots=True)
class PlainRequest:
    """A request, or the beginning of one. Sizes in bytes: `whole_size` with its head, `missing` 0 if it is whole.

    Of chunks the end is not known before it is there: until then `whole_size` is infinite, and `missing` 1 at least.
    `expects`: its client asked to be told to continue.
    """

    head: PlainHead
    body: bytes
    whole_size: float
    missing: int
    expects: bool = False


def plain_request(data: bytes) -> PlainRequest | None:
    """The plain request that `data` is, or is the beginning of; None if it is anything else, or more than one."""
    end = data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
    if end < 0:
        return None
    lines, digits = _without_length(data[: end + 2])
    if digits is not None and not _DIGITS(digits):
        return None
    head = _plain_head(lines)
    if head is None:
        return _unusual_request(data, end + 4, lines, digits)
    return _by_length(head, data, end + 4, int(digits or 0))


def _by_length(head: PlainHead, data: bytes, begin: int, size: int) -> PlainRequest | None:
    """The request whose body begins there, and is so long."""
    whole_size = begin + size
    if whole_size < len(data) or head.has_body != bool(size):
        return None
    return PlainRequest(head, data[begin:], whole_size, whole_size - len(data))


def _unusual_request(data: bytes, begin: int, lines: bytes, digits: bytes | None) -> PlainRequest | None:
    """The request, if it is plain but for its body's coming in chunks, or for its `Expect`."""
    lines, expects = _without(_EXPECTS, lines)
    lines, is_chunked = _without(_CHUNKED, lines)
    head = _plain_head(lines) if expects or is_chunked else None
    if head is None or is_chunked == (digits is not None):  # both frame the body, or neither does
        return None
    request = _in_chunks(head, data, begin) if is_chunked else _by_length(head, data, begin, int(digits or 0))
    if request is not None:
        request.expects = expects
    return request


def _in_chunks(head: PlainHead, data: bytes, begin: int) -> PlainRequest | None:
    """The request whose body comes in chunks from there on; None if it is empty, or long and not whole."""
    pieces: list[bytes] = []
    at = begin
    while (found := _CHUNK_SIZE(data, at)) is not None:
        size = int(found[1], 16)
        at = found.end() + size + 2
        if data[at - 2 : at] != b"\r\n":
            break
        if size == 0:
            body = b"".join(pieces)
            return PlainRequest(head, body, at, 0) if body and head.has_body and at == len(data) else None
        pieces.append(data[found.end() : at - 2])
    is_short = len(data) <= HELD_BYTES and head.has_body
    return PlainRequest(head, b"".join(pieces), math.inf, 1) if is_short else None


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


def _without_length(lines: bytes) -> tuple[bytes, bytes | None]:
    """The head without its `Content-Length`, and that header's value, if there is one."""
    for name in _LENGTHS:
        at = lines.find(name)
        if at >= 0:
            end = lines.find(b"\r\n", at + len(name))
            return lines[:at] + lines[end:], lines[at + len(name) : end]
    return lines, None


def _without(spellings: tuple[bytes, ...], lines: bytes) -> tuple[bytes, bool]:
    """The head without a line that is spelled so, and whether there was one."""
    for line in spellings:
        at = lines.find(line)
        if at >= 0:
            return lines[:at] + lines[at + len(line) - 2 :], True
    return lines, False


@lru_cache(maxsize=512)
def _plain_head(lines: bytes) -> PlainHead | None:
    """The head, what frames its body cut out. Remembered: a client sends the same one again and again."""
    request_line, *others = lines[:-2].split(b"\r\n")
    named = _REQUEST_LINE(request_line)
    headers = [(found[1], found[2]) for found in map(PLAIN_HEADER, others) if found is not None]
    if named is None or len(headers) != len(others) or len(headers) > 64 or not _all_plain(headers):
        return None
    endpoint = ENDPOINTS.get(named[3].decode())
    known = CIMultiDictProxy(CIMultiDict((name.decode(), value.decode()) for name, value in headers))
    if endpoint is None or not endpoint.is_plain or endpoint.method.encode() != named[1]:
        return None
    digest = presented_digest(known)
    if digest in NO_DIGESTS:
        return None
    if not is_host(known.get("Host", "")):
        return None
    what = RequestedTarget(digest, named[2].decode(), endpoint)
    lines = lines_of(upward(headers))
    return PlainHead(what, lines, known.get(REQUEST_ID), known.get("Origin"), endpoint.has_body)


def _all_plain(headers: list[tuple[bytes, bytes]]) -> bool:
    """No header twice (aiohttp refuses some of these), none with an effect beyond its own value."""
    values = {name.lower(): value for name, value in headers}
    if len(values) != len(headers) or not _NOT_PLAIN.isdisjoint(values):
        return False
    return values.get(b"connection", b"keep-alive") in _CONNECTION and not any(map(_WEBSOCKET, values))
