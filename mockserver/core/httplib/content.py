"""The content of a request as its handler gets it, which is read when its route has been found and not before.

Mirrors vendor/cpp-httplib/httplib.cpp (`Server::read_content`) and tools/server/server-http.cpp (a form becomes JSON).
"""

from collections.abc import Mapping

from aiohttp import hdrs, web

from mockserver.core.httplib.field_values import Values, combined, has_token, media_type, size
from mockserver.core.httplib.form_data import BadForm, boundary_of, text_fields
from mockserver.core.httplib.request_parser import BodyError
from mockserver.core.nlohmann_json import dump_bytes, invalid_utf8

_CONTENT = web.RequestKey("content", bytes)
_ASKED_FOR = web.RequestKey("asked_for", bool)
_UNSUPPORTED_CODINGS = frozenset({b"gzip", b"deflate", b"br", b"zstd"})
_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST_FORM = 1024 * 1024


class RefusedContent(Exception):
    """A body that is answered with a status, and a text in one case only."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.text = text


_BODY: web.RequestKey[bytes | RefusedContent] = web.RequestKey("body")


def awaits_continue(request: web.BaseRequest) -> bool:
    """Whether the client holds its body back until it is asked for it."""
    return has_token(values_of(request, hdrs.EXPECT), b"100-continue")


def ask_for_body(request: web.BaseRequest) -> None:
    """Tell a client that holds its body back to send it, once."""
    if awaits_continue(request) and request.transport is not None and not request.get(_ASKED_FOR):
        request[_ASKED_FOR] = True
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def values_of(request: web.BaseRequest, name: str) -> Values:
    """The values of a field of the head, as they came."""
    return [value.encode("utf-8", "surrogateescape") for value in request.headers.getall(name, ())]


async def read_body(request: web.BaseRequest) -> bytes:
    """The body as it came, however often it is asked for. Raises RefusedContent for one that is broken or too large."""
    if _BODY not in request:
        request[_BODY] = await _body(request)
    body = request[_BODY]
    if isinstance(body, bytes):
        return body
    raise body


async def _body(request: web.BaseRequest) -> bytes | RefusedContent:
    try:
        return await request.read()
    except BodyError:
        return RefusedContent(400)
    except web.HTTPRequestEntityTooLarge:
        return RefusedContent(413)


async def read_content(request: web.Request) -> bytes:
    """What the handler is given for a body. Raises RefusedContent."""
    if _CONTENT not in request:
        request[_CONTENT] = await _content(request)
    return request[_CONTENT]


async def _content(request: web.Request) -> bytes:
    lengths, is_chunked = values_of(request, hdrs.CONTENT_LENGTH), hdrs.TRANSFER_ENCODING in request.headers
    has_content = is_chunked or any(size(length) for length in lengths)
    if request.method not in _WITH_CONTENT and not has_content:
        return b""
    content_type = next(iter(values_of(request, hdrs.CONTENT_TYPE)), b"")
    kind = media_type(content_type)
    try:
        boundary = boundary_of(content_type) if kind == b"multipart/form-data" else b""
        if not lengths and not is_chunked:
            return dump_bytes({}) if boundary else b""
        if combined(values_of(request, hdrs.CONTENT_ENCODING)).lower() in _UNSUPPORTED_CODINGS:
            raise RefusedContent(415)
        ask_for_body(request)
        body = await read_body(request)
        if kind == b"application/x-www-form-urlencoded" and len(body) > _LONGEST_FORM:
            raise RefusedContent(413)
        return _as_json(text_fields(body, boundary)) if boundary else body
    except BadForm as error:
        raise RefusedContent(400) from error


def _as_json(fields: Mapping[bytes, list[bytes]]) -> bytes:
    """The text fields of a form as an object; the values of a name that comes more than once are an array."""
    texts = {_text(name): [_text(value) for value in values] for name, values in fields.items()}
    return dump_bytes({name: values if len(values) > 1 else values[0] for name, values in texts.items()})


def _text(data: bytes) -> str:
    """UTF-8 as text; what is none is an exception that only the HTTP library catches."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise RefusedContent(500, invalid_utf8(data, error)) from error
