"""The answer on its way down: from the upstream's socket to the client's in one call, with no task in between."""

import asyncio
from time import monotonic

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from gateway import errors, sse
from gateway.connection import Connection, Head, UpstreamError
from gateway.endpoints import Protocol
from gateway.errors import Refusal
from gateway.exchange import Ending, Exchange

_EARLY_BYTES = 256 * 1024  # held before the client's answer has begun; then the upstream is told to wait

# What the last event of a broken stream says. No words for a client that reads nothing.
_WORDS = {
    Ending.UPSTREAM_CUT: errors.CUT,
    Ending.TIMED_OUT: errors.SILENT,
    Ending.SHUTDOWN: errors.DRAINING,
}


class Answer:
    """Receives an upstream's answer, and writes it to the client from `pass_to` on.

    `head` and `done` are futures: the head, or the UpstreamError or Refusal that came instead; and how the answer
    ended. `first_byte` and `silence` in seconds limit the wait for the one and between two pieces of the other.
    """

    def __init__(self, exchange: Exchange, connection: Connection, first_byte: float, silence: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.head: asyncio.Future[Head] = self._loop.create_future()
        self.done: asyncio.Future[Ending] = self._loop.create_future()
        self._exchange = exchange
        self._connection = connection
        self._silence = silence
        self._limit = first_byte
        self._last = self._loop.time()
        self._timer = self._loop.call_later(first_byte, self._check_silence)
        self._early: list[bytes] = []
        self._early_size = 0
        self._settled = asyncio.Event()
        self._client: asyncio.Transport | None = None
        self._writer: AbstractStreamWriter | None = None
        self._client_side: web.RequestHandler | None = None
        self._chunked = self._framed = False
        self._tail = b""
        self._draining: asyncio.Task[None] | None = None

    # --- from the upstream

    def head_received(self, head: Head) -> None:
        self._limit = self._silence
        self._last = self._loop.time()
        if not self.head.done():
            self.head.set_result(head)

    def body_received(self, data: bytes) -> None:
        self._last = self._loop.time()
        if self._client is not None:
            self._write(data)
            return
        self._early.append(data)
        self._early_size += len(data)
        if self._early_size > _EARLY_BYTES:
            self._connection.pause_reading()
            self._settled.set()

    def ended(self) -> None:
        self._finish(Ending.FINISHED)

    def broken(self, error: UpstreamError) -> None:
        self._exchange.cause = str(error)
        self._finish(Ending.UPSTREAM_CUT, error)

    # --- from the gateway

    def touch(self) -> None:
        """Note that the exchange is alive: the wait for the first byte begins anew."""
        self._last = self._loop.time()

    def fail(self, refusal: Refusal) -> None:
        """End the wait for a head with a refusal. Does nothing once the head is there."""
        if not self.head.done():
            self.head.set_exception(refusal)

    def cut(self) -> None:
        """End the answer now because the gateway is shutting down; the client is shown so."""
        self._finish(Ending.SHUTDOWN, Refusal(errors.DRAINING))

    @property
    def broke_unseen(self) -> bool:
        """Whether the answer broke before a byte of its body came."""
        return self.done.done() and self.done.result() is not Ending.FINISHED and not self._early

    async def peek(self) -> bytes:
        """The beginning of the body, or all of it if it is short, before any of it is passed on."""
        if not self.done.done():
            await self._settled.wait()
        return b"".join(self._early)

    def pass_to(self, request: web.Request, response: web.StreamResponse, writer: AbstractStreamWriter | None) -> None:
        """Begin to write to the client, whose `response` has been prepared. What came early goes first."""
        self._client, self._writer, self._client_side = request.transport, writer, request.protocol
        self._chunked = hdrs.TRANSFER_ENCODING in response.headers
        self._framed = self._chunked or hdrs.CONTENT_LENGTH in response.headers
        self._exchange.first_byte_at = monotonic()
        early, self._early = b"".join(self._early), []
        if early:
            self._write(early)
        if self._early_size > _EARLY_BYTES and self._draining is None:
            self._connection.resume_reading()

    def show_broken(self, ending: Ending, protocol: Protocol | None) -> None:
        """Make an answer that broke look broken: an error event if it is a stream, and no proper end.

        RFC 9112 8: a chunked body without its last chunk, and a body shorter than its length, are incomplete.
        `protocol` is None for an answer that is no event stream.
        """
        row = _WORDS.get(ending)
        if self._client is None or self._client.is_closing():
            return
        if row is not None and protocol is not None:
            self._write(sse.finish_line(self._tail) + sse.error_event(protocol, row.type, row.message))
            self._client.close()
        elif row is not None and self._framed:
            self._client.close()
        else:
            self._client.abort()

    def release(self) -> None:
        """Let go of timer and tasks. Call once, whatever happened."""
        self._timer.cancel()
        if self._draining is not None:
            self._draining.cancel()
        self.head.cancel()
        self.done.cancel()

    # --- inside

    def _write(self, data: bytes) -> None:
        if self._client is None or self._client.is_closing():
            return
        self._client.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        self._exchange.bytes_out += len(data)
        self._tail = (data if len(data) >= sse.TAIL_BYTES else self._tail + data)[-sse.TAIL_BYTES :]
        if self._client_side is not None and self._client_side.writing_paused and self._draining is None:
            self._connection.pause_reading()
            self._draining = self._loop.create_task(self._wait_for_client())

    async def _wait_for_client(self) -> None:
        """Back pressure: the client's backlog holds up the upstream's socket, and nobody else's."""
        try:
            if self._writer is not None:
                await self._writer.drain()
        except ConnectionError:
            return  # the client left: its handler is being cancelled
        self._draining = None
        self._last = self._loop.time()
        self._connection.resume_reading()

    def _check_silence(self) -> None:
        left = self._last + self._limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence)
        elif self._draining is not None:
            self._finish(Ending.CLIENT_STALLED)
        else:
            self._exchange.cause = f"no byte for {self._limit:g} s"
            self._finish(Ending.TIMED_OUT, Refusal(errors.TIMED_OUT, cause=self._exchange.cause))

    def _finish(self, ending: Ending, error: Exception | None = None) -> None:
        self._settled.set()
        if error is not None and not self.head.done():
            self.head.set_exception(error)
        if not self.done.done():
            self.done.set_result(ending)
