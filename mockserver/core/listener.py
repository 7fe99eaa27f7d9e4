"""A port that can be closed and opened again without ever being lost to another process."""

import asyncio
import contextlib
import logging
import socket
import struct
from functools import partial
from http import HTTPStatus

from aiohttp import web

from mockserver.core.port import BACKLOG, Port

_TURNS_TO_MAKE_ONE = 4  # of the event loop: a task, a transport, its protocol, and one to spare
_RESET = struct.pack("ii", 1, 0)
_LOG = logging.getLogger("mockserver.http")


_MALFORMED = b"HTTP/1.1 400 Bad Request\r\nServer: llama.cpp\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LONGEST_LINE = 32768
_LONGEST_FIELD = 8192


class _MalformedResponse(web.Response):
    """The answer to what is no HTTP, as cpp-httplib gives it: 400, and nothing to read."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it as it is: aiohttp would add headers of its own."""
        if request.transport is not None:
            request.transport.write(_MALFORMED)

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing follows."""


class _Connection(web.RequestHandler):
    """A connection without aiohttp's own error page for bad requests."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """400 for bad HTTP; a handler that failed is a bug of the mock, and is logged as one."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        malformed = _MalformedResponse(status=status)
        malformed.force_close()
        return malformed


class Listener:
    """A port that is served while it is open. While closed it stays bound but does not listen."""

    def __init__(self, app: web.Application, port: Port) -> None:
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=5,
            logger=_LOG,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_FIELD,
        )
        self._port = port
        self._listeners: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """Its number."""
        return self._port.number

    @property
    def url(self) -> str:
        """The base URL on the first address, without a slash at the end."""
        return self._port.url

    def hold(self) -> None:
        """Bind the port, and learn its number if it was 0; raises PortTaken."""
        self._port.hold()

    async def open(self) -> None:
        """Accept connections; raises PortTaken."""
        if self._listeners:
            return
        server, loop = await self._server(), asyncio.get_running_loop()
        connect = partial(_Connection, server, loop=loop, **server._kwargs)  # as web.Server does itself
        for listening in self._port.hand_over():
            self._listeners.append(await loop.create_server(connect, sock=listening, backlog=BACKLOG))

    async def close(self, *, reset: bool = False) -> None:
        """Refuse connections and cut those there are, with a reset if wanted; returns when all are gone."""
        if self._listeners:
            listeners, self._listeners = self._listeners, []
            for listener in listeners:
                _accept_no_more(listener)
            try:
                for _ in range(_TURNS_TO_MAKE_ONE):  # what was accepted just before has yet to become a connection
                    await asyncio.sleep(0)
            finally:
                for listener in listeners:
                    listener.close()
                self._port.hold()
        server = await self._server()
        for connection in server.connections:
            _cut(connection.transport, reset)
        while server.connections:  # noqa: ASYNC110  aiohttp has no event for it; it takes one turn of the loop
            await asyncio.sleep(0)

    async def release(self) -> None:
        """Give the port up for good."""
        await self.close()
        self._port.let_go()
        await self._runner.cleanup()

    async def _server(self) -> web.Server:
        if self._runner.server is None:
            await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("aiohttp made no server")
        return self._runner.server


def _accept_no_more(listener: asyncio.Server) -> None:
    """Leave further clients to the kernel: asyncio loses what it has accepted if it closes the listener at once."""
    loop = asyncio.get_running_loop()
    for listening in listener.sockets:
        loop.remove_reader(listening.fileno())


def _cut(transport: asyncio.Transport | None, reset: bool) -> None:
    """Close a connection at once, whatever it still had to say."""
    if transport is None:
        return
    if reset:
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
