"""The head of an upstream's answer: its status, its headers, and the one way in which its body is framed.

Framing follows RFC 9112 6 to the letter: what is ambiguous is an error, never a guess.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.core.http.content_length import split_at_length
from gateway.core.http.headers import PLAIN_HEADER, downward, merged

_MAX_PLAIN_BYTES = 4000  # of a head
_PLAIN_STATUS = re.compile(rb"HTTP/1\.1 200 [\t\x20-\x7e]*").fullmatch
# With any of these, or any header twice, an answer is not plain.
_NOT_PLAIN = frozenset({b"content-length", b"trailer", b"transfer-encoding", b"upgrade"})
_MOST_EXCHANGES = re.compile(rb"(?:^|[,;])[ \t]*max[ \t]*=[ \t]*([0-9]{1,9})", re.IGNORECASE).search


class UpstreamError(Exception):
    """The model server cannot be reached, broke off, or did not speak valid HTTP. For the operator's eyes only."""


class UpstreamTimeoutError(UpstreamError):
    """The model server, or the way to it, says nothing at all: not even that it cannot be reached."""


@dataclass(slots=True)
class ResponseHead:
    """Status and headers of an answer, names in lower case. `chunked` or `length` frame its body.

    Neither: it ends with the connection. `lines` are the headers that a client may see, as lines of a head.
    `most_exchanges` is how many a connection may serve, if the server says so. `streams`: its body is an event stream,
    and `is_open_stream` one of open length that is not compressed.
    """

    status: int
    headers: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    lines: bytes = b""
    most_exchanges: int | None = None
    streams: bool = False
    is_open_stream: bool = False


def plain_answer(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """Head and body of the answer that `data` is, if it is a whole one with nothing unusual in it; else None.

    Nearly every answer that is no stream is one. What is not is no error: the parser reads it. The head may be
    another's as well: it is not to be changed, and does not say how long the body is.
    """
    lines, end, body = data.partition(b"\r\n\r\n")
    before, length, behind = split_at_length(lines)
    if length != b"%d" % len(body) or not end or len(lines) > _MAX_PLAIN_BYTES:
        return None
    head = _plain_head(before, behind)
    return None if head is None else (head, body)


@lru_cache(maxsize=512)
def _plain_head(before: bytes, behind: bytes) -> ResponseHead | None:
    """A plain head of these lines, between which its length was. Remembered: a server sends the same ones again."""
    status_line, *others = (b"%b\r\n%b" % (before, behind) if behind else before).split(b"\r\n")
    headers = {found[1].lower(): found[2] for found in map(PLAIN_HEADER, others) if found is not None}
    if _PLAIN_STATUS(status_line) is None or len(headers) != len(others) or not _NOT_PLAIN.isdisjoint(headers):
        return None
    if headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    head = _head(200, headers, 0, chunked=False, keep_alive=True)
    head.length = None
    return head


def _head(
    status: int, headers: dict[bytes, bytes], length: int | None, *, chunked: bool, keep_alive: bool
) -> ResponseHead:
    lines = b"".join([line + b"\r\n" for line in downward(headers)])
    said = _MOST_EXCHANGES(headers.get(b"keep-alive", b""))
    most_exchanges = int(said[1]) if said else None
    streams = _is_event_stream(headers.get(b"content-type", b""))
    is_open_stream = streams and length is None and not headers.get(b"content-encoding")
    return ResponseHead(status, headers, length, chunked, keep_alive, lines, most_exchanges, streams, is_open_stream)


@lru_cache(maxsize=64)
def _is_event_stream(content_type: bytes) -> bool:
    """Whether a Content-Type names an event stream, whatever its parameters."""
    return content_type.split(b";", 1)[0].strip().lower() == b"text/event-stream"


@lru_cache(maxsize=512)
def remembered_head(status: int, version: str, lines: tuple[tuple[bytes, bytes], ...]) -> ResponseHead:
    """As `checked_head`, for short heads: a server sends the same one with each of its streams."""
    return checked_head(status, version, lines)


def checked_head(status: int, version: str, lines: Sequence[tuple[bytes, bytes]]) -> ResponseHead:
    """The head that these header lines make, if its framing is unambiguous. Raises UpstreamError.

    It may be another answer's as well: it is not to be changed.
    """
    headers = dict(lines)
    if len(headers) < len(lines):
        headers = _combined(lines)
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if version not in {"1.0", "1.1"}:
        raise UpstreamError(f"HTTP version {version}")
    if not 200 <= status <= 599:
        raise UpstreamError(f"status {status}")
    if length is not None and coding is not None:
        raise _ambiguous()
    if coding is not None and coding.strip().lower() != b"chunked":
        raise UpstreamError("an unknown Transfer-Encoding")
    if length is not None and not length.strip().isdigit():
        raise UpstreamError("an invalid Content-Length")
    if status in {204, 304}:
        length, coding = b"0", None
    framed = length is not None or coding is not None
    # After a 5xx nothing is known of what its server still believes to be under way: the next request starts afresh.
    keep_alive = framed and status < 500 and _keeps_alive(version, headers.get(b"connection", b"").lower())
    size = None if length is None else int(length)
    return _head(status, headers, size, chunked=coding is not None, keep_alive=keep_alive)


def _keeps_alive(version: str, options: bytes) -> bool:
    """RFC 9112 9.3: HTTP/1.1 unless `close` is said, HTTP/1.0 only if `keep-alive` is."""
    return b"close" not in options if version == "1.1" else b"keep-alive" in options


def _combined(lines: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers of which some came again: lists add up, of the others the first counts."""
    headers: dict[bytes, bytes] = {}
    for name, value in lines:
        if name in headers and name in {b"content-length", b"transfer-encoding"}:
            raise _ambiguous()
        if name == b"connection":
            headers[name] = headers.get(name, b"") + b"," + value
        else:
            headers[name] = value if name not in headers else merged(name, headers[name], value)
    return headers


def _ambiguous() -> UpstreamError:
    return UpstreamError("the length of its answer is stated more than once")
