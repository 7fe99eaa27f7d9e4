"""Decides which bytes of a client's connection take the fast path, and which aiohttp gets.

aiohttp's parser is given whole requests, or everything from some byte on: it never sees what the fast path has taken,
and it is never left in the middle of a request. Requests of one connection are answered in their order.
"""

import asyncio
import math
from enum import Enum, auto
from typing import Any

from aiohttp import web

from gateway.proxy.client_connection import Client, ClientConnection
from gateway.proxy.request_body import CONTINUE, HELD_BYTES
from gateway.proxy.write_coalescing import WriteCoalescer
from gateway.server.admission import Admitted, Rejected, RequestedTarget
from gateway.server.fast_path.fast_path import NO, NOT_YET, YES, Begun, FastPath
from gateway.server.fast_path.fast_path_parser import PlainRequest, is_plain_preflight, plain_request

COLLECTING_SECONDS = 0.02  # until the rest of a plain request has come: clients send head and body apart
# How many turns of the event loop a request waits for an idle connection, or for aiohttp to end the request before
# it: this takes less time than aiohttp's way.
_RETRIES = 2
_MAX_AHEAD_BYTES = 256 * 1024  # kept of a client that sends on before it is answered; then its socket is paused


class ConnectionState(Enum):
    """Whose the next bytes of a connection are."""

    FREE = auto()  # they begin a request, together with what is buffered
    FAST_PATH = auto()  # they wait in the buffer: a request is under way on the fast path
    AIOHTTP = auto()  # aiohttp's: they are the rest of a request, or of all there is


FREE, FAST_PATH, AIOHTTP = ConnectionState
TRANSITIONS = {
    FREE: {FAST_PATH, AIOHTTP},
    FAST_PATH: {FREE},
    AIOHTTP: {FREE},
}


class Demultiplexer(ClientConnection):
    """One client connection that can take either path."""

    __slots__ = (
        *("_aiohttp_bytes", "_buffer", "_collecting", "_decision", "_fast_path"),
        *("_missing", "_pieces", "_retries", "_state"),
    )

    def __init__(self, fast_path: FastPath, coalescer: WriteCoalescer, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(coalescer, manager, **kwargs)
        self._fast_path = fast_path
        self._state: ConnectionState = FREE
        self._buffer = b""
        self._pieces: list[bytes] = []  # what follows the buffer: joined once, and not for each piece of a long body
        self._collecting: asyncio.TimerHandle | None = None  # until then the rest of a plain request may come
        self._missing = 0  # bytes that it lacks, at least
        self._retries = 0
        self._aiohttp_bytes: float = 0  # how many of the next bytes are aiohttp's
        self._decision: Admitted | Rejected | None = None  # on the request that the buffer begins with

    def data_received(self, data: bytes) -> None:
        if self._state is FREE and data:
            if self._collecting is not None and self._missing > len(data):
                self._pieces.append(data)
                self._missing -= len(data)
            else:
                self._dispatch(b"".join((self._buffer, *self._pieces, data)) if self._buffer else data)
        elif self._state is FAST_PATH:
            self._buffer_ahead(data)
        else:
            more = self._aiohttp_bytes - len(data)
            self._give_to_aiohttp(data, more if more >= 0 else math.inf)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._buffer and self._collecting is None:
            self.event_loop.call_soon(self._resume)

    def feed_rest(self) -> None:
        """Let aiohttp read what is buffered: the client has left, and each of its requests is to be noted."""
        data = self._take_buffer()
        if data:
            self.feed(data)

    def request_over(self) -> None:
        self._state = FREE
        self.restart_keepalive()
        if self._buffer:
            self.event_loop.call_soon(self._resume)

    def decision_on(self, asked: RequestedTarget) -> Admitted | Rejected | None:
        """The decision on a request that the fast path admitted and did not begin; None if there is none."""
        decision, self._decision = self._decision, None
        return decision if decision is not None and decision.asked == asked else None

    @property
    def is_busy(self) -> bool:
        return self._state is FAST_PATH

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way here: no request, no answer, at most the beginning of a head."""
        unanswered = self._state is FAST_PATH or self.answer is not None or self.is_unread
        return not unanswered and not self._buffer and self.waits_for_request

    def close_idle(self) -> None:
        """Close it, to have its file descriptor for others."""
        if self.transport is not None:
            self.transport.close()

    def _dispatch(self, data: bytes) -> None:
        """Route `data`, which begins with a request, while nothing is under way on the fast path."""
        if not self._retries and not self.is_invited:
            self._decision = None  # it was on another request
        request = plain_request(data)
        if request is not None and request.missing == 0:
            if self._buffer:
                self._take_buffer()
            self._begin(request, data)
            return
        self._buffer = data
        self._pieces.clear()
        self._missing = 0 if request is None else request.missing
        if self._missing > HELD_BYTES or request is None:
            self._stop_collecting(request)
        elif self._collecting is None:
            self._collecting = self.event_loop.call_later(COLLECTING_SECONDS, self._stop_collecting, request)
            if request.head.expects:
                self._invite(request, _RETRIES, self._collecting)

    def _invite(self, request: PlainRequest, retries: int, collecting: asyncio.TimerHandle) -> None:
        """Tell a client that waits to be told so to send the body (RFC 9110 10.1.1), once its request is admitted.

        A request that is not, or whose body is too long, is aiohttp's; so is one that cannot be answered soon.
        """
        if self._collecting is not collecting:
            return  # it is not this request any more that is collected
        if retries and not self.waits_for_request:
            self.event_loop.call_soon(self._invite, request, retries - 1, collecting)
        elif self.waits_for_request and not self.is_backed_up and self._admits(request):
            self.is_invited = True
            self.send(CONTINUE)
        else:
            self._stop_collecting(request)

    def _admits(self, request: PlainRequest) -> bool:
        self._decision = self._fast_path.admit(request.head.asked) if self._fast_path.takes(request) else None
        return isinstance(self._decision, Admitted)

    def _begin(self, request: PlainRequest, data: bytes) -> None:
        """Carry a whole request, or give its bytes, `data`, to aiohttp."""
        if self.is_backed_up:
            self._buffer = data  # the client has not read its last answer yet
            return
        begun = self._try_fast_path(request) if self.waits_for_request else NOT_YET
        if begun is YES or (begun is NOT_YET and self._try_line(request)):
            self._retries = 0
            self.is_invited = False
            self._state = FAST_PATH
            self.has_proved_key = True
        elif begun is NOT_YET and self._try_again_soon():
            self._buffer = data
        else:
            self._give_to_aiohttp(data, 0)

    def _try_fast_path(self, request: PlainRequest) -> Begun:
        """Begin a request on the fast path. The decision on it outlives an attempt: it is taken once."""
        if not self._fast_path.takes(request):
            return NO
        decision = self._decision or self._fast_path.admit(request.head.asked)
        begun = self._fast_path.carry(request, decision, Client(self))
        self._decision = None if begun is YES else decision
        return begun

    def _try_line(self, request: PlainRequest) -> bool:
        """Let a request that could not begin wait for its place from now on: nobody who comes later overtakes it."""
        if self.answer is not None or not self.waits_for_request:
            return False
        waits = self._fast_path.wait(request, self._decision, Client(self))
        if waits:
            self._decision = None
        return waits

    def _try_again_soon(self) -> bool:
        """Have a request that could not begin tried again: in the next turns, then once with a new connection."""
        self._retries += 1
        if self.answer is not None or self._retries > _RETRIES + 1:
            return False
        if self._retries > _RETRIES:
            return self._fast_path.connect(self._decision, self._resume)
        self.event_loop.call_soon(self._resume)
        return True

    def _stop_collecting(self, request: PlainRequest | None) -> None:
        """Give aiohttp what there is: the beginning of a `request`, or something whose end only aiohttp can find."""
        data = self._take_buffer()
        if request is not None:
            self._give_to_aiohttp(data, math.inf if request.is_endless else self._missing)
        else:
            self._give_to_aiohttp(data, 0 if is_plain_preflight(data) else math.inf)

    def _give_to_aiohttp(self, data: bytes, more: float) -> None:
        """Give aiohttp these bytes, and as many `more` when they come."""
        self._retries = 0
        self._aiohttp_bytes = more
        self._state = AIOHTTP if more else FREE
        self.feed(data)

    def _take_buffer(self) -> bytes:
        if self._collecting is not None:
            self._collecting.cancel()
            self._collecting = None
        data = b"".join((self._buffer, *self._pieces)) if self._pieces else self._buffer
        self._buffer = b""
        self._pieces.clear()
        return data

    def _buffer_ahead(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _MAX_AHEAD_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def _resume(self) -> None:
        busy = self._state is FAST_PATH
        if self._buffer and not busy and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(self._take_buffer())
