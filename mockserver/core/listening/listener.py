"""A port that can be closed and opened again without ever being lost to another process."""

import asyncio
import logging
from collections.abc import Iterator
from http import HTTPStatus

from aiohttp import hdrs, web

from mockserver.core.aiohttp_internals import connection_factory, is_idle, replace_parser
from mockserver.core.api_errors import PHRASES
from mockserver.core.httplib.request_parser import RefusedRequest, RequestParser
from mockserver.core.listening.forked_children import keep_from_children
from mockserver.core.listening.port import BACKLOG, Port
from mockserver.core.listening.resetting import reset

_TURNS_TO_CONNECT = 4  # of the event loop: a task, a transport, its protocol, and one to spare
_DRAIN_SECONDS = 0.02  # between two looks whether connections are left
_LOG = logging.getLogger("mockserver.http")


_REFUSAL = "HTTP/1.1 {} {}\r\nServer: llama.cpp\r\nConnection: close\r\nContent-Length: 0\r\n{}\r\n"


class _RefusedResponse(web.Response):
    """The response to a head that is refused, as cpp-httplib sends it: without a body, and before any other header."""

    further = ""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it as it is: aiohttp would add headers of its own."""
        if request.transport is not None:
            request.transport.write(_REFUSAL.format(self.status, self.reason, self.further).encode())

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing follows."""


class _Connection(web.RequestHandler):
    """A connection that takes and refuses the requests that cpp-httplib does."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have its bytes read by a parser of our own."""
        replace_parser(self, RequestParser(self, asyncio.get_running_loop()))
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A status for bad HTTP; a handler that failed is a bug of the mock, and is logged as one."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        code = exc.code if isinstance(exc, RefusedRequest) else status
        refused = _RefusedResponse(status=code, reason=PHRASES.get(code))
        if isinstance(exc, RefusedRequest) and exc.method == hdrs.METH_HEAD.encode():
            refused.further = "Accept-Ranges: bytes\r\n"
        refused.force_close()
        return refused


class Listener:
    """A port with an application behind it. While it is closed, it stays bound but does not listen."""

    def __init__(self, app: web.Application, port: Port) -> None:
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=5,
            auto_decompress=False,  # llama-server reads no compressed body, and a recorder passes it on as it came
            logger=_LOG,
        )
        self._port = port
        self._servers: list[asyncio.Server] = []
        keep_from_children(self)

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
        if self._servers:
            return
        http_server, loop = await self._http_server(), asyncio.get_running_loop()
        connect = connection_factory(http_server, _Connection, loop)
        for held_socket in self._port.hand_over():
            self._servers.append(await loop.create_server(connect, sock=held_socket, backlog=BACKLOG))

    async def close(self, *, by_reset: bool = False) -> None:
        """Refuse connections and cut those there are, by resets if wanted; returns when all are gone."""
        if self._servers:
            servers, self._servers = self._servers, []
            for server in servers:
                _stop_accepting(server)
            try:
                for _ in range(_TURNS_TO_CONNECT):  # what was accepted just before has yet to become a connection
                    await asyncio.sleep(0)
            finally:
                for server in servers:
                    server.close()
                self._port.hold()
        http_server = await self._http_server()
        for connection in http_server.connections:
            _close_connection(connection.transport, by_reset=by_reset)
        while http_server.connections:  # noqa: ASYNC110  aiohttp has no event for it; it takes one turn of the loop
            await asyncio.sleep(0)

    async def drain(self) -> None:
        """Refuse connections, close those without a request, and return when the others have ended by themselves."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        http_server = await self._http_server()
        for connection in http_server.connections:
            connection.close()
            if is_idle(connection):
                _close_connection(connection.transport, by_reset=False)
        while http_server.connections:  # noqa: ASYNC110  aiohttp has no event for it
            await asyncio.sleep(_DRAIN_SECONDS)

    async def release(self) -> None:
        """Give the port up for good."""
        await self.close()
        self._port.let_go()
        await self._runner.cleanup()

    def descriptors(self) -> Iterator[int]:
        """The numbers of its open sockets: of the port, and of its connections."""
        yield from self._port.descriptors()
        for server in self._servers:
            yield from (listening.fileno() for listening in server.sockets)
        for connection in self._runner.server.connections if self._runner.server is not None else ():
            if connection.transport is not None:
                yield connection.transport.get_extra_info("socket").fileno()

    async def _http_server(self) -> web.Server:
        if self._runner.server is None:
            await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("aiohttp made no server")
        return self._runner.server


def _stop_accepting(server: asyncio.Server) -> None:
    """Leave further clients to the kernel: asyncio loses accepted connections if it closes the server at once."""
    loop = asyncio.get_running_loop()
    for held_socket in server.sockets:
        loop.remove_reader(held_socket.fileno())


def _close_connection(transport: asyncio.Transport | None, *, by_reset: bool) -> None:
    """Close a connection at once, and drop what it still had to send."""
    if transport is None:
        return
    if by_reset:
        reset(transport)
    else:
        transport.abort()
