"""A client connection that costs little and looks closely: one request after the other, every answer's framing checked.

httptools parses; what comes of a body goes to a `sink` in the call in which the socket delivered it.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import cast

import httptools

Sink = Callable[[bytes], None]


class Broken(Exception):
    """The answer is no whole, valid HTTP."""


class Wire(asyncio.Protocol):
    """Make it with `connect`."""

    def __init__(self) -> None:
        self.transport = asyncio.Transport()
        self.first_byte = 0.0  # of the body of the newest answer, on the monotonic clock
        self._parser: httptools.HttpResponseParser | None = None
        self._sink: Sink = _drop
        self._done: asyncio.Future[int] | None = None

    async def ask(self, request: bytes, sink: Sink) -> int:
        """Send a request; its status, once the whole answer is there. Raises Broken."""
        self._sink = sink
        self.first_byte = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            raise Broken("the connection was closed")
        self.transport.write(request)
        return await self._done

    def close(self) -> None:
        """Leave with a FIN."""
        self.transport.close()

    # --- the socket's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self._fail("bytes that nobody asked for")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection broke: {exc}" if exc else "the connection closed before the answer was whole")

    def _fail(self, why: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(Broken(why))
            self.transport.abort()

    # --- the parser's callbacks

    def on_body(self, data: bytes) -> None:
        if not self.first_byte:
            self.first_byte = monotonic()
        self._sink(data)

    def on_message_complete(self) -> None:
        if self._done is not None and self._parser is not None and not self._done.done():
            self._done.set_result(self._parser.get_status_code())


async def connect(port: int) -> Wire:
    """A new connection to a server of this machine. Raises OSError."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port)
    return wire


def post(path: str, body: bytes, key: str | None) -> bytes:
    """The bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines.append(f"Content-Length: {len(body)}")
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _drop(data: bytes) -> None:
    """Nobody wants it."""
