"""Bytes of a connection to requests, in the place of aiohttp's parser: that takes other requests than cpp-httplib does.

Mirrors vendor/cpp-httplib/httplib.cpp (`Server::process_request`, as far as the routing).
"""

import asyncio
import re
from urllib.parse import quote

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from mockserver.core.httplib.body_reader import BodyReader, BrokenBody, ChunkReader, LengthReader
from mockserver.core.httplib.request_head import LONGEST_LINE, RefusedHead, RequestHead, read_request_line

Message = tuple[RawRequestMessage, StreamReader]
_BUFFERED_BYTES = 2**16
_PLAIN_PATH = re.compile(rb"/[A-Za-z0-9_.~/:-]*")


class RefusedRequest(HttpProcessingError):
    """What aiohttp is told of a head that is refused; `code` is the status, `method` may not have been read."""

    method = b""


class BodyError(Exception):
    """Raised where a body is read that was broken on its way."""


class RequestParser:
    """One connection's requests. aiohttp calls it as it calls its own `HttpRequestParser`."""

    def __init__(self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop) -> None:
        self._protocol, self._loop = protocol, loop
        self._buffer = bytearray()
        self._head: RequestHead | None = None
        self._saw_empty_line = False
        self._body: BodyReader | None = None
        self._payload: StreamReader = EMPTY_PAYLOAD
        self._refusal: RefusedRequest | None = None
        self._closes = False
        self._is_over = False

    def feed_data(self, data: bytes) -> tuple[list[Message], bool, bytes]:
        """The requests whose heads are complete with these bytes. Raises RefusedRequest once those before are out."""
        self._buffer += data
        messages: list[Message] = []
        try:
            while not self._is_over and (message := self._next()) is not None:
                messages.append(message)
        except RefusedHead as refused:
            self._is_over, self._refusal = True, RefusedRequest(code=refused.status)
            self._refusal.method = self._head.method if self._head is not None else b""
        if self._refusal is not None and not messages:
            refusal, self._refusal = self._refusal, None
            raise refusal
        if self._refusal is not None:
            self._loop.call_soon(self._protocol.data_received, b"")
        return messages, False, b""

    def feed_eof(self) -> None:
        """aiohttp cancels a request whose client has left by itself."""

    def message_consumed(self) -> None:
        """Nothing is held back."""

    def pause_reading(self) -> None:
        """The transport is paused; what has been read is parsed."""

    def set_upgraded(self, val: bool) -> None:
        """Nothing is upgraded."""

    def _next(self) -> Message | None:
        """The next request whose head is complete, after the body of the one before."""
        if self._body is not None and not self._feed_body(self._body):
            return None
        while (line := self._take_line()) is not None:
            if self._head is None:
                self._begin(line)
            elif line:
                self._head.add_field(line)
            else:
                return self._message(self._head)
        return None

    def _take_line(self) -> bytes | None:
        """A line without its end; a bare LF ends none."""
        end = self._buffer.find(b"\r\n")
        if (end if end >= 0 else len(self._buffer)) + 2 > LONGEST_LINE:
            self._refuse_line()
        if end < 0 or self._is_over:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _refuse_line(self) -> None:
        """A first line that is too long ends the connection without a word, one of a field with 400."""
        if self._head is not None:
            raise RefusedHead(400)
        self._is_over = True
        if self._protocol.transport is not None:
            self._protocol.transport.close()

    def _begin(self, line: bytes) -> None:
        """Take the first line; an empty one before it counts for nothing, once."""
        if not line and not self._saw_empty_line:
            self._saw_empty_line = True
            return
        self._head = read_request_line(line)

    def _message(self, head: RequestHead) -> Message:
        """A request, and the stream that its body will come in."""
        head.check()
        message = _as_aiohttp(head)
        self._head, self._saw_empty_line = None, False
        self._closes = self._is_over = message.should_close
        length = head.content_length
        if not message.chunked and not length:
            return message, EMPTY_PAYLOAD
        self._is_over = False
        payload = self._payload = StreamReader(self._protocol, _BUFFERED_BYTES, loop=self._loop)
        self._body = ChunkReader() if message.chunked else LengthReader(length)
        self._feed_body(self._body)
        return message, payload

    def _feed_body(self, body: BodyReader) -> bool:
        """Pass on what has come of a body; whether it is complete."""
        try:
            if data := body.take(self._buffer):
                self._payload.feed_data(data)
        except BrokenBody:
            self._is_over = True
            self._payload.set_exception(BodyError())
            return False
        if body.done:
            self._body, self._is_over = None, self._closes
            self._payload.feed_eof()
        return body.done


def _as_aiohttp(head: RequestHead) -> RawRequestMessage:
    """A head in aiohttp's form."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in head.fields:
        headers.add(name.decode(), value.decode("utf-8", "surrogateescape"))
    path = head.path
    if not _PLAIN_PATH.fullmatch(path):
        path = b"/" + quote(path, safe="").encode()  # one that no endpoint has
    query = head.query.decode("utf-8", "surrogateescape")
    return RawRequestMessage(
        method=head.method.decode(),
        path=head.target.decode("utf-8", "surrogateescape"),
        version=HttpVersion11,  # of the answer, which is that whatever was asked in
        headers=CIMultiDictProxy(headers),
        raw_headers=tuple(head.fields),
        should_close=head.closes,
        compression=None,
        upgrade=False,
        chunked=head.is_chunked,
        url=URL.build(path=path.decode(), query_string=query, encoded=True),
    )
