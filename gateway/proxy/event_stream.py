"""Event streams: whether one is whole, and what the gateway puts into it: pings in a silence, an error at a break.

WHATWG HTML 9.2 "Server-sent events": a blank line ends an event, and lines end in LF, CR or CRLF.
"""

import json
import re

from gateway.core.endpoints import ApiProtocol, LastWord

CONTENT_TYPE = b"text/event-stream"
TAIL_BYTES = 4  # as many of the last bytes as `finish_line` needs to see

_JUDGED_BYTES = 4096  # of a stream's end, to see whether it is whole
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r){2}")
_COMMENTS = re.compile(rb"(?::[^\r\n]*(?:[\r\n]+|\Z))*").fullmatch
# By which an event is known to end its stream. Within JSON a quote inside a string is escaped, so none of these can be
# generated text. A native stream's last event need not have "stop": `response_fields` chooses what it has; those before
# always do.
_LAST_EVENTS = {
    LastWord.DONE: rb"",
    LastWord.MESSAGE_STOP: rb'event: ?message_stop|data: ?\{"type": ?"message_stop"|',
    LastWord.RESPONSE_OVER: rb'(?:event: ?|data: ?\{"type": ?")response\.(?:completed|incomplete|failed)\b|',
    LastWord.STOP: rb'data: ?\{(?!.*"stop": ?false)|',
}
# Some servers send [DONE] in every protocol. "error:" is how llama-server began an error up to September 2025.
_ALWAYS_LAST = rb'data: ?\[DONE\]|event: ?error|error:|data: ?\{"(?:error"|type": ?"error")'
_ends_with = {
    word: re.compile(rb"^(?:" + its + _ALWAYS_LAST + rb")", re.MULTILINE).search for word, its in _LAST_EVENTS.items()
}


def is_event_stream(content_type: bytes) -> bool:
    """Whether a Content-Type names an event stream, whatever its parameters."""
    return content_type.split(b";", 1)[0].strip().lower() == CONTENT_TYPE


def is_whole(tail: bytes, size: int, last_word: LastWord) -> bool:
    """Whether a stream of `size` bytes that ends with `tail` has had its last word, or an error in place of it.

    `tail` may be all of it. A last event that begins before `tail`, or its last 4 KiB, cannot be read: it counts as
    the right one, unless it breaks off.

    >>> is_whole(b'data: {"choices":[]}\n\ndata: [DONE]\n\n', 36, LastWord.DONE)
    True
    >>> is_whole(b'data: {"choices":[]}\n\nproxy error: Failed to read connection', 61, LastWord.DONE)
    False
    """
    tail = tail[-_JUDGED_BYTES:]
    *events, unfinished = _BLANK_LINE.split(tail)
    while events and _COMMENTS(events[-1]):
        events.pop()
    if len(events) == 1 and len(tail) < size:
        return not unfinished
    if unfinished.rstrip() == b"data: [DONE]":
        return True  # some servers leave out the blank line behind it
    return bool(events) and _ends_with[last_word](events[-1]) is not None


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
