"""The client's side of a relayed answer: its head and its framing, written straight to the socket.

aiohttp's own response is made for bodies that a coroutine writes. Here they arrive in a callback of the upstream's
connection, and a head, a body and an end that are there together leave together, in one write.
"""

import socket
import struct
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from aiohttp import HttpVersion11, web

from gateway import headers
from gateway.connection import Head

_RESET = struct.pack("ii", 1, 0)  # socket(7): lingering for no time at all makes the close a reset


class Reply(web.StreamResponse):
    """An answer under way to the client of `request`. `close` ends the client's connection after it.

    A body of unknown length is sent in chunks, or to an HTTP/1.0 client until the connection closes.
    """

    def __init__(self, request: web.Request, head: Head, request_id: str, *, close: bool, streams: bool) -> None:
        super().__init__(status=head.status)
        self._transport = request.transport
        self._protocol = request.protocol
        self._drain = request.writer.drain
        modern = request.version >= HttpVersion11
        bodiless = head.status in {204, 304}
        self._chunked_body = modern and head.length is None and not bodiless
        self.framed = self._chunked_body or head.length is not None or bodiless
        self._persists = request.keep_alive and self.framed and not close
        version = b"HTTP/1.1" if modern else b"HTTP/1.0"
        lines = [b"%b %b" % (version, _status(head.status)), *headers.downward(head.headers)]
        if self._chunked_body:
            lines.append(b"Transfer-Encoding: chunked")
        elif head.length is not None and not bodiless:
            lines.append(b"Content-Length: %d" % head.length)
        if streams:
            lines.append(b"X-Accel-Buffering: no")  # for an nginx in front of us
        if not self._persists:
            lines.append(b"Connection: close")
        elif not modern:
            lines.append(b"Connection: keep-alive")
        lines.append(b"Date: %b" % _date(int(time())))
        lines.append(b"%b: %b" % (headers.REQUEST_ID.encode(), request_id.encode()))
        lines.append(headers.ALWAYS_LINES)
        self._unsent = b"\r\n".join(lines) + b"\r\n\r\n"

    @property
    def keep_alive(self) -> bool:
        """Whether aiohttp may read the next request from this client."""
        return self._persists

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to do when aiohttp asks for it."""

    async def write_eof(self, data: bytes = b"") -> None:
        """The end, if it was a proper one, has been written by `end`."""

    def start(self, early: bytes, *, complete: bool) -> None:
        """Send the head with what there is of the body already; `complete` if that is all of it."""
        data = self._unsent + (self._framed(early) if early else b"")
        self._send(data + self._last_chunk if complete else data)

    def send(self, data: bytes) -> None:
        """Send a piece of the body now."""
        self._send(self._framed(data))

    def end(self) -> None:
        """End the body as a whole one."""
        if self._chunked_body:
            self._send(self._last_chunk)

    def close(self) -> None:
        """Close the connection once all that was sent has left, with no end to the body."""
        self._persists = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Reset the connection: the one way to show an HTTP/1.0 client that a body is not whole."""
        self._persists = False
        if self._transport is not None and not self._transport.is_closing():
            with suppress(OSError):  # the client is gone already
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    @property
    def is_backed_up(self) -> bool:
        """Whether the client reads more slowly than it is sent to."""
        return self._protocol.writing_paused

    async def drained(self) -> None:
        """Wait until the client has caught up. Raises ConnectionError if it left."""
        await self._drain()

    @property
    def _last_chunk(self) -> bytes:
        return b"0\r\n\r\n" if self._chunked_body else b""

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked_body else data

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


@lru_cache(maxsize=64)
def _status(status: int) -> bytes:
    """Status and our own words for it: the upstream's reason phrase is never repeated (RFC 9112 4)."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else ""
    return f"{status} {phrase}".encode("ascii")


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")
