"""The head of an upstream's answer: its status, its headers, and the one way in which its body is framed.

Framing follows RFC 9112 6 to the letter: what is ambiguous is an error, never a guess.
"""

from dataclasses import dataclass

from gateway.core.http.headers import merged


class UpstreamError(Exception):
    """The model server cannot be reached, broke off, or did not speak valid HTTP. For the operator's eyes only."""


class UpstreamTimeoutError(UpstreamError):
    """The model server, or the way to it, says nothing at all: not even that it cannot be reached."""


@dataclass(slots=True)
class ResponseHead:
    """Status and headers of an answer, names in lower case. `chunked` or `length` frame its body.

    Neither: it ends with the connection.
    """

    status: int
    headers: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool


def checked_head(status: int, version: str, lines: list[tuple[bytes, bytes]]) -> ResponseHead:
    """The head that these header lines make, if its framing is unambiguous. Raises UpstreamError."""
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
    return ResponseHead(status, headers, None if length is None else int(length), coding is not None, keep_alive)


def _keeps_alive(version: str, options: bytes) -> bool:
    """RFC 9112 9.3: HTTP/1.1 unless `close` is said, HTTP/1.0 only if `keep-alive` is."""
    return b"close" not in options if version == "1.1" else b"keep-alive" in options


def _combined(lines: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
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
