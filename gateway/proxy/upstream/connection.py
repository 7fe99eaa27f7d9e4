"""One HTTP/1.1 connection to a llama-server, carrying one exchange at a time.

Bytes of an answer are handed on in the very call in which the socket delivered them.
"""

import asyncio
import select
from time import monotonic
from typing import Protocol, cast

from gateway.proxy.queue.deployment_line import Place
from gateway.proxy.upstream.idle_timer import IdleTimer
from gateway.proxy.upstream.passthrough import Passthrough
from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError
from gateway.proxy.upstream.response_parser import ResponseParser

# How many exchanges a connection serves where its server does not say. llama-server says, in `Keep-Alive`, that it
# closes one after 100; nginx closes one after 1000, and says nothing before.
_MOST_EXCHANGES = 1000
_SPARED_EXCHANGES = 5  # fewer than the server would serve: its count and ours may differ
_FULL_READ = 128 * 1024  # bytes; a read this large means more is waiting (uvloop's buffer has twice that size)


class ResponseReceiver(Protocol):
    """Who takes an answer: `head_received`, then `body_received` for each read of the socket, then nothing more.

    The data is empty where a read brought none of the body: the head alone, or the `last` of it, after which the
    connection is free. `broken` may come in place of any of these, and is the last then. In the place of all,
    `whole_received` brings a plain answer (`plain_answer`), after which the connection is free.
    """

    def whole_received(self, head: ResponseHead, body: bytes) -> None: ...
    def head_received(self, head: ResponseHead) -> None: ...
    def body_received(self, data: bytes, last: bool) -> None: ...
    def broken(self, error: UpstreamError) -> None: ...


class UpstreamConnection(asyncio.BaseProtocol):
    """Send with `send_request` and `write`; the answer arrives at the receiver given to `send_request`.

    Once the receiver has set a `passthrough`, chunks may go there instead, until it gives the connection back. A
    passthrough has to hand to `parse` what it does not pass on.
    """

    __slots__ = (
        *("_drained", "_head_told", "_open_passthrough", "_parser", "_paused", "_poll", "_receiver", "_transport"),
        *("__weakref__", "exchanges", "idle_since", "idle_timer", "loop", "opened_at", "passthrough", "place"),
    )

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()  # asked once for all exchanges: up to Python 3.11 it asks the kernel
        self._transport: asyncio.Transport | None = None
        self._receiver: ResponseReceiver | None = None
        self._parser = ResponseParser()
        self._head_told = False
        self._open_passthrough: Passthrough | None = None
        self._poll: select.poll | None = None  # made when it has been idle
        self._paused = False
        self._drained: asyncio.Event | None = None  # while the upstream does not take what is written
        self.idle_timer = IdleTimer()
        self.passthrough: Passthrough | None = None
        self.opened_at = self.idle_since = monotonic()
        self.exchanges = 0
        self.place: Place | None = None  # of the request that it carries

    # --- the way up

    def send_request(self, receiver: ResponseReceiver, data: bytes) -> None:
        """Start an exchange with the request's first bytes. Raises UpstreamError if the connection is gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise UpstreamError("the connection closed before the request was sent")
        self._receiver = receiver
        self._parser.reset()
        self._head_told = False
        self.exchanges += 1
        transport.write(data)

    def write(self, data: bytes) -> None:
        """Send more of the request. After the upstream has gone this does nothing: the receiver was told."""
        if not self.is_closing():
            self.transport.write(data)

    @property
    def is_drained(self) -> bool:
        """Whether the upstream has taken most of what was written, or is gone."""
        return self._drained is None

    async def drain(self) -> None:
        """Wait until `is_drained`."""
        if self._drained is not None:
            await self._drained.wait()

    # --- the way down

    def pause_reading(self) -> None:
        """Let the upstream feel that the client is slow."""
        if not self._paused and not self.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`, if there was one."""
        if self._paused and not self.is_closing():
            self._paused = False
            self.transport.resume_reading()

    @property
    def data_received(self) -> Passthrough:
        """What is called with the bytes of each read. uvloop looks it up only in `set_protocol` (see `_read_by`)."""
        return self._open_passthrough or self.parse

    def parse(self, data: bytes) -> None:
        """Parse a read of the socket. A passthrough before it took whole chunks: the parser is still between two."""
        if self._receiver is None:
            self.abort()  # nobody asked: whatever this is, it must not become part of the next answer
            return
        answer = self._parser.plain(data)
        if answer is not None:
            receiver, self._receiver = self._receiver, None
            receiver.whole_received(*answer)
            return
        wrong = self._parser.feed(data)
        self._hand_on()
        if wrong:
            self.give_up(wrong)
            return
        self._read_by(self.passthrough if self._parser.is_between_chunks(data) else None)
        if len(data) >= _FULL_READ:
            self._let_others_read()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._parser.close()
        self.resume_writing()
        if self._receiver is None:
            return
        if exc is None and self._parser.ends_with_connection():
            self._hand_on()
        else:
            self.give_up("it closed the connection" if exc is None else f"the connection broke: {exc}")

    def eof_received(self) -> None:
        """Nothing is sent to an upstream that has closed; asyncio calls `connection_lost` next."""

    def pause_writing(self) -> None:
        self._drained = self._drained or asyncio.Event()

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    # --- the life of a connection

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport. Raises UpstreamError before it is connected."""
        if self._transport is None:
            raise UpstreamError("not connected")
        return self._transport

    def is_closing(self) -> bool:
        """Whether no request can be sent here any more."""
        return self._transport is None or self._transport.is_closing()

    def is_stale(self) -> bool:
        """Whether an idle connection has been closed, or written to, by the other side.

        Asks the kernel too: the event loop may not have got round to it yet.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return True
        if self._poll is None:
            self._poll = _poll_of(transport)
        return bool(self._poll.poll(0))

    def may_be_reused(self) -> bool:
        """Whether the answer just received leaves the connection fit for the next request."""
        head = self._parser.head
        if head is None or not head.keep_alive or not self._parser.complete or self._parser.surplus:
            return False
        return self.exchanges < (head.most_exchanges or _MOST_EXCHANGES) - _SPARED_EXCHANGES and not self.is_closing()

    @property
    def was_answered(self) -> bool:
        """Whether the head of an answer to the last request has come."""
        return self._parser.head is not None

    @property
    def was_chunked(self) -> bool:
        """Whether the answer just received came in chunks."""
        return self._parser.head is not None and self._parser.head.chunked

    def release(self) -> None:
        """Forget the exchange; nothing is handed on any more. Resume reading: the last client may have paused it."""
        self._receiver = self.passthrough = None
        if self._open_passthrough is not None:
            self._read_by(None)
        if self._paused:
            self.resume_reading()

    def abort(self) -> None:
        """Close at once, so that the upstream notices and frees its slot."""
        self.release()
        self.idle_timer.close()
        if self._transport is not None:
            self._transport.abort()

    def give_up(self, why: str) -> None:
        """Close at once, and end the exchange, if there is one, as broken."""
        receiver = self._receiver
        self.abort()
        if receiver is not None:
            receiver.broken(UpstreamError(why))

    # --- inside

    def _read_by(self, passthrough: Passthrough | None) -> None:
        """Open this passthrough; None closes the one that is open."""
        if passthrough is not self._open_passthrough:
            self._open_passthrough = passthrough
            self.transport.set_protocol(self)

    def _let_others_read(self) -> None:
        """Read on in the next turn of the event loop: libuv would go on here for 32 reads as large as this."""
        if not self._paused and not self.is_closing():
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._paused and not self.is_closing():
            self.transport.resume_reading()

    def _hand_on(self) -> None:
        """Tell the receiver what this read has brought: all of it in one piece, and the end with the last one."""
        head, last = self._parser.head, self._parser.complete
        if self._receiver is None or head is None:
            return
        is_news = not self._head_told
        if is_news:
            self._head_told = True
            self._receiver.head_received(head)
        receiver, data = self._receiver, self._parser.taken()
        if receiver is None or not (data or last or is_news):
            return
        if last:
            self._receiver = None
        receiver.body_received(data, last)


def _poll_of(transport: asyncio.Transport) -> select.poll:
    poll, socket = select.poll(), transport.get_extra_info("socket")
    if socket is not None:
        poll.register(socket.fileno(), select.POLLIN | select.POLLHUP)
    return poll
