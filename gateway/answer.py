"""Takes an upstream's answer and passes it on: from socket to socket in one call, with no task in between."""

import asyncio
from time import monotonic

from gateway import errors, sse
from gateway.connection import Connection, Head, UpstreamError
from gateway.endpoints import Protocol
from gateway.errors import Refusal
from gateway.exchange import Ending, Exchange
from gateway.reply import Reply
from gateway.usage import FIRST_BYTES, LAST_BYTES, Usage, read_usage

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
        self.exchange = exchange
        self._connection = connection
        self._silence = silence
        self._limit = first_byte
        self._active_at = self._loop.time()
        self._timer = self._loop.call_later(first_byte, self._check_silence)
        self._early: list[bytes] = []
        self._early_size = 0
        self._held_up: asyncio.Future[None] | None = None
        self._reply: Reply | None = None
        self._first = self._last = b""
        self._draining: asyncio.Task[None] | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._pinged_at = 0.0

    # --- from the upstream

    def head_received(self, head: Head) -> None:
        self._limit = self._silence
        self._active_at = self._loop.time()
        if not self.head.done():
            self.head.set_result(head)

    def body_received(self, data: bytes) -> None:
        self._active_at = self._loop.time()
        if self._reply is not None:
            self._pass(self._reply, data)
            return
        self._early.append(data)
        self._early_size += len(data)
        if self._early_size > _EARLY_BYTES:
            self._connection.pause_reading()
            self._settle()

    def ended(self) -> None:
        if self._reply is not None and not self.done.done():  # done already: cut, in this very moment
            self._reply.end()
        self._finish(Ending.FINISHED)

    def broken(self, error: UpstreamError) -> None:
        self.exchange.cause = str(error)
        self._finish(Ending.UPSTREAM_CUT, error)

    # --- from the gateway

    def touch(self) -> None:
        """Note that the exchange is alive: the wait for the first byte begins anew."""
        self._active_at = self._loop.time()

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
            self._held_up = self._loop.create_future()
            await self._held_up
        return b"".join(self._early)

    def pass_to(self, reply: Reply) -> None:
        """Write to the client from now on. Head, what came early, and the end if it came too, leave in one piece."""
        early, self._early = b"".join(self._early), []
        self._note(early)
        self.exchange.first_byte_at = monotonic()
        reply.start(early, complete=self.done.done() and self.done.result() is Ending.FINISHED)
        self._reply = reply
        self._connection.resume_reading()
        self._hold_back(reply)

    def keep_alive(self, reply: Reply, protocol: Protocol, seconds: float) -> None:
        """From now on, fill a silence of `seconds` with a ping; only between two events, and never before the first.

        openai-python fails on a comment in a stream that uses `id:` lines; llama-server's streams have none.
        """
        silent_for = self._loop.time() - max(self._active_at, self._pinged_at)
        if silent_for >= seconds and sse.ends_event(self._last) and self._draining is None:
            reply.send(sse.ping(protocol))
            self._pinged_at, silent_for = self._loop.time(), 0.0
        self._pinging = self._loop.call_later(
            max(seconds - silent_for, 0.01), self.keep_alive, reply, protocol, seconds
        )

    def show_broken(self, reply: Reply, ending: Ending, protocol: Protocol | None) -> None:
        """Make an answer that broke look broken: an error event if it is a stream, and no proper end.

        RFC 9112 8: a chunked body without its last chunk, and a body shorter than its length, are incomplete.
        `protocol` is None for an answer that has no room for an event.
        """
        row = _WORDS.get(ending)
        if row is not None and protocol is not None:
            last_words = sse.finish_line(self._last[-sse.TAIL_BYTES :]) + sse.error_event(
                protocol, row.type, row.message
            )
            self._note(last_words)
            reply.send(last_words)
            reply.close()
        elif row is not None and reply.framed:
            reply.close()
        else:
            reply.abort()

    def usage(self) -> Usage | None:
        """The tokens the answer speaks of, once it has passed."""
        return read_usage(self._first, self._last)

    def release(self) -> None:
        """Let go of timer, task and futures. Call once, whatever happened."""
        self._timer.cancel()
        if self._pinging is not None:
            self._pinging.cancel()
        if self._draining is not None:
            self._draining.cancel()
        if not self.head.cancel() and not self.head.cancelled():
            self.head.exception()  # seen: nobody may be left to await it
        self.done.cancel()

    # --- inside

    def _pass(self, reply: Reply, data: bytes) -> None:
        reply.send(data)
        self._note(data)
        self._hold_back(reply)

    def _note(self, data: bytes) -> None:
        self.exchange.bytes_out += len(data)
        if len(self._first) < FIRST_BYTES:
            self._first += data[: FIRST_BYTES - len(self._first)]
        self._last = (data if len(data) >= LAST_BYTES else self._last + data)[-LAST_BYTES:]

    def _hold_back(self, reply: Reply) -> None:
        """Back pressure: the client's backlog holds up the upstream's socket, and nobody else's."""
        if reply.is_backed_up and self._draining is None:
            self._connection.pause_reading()
            self._draining = self._loop.create_task(self._wait_for_client(reply))

    async def _wait_for_client(self, reply: Reply) -> None:
        try:
            await reply.drained()
        except ConnectionError:
            return  # the client left: its handler is being cancelled
        self._draining = None
        self._active_at = self._loop.time()
        self._connection.resume_reading()

    def _check_silence(self) -> None:
        left = self._active_at + self._limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_silence)
        elif self._draining is not None:
            self._finish(Ending.CLIENT_STALLED)
        else:
            self.exchange.cause = f"no byte for {self._limit:g} s"
            self._finish(Ending.TIMED_OUT, Refusal(errors.TIMED_OUT, cause=self.exchange.cause))

    def _finish(self, ending: Ending, error: Exception | None = None) -> None:
        if error is not None and not self.head.done():
            self.head.set_exception(error)
        if not self.done.done():
            self.done.set_result(ending)
        self._settle()

    def _settle(self) -> None:
        if self._held_up is not None and not self._held_up.done():
            self._held_up.set_result(None)
