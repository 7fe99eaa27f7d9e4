"""Event streams: what the gateway puts into one, pings in a silence and an error at a break.

WHATWG HTML 9.2 "Server-sent events": a blank line ends an event, and lines end in LF, CR or CRLF.
"""

import json
import re

from gateway.core.endpoints import ApiProtocol

TAIL_BYTES = 4  # as many of the last bytes as `finish_line` needs to see

_COMMENTS = re.compile(rb"(?::[^\r\n]*(?:[\r\n]+|\Z))*").fullmatch


def finish_line(tail: bytes) -> bytes:
    """What to write after `tail`, the last bytes of a stream, so that the next byte begins a new event.

    >>> finish_line(b"")
    b''
    >>> finish_line(b'}\n\n')
    b''
    >>> finish_line(b'"}\n')
    b'\n'
    >>> finish_line(b'data: {"con')
    b'\n\n'
    """
    if not tail or ends_event(tail):
        return b""
    return b"\n" if tail.endswith(b"\n") else b"\n\n"


def error_event(protocol: ApiProtocol, kind: str, message: str) -> bytes:
    """The event that ends a broken stream, as the protocol's own SDKs expect it."""
    error = {"type": kind, "message": message}
    if protocol is ApiProtocol.ANTHROPIC:
        return b"event: error\ndata: " + _json({"type": "error", "error": error}) + b"\n\n"
    return b"data: " + _json({"error": error}) + b"\n\n"


def ping(protocol: ApiProtocol) -> bytes:
    """What keeps a silent stream alive without meaning anything: a comment, or the protocol's own event for it."""
    return b'event: ping\ndata: {"type":"ping"}\n\n' if protocol is ApiProtocol.ANTHROPIC else b":\n\n"


def ends_event(tail: bytes) -> bool:
    """Whether a stream that has sent `tail` last is between two events."""
    return tail.endswith((b"\n\n", b"\r\r", b"\r\n\r\n"))


def is_more_than_comments(stream: bytes) -> bool:
    """Whether a part of an event has come, and not only comments, such as llama-server's own pings.

    >>> is_more_than_comments(b":\n\n: ping")
    False
    """
    return _COMMENTS(stream) is None


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
