"""The client's side of a relayed answer: its head and its framing, written straight to the socket.

aiohttp's own response is made for bodies that a coroutine writes. Here they arrive in a callback of the upstream's
connection, and a head, a body and an end that are there together leave together, in one write.
"""

import math
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from aiohttp import web

from gateway.core.exchange import Exchange
from gateway.core.http import headers
from gateway.proxy.client_connection import Client
from gateway.proxy.upstream.response_head import ResponseHead

_LAST_CHUNK = b"0\r\n\r\n"
_BODILESS = frozenset({204, 304})


class ResponseWriter:
    """An answer under way to `client`. `persists`: its connection may serve another request after it.

    A body whose `length` is None is sent in chunks (`chunked`), or to an HTTP/1.0 client until the connection closes.
    """

    __slots__ = ("_connection", "_unsent", "chunked", "framed", "persists")

    def __init__(self, client: Client, head: ResponseHead, length: int | None, exchange: Exchange) -> None:
        self._connection = client.connection
        speaks_http11 = client.speaks_http11
        self.chunked = False
        self.framed = True
        framing = b""
        if head.status in _BODILESS:
            pass
        elif length is not None:
            framing = b"Content-Length: %d\r\n" % length
        elif speaks_http11:
            self.chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            self.framed = False
        # Only behind a request that has come whole can the next one be read.
        self.persists = client.persists and self.framed and (client.content is None or client.content.is_eof())
        if head.streams:
            framing += b"X-Accel-Buffering: no\r\n"  # for an nginx in front of us
        if not self.persists:
            framing += b"Connection: close\r\n"
        elif not speaks_http11:
            framing += b"Connection: keep-alive\r\n"
        self._unsent = b"".join(
            (
                _status_line(head.status, speaks_http11),
                head.lines if exchange.allotment is None else headers.without_limits(head.lines),
                framing,
                exchange.answer_lines,
                _DATE.line(),
                headers.request_id_lines(exchange.id),
                exchange.cors.lines,
                headers.ALWAYS_LINES,
            )
        )

    def send(self, data: bytes, last: bool) -> None:
        """Send a piece of the body now: the head before the first, if only with nothing; the end after the `last`."""
        if self.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else data
            if last:
                data += _LAST_CHUNK
        if self._unsent:
            data, self._unsent = self._unsent + data, b""
            if last:
                self._connection.send_with_others(data)
                return
        self._connection.send(data)

    def close(self) -> None:
        """Close the connection once all that was sent has left, with no end to the body."""
        self.persists = False
        if self._connection.transport is not None:
            self._connection.transport.close()

    def abort(self) -> None:
        """Reset the connection; what was sent and has not left is lost."""
        self.persists = False
        self._connection.reset()


class HeadWriter(ResponseWriter):
    """The answer to a HEAD request: the head that GET would have, and nothing after it (RFC 9110 9.3.2)."""

    __slots__ = ()

    def __init__(self, client: Client, head: ResponseHead, length: int | None, exchange: Exchange) -> None:
        super().__init__(client, head, length, exchange)
        self.chunked = False  # whatever the head says: no chunk follows

    def send(self, data: bytes, last: bool) -> None:
        """Send the head; of the body nothing."""
        super().send(b"", last)


class WrittenResponse(web.StreamResponse):
    """What aiohttp gets for a reply that has been written already."""

    def __init__(self, reply: ResponseWriter, status: int) -> None:
        super().__init__(status=status)
        self._reply = reply

    @property
    def keep_alive(self) -> bool:
        """Whether aiohttp may read the next request from this client."""
        return self._reply.persists

    async def prepare(self, request: web.BaseRequest) -> None:
        """The head has been sent. Wait for the client to read: the next answer must not pile up on this one."""
        await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """The end, if it was a proper one, has been sent."""


def in_one_piece(status: int, fields: Mapping[str, str], body: bytes) -> bytes:
    """An answer of the gateway's own, with the lines of its head in the order in which aiohttp writes them."""
    named = (f"{name}: {value}\r\n".encode("ascii") for name, value in fields.items())
    length = b"Content-Length: %d\r\n" % len(body)
    return b"".join((_status_line(status, True), *named, length, _DATE.line(), b"\r\n", body))


@lru_cache(maxsize=64)
def _status_line(status: int, speaks_http11: bool) -> bytes:
    """Status and our own words for it: the upstream's reason phrase is never repeated (RFC 9112 4)."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
    return f"HTTP/1.{speaks_http11:d} {status} {phrase}\r\n".encode("ascii")


class _Date:
    """The header line of the present second, made once for all its answers."""

    def __init__(self) -> None:
        self._line = b""
        self._second = -math.inf  # in which the line is right

    def line(self) -> bytes:
        now = time()
        if not 0 <= now - self._second < 1:
            self._second = int(now)
            self._line = f"Date: {formatdate(self._second, usegmt=True)}\r\n".encode("ascii")
        return self._line


_DATE = _Date()
