"""The head of a request: which ones are refused before anybody looks at their path, and with which status.

Mirrors vendor/cpp-httplib/httplib.cpp (`Server::parse_request_line`, `read_headers`, `Server::process_request`).
"""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from mockserver.core.httplib.byte_ranges import parse_ranges
from mockserver.core.httplib.field_values import Values, combined, has_token, is_accept, size

LONGEST_LINE = 32768
_LONGEST_FIELD = 8192
_MOST_FIELDS = 100
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"PRI"})
_VERSIONS = frozenset({b"HTTP/1.1", b"HTTP/1.0"})
_TARGET = re.compile(rb"[!-~\x80-\xff]*")
_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")
_UNICODE_ESCAPE = re.compile(rb"%u([0-9A-Fa-f]{4})")


class RefusedHead(Exception):
    """A head that is answered with a status and no body, and ends its connection."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class RequestHead:
    """A head as far as it has been read."""

    method: bytes
    target: bytes
    version: bytes
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    _values: dict[bytes, list[bytes]] = field(default_factory=dict)

    @property
    def path(self) -> bytes:
        """The path, decoded."""
        return decode_path(self.target.partition(b"#")[0].partition(b"?")[0])

    @property
    def query(self) -> bytes:
        """The query, as it came."""
        return self.target.partition(b"#")[0].partition(b"?")[2]

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks: whether that is the last of its transfer codings."""
        codings = self.values_of(b"transfer-encoding")
        return bool(codings) and codings[-1].rpartition(b",")[2].strip(b" \t").lower() == b"chunked"

    @property
    def content_length(self) -> int:
        """The length of a body that is not chunked."""
        lengths = self.values_of(b"content-length")
        return size(lengths[0]) or 0 if lengths else 0

    @property
    def closes(self) -> bool:
        """Whether no other request follows on the connection."""
        connection = self.values_of(b"connection")
        if self.version == b"HTTP/1.0" and not has_token(connection, b"keep-alive"):
            return True
        return has_token(connection, b"close")

    def values_of(self, name: bytes) -> Values:
        """The values of a field, whose name is given in lower case."""
        return self._values.get(name, ())

    def add_field(self, line: bytes) -> None:
        """Take a line of the head, without its end. Raises RefusedHead."""
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        too_much = len(line) + 2 > _LONGEST_FIELD or len(self.fields) >= _MOST_FIELDS
        if too_much or not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise RefusedHead(400)
        self.fields.append((name, value))
        self._values.setdefault(name.lower(), []).append(value)

    def check(self) -> None:
        """Refuse a head, now that it is whole, for what its fields say together. Raises RefusedHead."""
        lengths = self.values_of(b"content-length")
        if lengths and (len(set(lengths)) > 1 or size(lengths[0]) is None):
            raise RefusedHead(400)
        if self.values_of(b"transfer-encoding") and (self.content_length or not self.is_chunked):
            raise RefusedHead(400)
        accepted, asked = self.values_of(b"accept"), self.values_of(b"range")
        if accepted and not is_accept(combined(accepted)):
            raise RefusedHead(400)
        if asked and parse_ranges(asked[0]) is None:
            raise RefusedHead(416)


def read_request_line(line: bytes) -> RequestHead:
    """The head that a first line, without its end, begins. Raises RefusedHead."""
    parts = [part for piece in line.split(b" ") if (part := piece.strip(b" \t"))]
    if len(parts) != len(("method", "target", "version")):
        raise RefusedHead(400)
    head = RequestHead(method=parts[0], target=parts[1], version=parts[2])
    if head.method not in _METHODS or head.version not in _VERSIONS or not _TARGET.fullmatch(head.target):
        raise RefusedHead(400)
    return head


def decode_path(path: bytes) -> bytes:
    """A path with its escapes decoded; what is no escape stays."""
    if b"%" not in path:
        return path
    return unquote_to_bytes(_UNICODE_ESCAPE.sub(_encode_escape, path))


def _encode_escape(escape: re.Match[bytes]) -> bytes:
    """`%uXXXX` as UTF-8, with its percent signs escaped."""
    return chr(int(escape[1], 16)).encode("utf-8", "surrogatepass").replace(b"%", b"%25")
