"""Decides which bytes of a client's connection take the fast path, and which aiohttp gets.

aiohttp's parser is given whole requests, or everything from some byte on: it never sees what the fast path has taken,
and it is never left in the middle of a request. Requests of one connection are answered in their order.
"""

import asyncio
import math
from typing import Any

from aiohttp import web

from gateway.proxy.client_connection import Client, ClientConnection
from gateway.proxy.request_body import HELD_BYTES
from gateway.proxy.write_coalescing import Outbox
from gateway.server.fast_path import Begun, FastPath
from gateway.server.fast_path_parser import PlainRequest, plain_request

PATIENCE_SECONDS = 0.02  # until the rest of a plain request has come: clients send head and body apart
# How many turns of the event loop a request waits for an idle connection, or for aiohttp to end the request before
# it: this takes less time than aiohttp's way.
_TURNS = 2
_MAX_AHEAD_BYTES = 256 * 1024  # kept of a client that sends on before it is answered; then its socket is paused


class Dispatch(ClientConnection):
    """One client connection that can take either path."""

    __slots__ = ("_aiohttp_bytes", "_busy", "_fast_path", "_held", "_patience", "_turns")

    def __init__(self, fast_path: FastPath, outbox: Outbox, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(outbox, manager, **kwargs)
        self._fast_path = fast_path
        self._busy = False  # a request is under way on the fast path
        self._held = b""  # came meanwhile, or is the beginning of a plain request
        self._patience: asyncio.TimerHandle | None = None
        self._turns = 0
        self._aiohttp_bytes: float = 0  # how many of the next bytes are aiohttp's: the rest of a request, or all

    def data_received(self, data: bytes) -> None:
        if self._busy:
            self._buffer_ahead(data)
        elif self._aiohttp_bytes or not data:
            self._aiohttp_bytes -= len(data)
            self._pass_on(data, self._aiohttp_bytes if self._aiohttp_bytes >= 0 else math.inf)
        else:
            self._dispatch(self._held + data if self._held else data)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held and self._patience is None:
            self._loop.call_soon(self._go_on)

    def connection_lost(self, exc: BaseException | None) -> None:
        begun = plain_request(self._take_held())
        if begun is not None and not self._busy:
            self._fast_path.note_leaving(begun)
        super().connection_lost(exc)

    def request_over(self) -> None:
        self._busy = False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._held:
            self._loop.call_soon(self._go_on)

    def _dispatch(self, data: bytes) -> None:
        """Route `data`, which begins with a request, while nothing is under way on the fast path."""
        request = plain_request(data)
        if request is not None and request.missing == 0:
            self._take_held()
            self._answer(request, data)
            return
        self._held = data
        if request is None or request.missing > HELD_BYTES:
            self._give_up_waiting(request)
        elif self._patience is None:
            self._patience = self._loop.call_later(PATIENCE_SECONDS, self._give_up_waiting, request)

    def _answer(self, request: PlainRequest, data: bytes) -> None:
        """Carry a whole request, or give its bytes, `data`, to aiohttp."""
        if self.writing_paused:
            self._held = data  # the client has not read its last answer yet
            return
        begun = self._fast_path.carry(request, Client(self)) if self._aiohttp_rests else Begun.NOT_YET
        if begun is Begun.NOT_YET and self.answer is None and self._turns < _TURNS:
            self._turns += 1
            self._held = data
            self._loop.call_soon(self._go_on)
            return
        self._turns = 0
        self._busy = begun is Begun.YES
        if not self._busy:
            self._pass_on(data, 0)

    def _give_up_waiting(self, request: PlainRequest | None) -> None:
        """Give aiohttp what there is: the beginning of a `request`, or something whose end only aiohttp can find."""
        held = self._take_held()
        self._pass_on(held, math.inf if request is None else request.whole_size - len(held))

    def _pass_on(self, data: bytes, more: float) -> None:
        """Give aiohttp these bytes, and as many `more` when they come."""
        self._turns = 0
        self._aiohttp_bytes = more
        self.feed_aiohttp(data)

    def feed_aiohttp(self, data: bytes) -> None:
        """Let aiohttp read, and answer, what came."""
        super().data_received(data)

    def _take_held(self) -> bytes:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        held, self._held = self._held, b""
        return held

    def _buffer_ahead(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > _MAX_AHEAD_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        if self._held and not self._busy and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(self._take_held())

    @property
    def _aiohttp_rests(self) -> bool:
        """Whether aiohttp waits for a request."""
        return self._waiter is not None and not self._waiter.done() and not self._messages

    def _process_keepalive(self) -> None:
        """Keep aiohttp from closing the connection as idle while the fast path is busy on it."""
        if self._busy:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()
