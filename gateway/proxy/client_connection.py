"""A client's connection as an answer under way sees it: its socket, its back pressure, and its loss."""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import StreamReader, web

from gateway.proxy.aiohttp_internals import AiohttpConnection
from gateway.proxy.write_coalescing import WriteCoalescer

_RESET = struct.pack("ii", 1, 0)  # socket(7): lingering for no time at all makes the close a reset


class ClientObserver(Protocol):
    """An answer on its way to the client; it is told what happens on the client's side."""

    def client_backed_up(self) -> None: ...
    def client_caught_up(self) -> None: ...
    def client_left(self) -> None: ...


class ClientConnection(AiohttpConnection):
    """Reports the connection's events to `answer` while one is under way."""

    __slots__ = ("_coalescer", "_unsent", "answer", "has_proved_key", "is_backed_up", "is_invited")

    def __init__(self, coalescer: WriteCoalescer, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self.answer: ClientObserver | None = None
        self._coalescer = coalescer
        self.is_backed_up = False  # the client reads more slowly than the gateway writes
        self.has_proved_key = False  # whether one of its requests had a good key
        self.is_invited = False  # whether the client was told to go on with a request that aiohttp may yet read
        self._unsent = b""  # waits in the coalescer

    def send(self, data: bytes) -> None:
        """Send now, unless the connection is closing: nothing may follow what it was closed behind."""
        self._unsent += data
        self.flush()

    def send_with_others(self, data: bytes) -> None:
        """Send at the end of this turn of the event loop, or before what is sent sooner."""
        self._unsent += data
        self._coalescer.add(self)

    def flush(self) -> None:
        """Send what is in the coalescer."""
        data, self._unsent = self._unsent, b""
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_backed_up = True
        if self.answer is not None:
            self.answer.client_backed_up()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_backed_up = False
        if self.answer is not None:
            self.answer.client_caught_up()

    def eof_received(self) -> None:
        """A client that has closed its side has left; it may still read what was sent to it before."""
        self.flush()
        super().eof_received()
        self._leave()

    def reset(self) -> None:
        """Reset the connection: the one way to show an HTTP/1.0 client that a body is not whole."""
        if self.transport is None:
            return
        with suppress(OSError):  # the client is gone already
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    @property
    def peer(self) -> str | None:
        """The address of whoever is connected; None on a Unix socket, and once the connection is gone."""
        peer = None if self.transport is None else self.transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else None

    @property
    def is_unread(self) -> bool:
        """Whether an answer is over of which a part has not left yet."""
        if self.answer is not None or self.transport is None:
            return False
        return bool(self._unsent) or self.transport.get_write_buffer_size() > 0

    def request_over(self) -> None:
        """Called when the answer to a request that aiohttp has not seen is over."""

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._leave()

    def _leave(self) -> None:
        if self.answer is not None:
            self.answer.client_left()


def connection_of(request: web.BaseRequest) -> ClientConnection:
    """The connection that a request has come over: all are ours, which aiohttp's types do not know."""
    return cast(ClientConnection, request.protocol)


@dataclass(slots=True)
class Client:
    """The client of one answer. One older than HTTP/1.1 (not `speaks_http11`) does not understand chunks.

    `persists`: it wants to use the connection again. `content` is the part of its request that may be unread.
    `wants_body` is False for a HEAD request.
    """

    connection: ClientConnection
    speaks_http11: bool = True
    persists: bool = True
    content: StreamReader | None = None
    wants_body: bool = True
