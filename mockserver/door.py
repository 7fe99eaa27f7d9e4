"""A port that can be closed and opened again without ever being lost to another process."""

import asyncio
import contextlib
import logging
import socket
import struct

from aiohttp import web

_BACKLOG = 512
_QUIET = logging.getLogger("mockserver.http")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_RESET = struct.pack("ii", 1, 0)


class PortTaken(OSError):
    """Another process listens on the port; the message says which, in one sentence."""


class Door:
    """One address of a server. While closed, the port stays bound but not listening: connecting is refused."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, keepalive_timeout=5, logger=_QUIET
        )
        self._host = host
        self.port = port
        self._held: socket.socket | None = None
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    async def _server(self) -> web.Server:
        if self._runner.server is None:
            await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("aiohttp made no server")
        return self._runner.server

    def hold(self) -> socket.socket:
        """Bind the port, and learn its number if it was 0; raises PortTaken."""
        if self._held is not None:
            return self._held
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._held = socket.socket(family, kind, protocol)
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.bind(address)
        except OSError as error:
            self._let_go()
            raise self._taken(error) from error
        self.port = self._held.getsockname()[1]
        return self._held

    def _taken(self, error: OSError) -> PortTaken:
        return PortTaken(f"Cannot listen on {self._host}:{self.port}: {error.strerror}.")

    async def open(self) -> None:
        """Accept connections."""
        if self._listener is not None:
            return
        held, self._held = self.hold(), None
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(await self._server(), sock=held, backlog=_BACKLOG)
        except OSError as error:
            held.close()
            raise self._taken(error) from error

    async def close(self, *, reset: bool = False) -> None:
        """Refuse connections and cut those there are, with a reset if wanted; returns when all are gone."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self.hold()
        server = await self._server()
        for connection in server.connections:
            _cut(connection.transport, reset)
        while server.connections:  # noqa: ASYNC110  aiohttp has no event for it; it takes one turn of the loop
            await asyncio.sleep(0)

    async def release(self) -> None:
        """Give the port up for good."""
        await self.close()
        self._let_go()
        await self._runner.cleanup()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def _cut(transport: asyncio.Transport | None, reset: bool) -> None:
    """Close a connection at once, whatever it still had to say."""
    if transport is None:
        return
    if reset:
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
