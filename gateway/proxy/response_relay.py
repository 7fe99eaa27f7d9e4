"""Takes an upstream's answer and passes it on, from callback to callback: no task stands between two sockets."""

import math
from collections.abc import Callable
from enum import Enum, auto
from time import monotonic

from gateway.core import errors
from gateway.core.answer.excerpt import Excerpt, ends_of, stream_of
from gateway.core.answer.usage import read_usage
from gateway.core.endpoints import Endpoint
from gateway.core.errors import Refusal
from gateway.core.exchange import FINISHED, Ending, Exchange
from gateway.core.rate_limits import Allotment
from gateway.proxy import event_stream
from gateway.proxy.client_connection import Client
from gateway.proxy.last_words import is_whole
from gateway.proxy.response_writer import HeadWriter, ResponseWriter
from gateway.proxy.stream_pings import StreamPings
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.health.health_probe import says_loading
from gateway.proxy.upstream.passthrough import passthrough_to
from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError

_REWRITTEN_BYTES = 1024 * 1024  # of an answer that is to be rewritten, and so has to be whole first
_PEEKED_BYTES = 256 * 1024  # of a 503, to see whether it says "loading"

# What the last event of a broken stream says, and what is refused with where no answer has begun. There is none for a
# client that reads nothing.
ERRORS_BY_ENDING = {
    Ending.UPSTREAM_CUT: errors.CUT,
    Ending.TIMED_OUT: errors.SILENT,
    Ending.SHUTDOWN: errors.DRAINING,
    Ending.ENDED: errors.ENDED,
    Ending.REVOKED: errors.BAD_KEY,
}


class ResponseState(Enum):
    """How far an answer has come, seen from its client. `TRANSITIONS` says what may follow what."""

    AWAITING_HEAD = auto()  # nothing has come from the upstream
    HOLDING = auto()  # a head has come, perhaps some of the body; the client has seen nothing: it may yet be refused
    STREAMING = auto()  # the client's answer has begun: from now on it can end whole, or visibly broken
    BACKED_UP = auto()  # the same, and the client does not read: nothing is read from the upstream either
    ENDED = auto()  # reported; whatever else is called does nothing


AWAITING_HEAD, HOLDING, STREAMING, BACKED_UP, ENDED = ResponseState
TRANSITIONS = {
    AWAITING_HEAD: {HOLDING, STREAMING, ENDED},  # STREAMING at once where all of it has come
    HOLDING: {STREAMING, ENDED},
    STREAMING: {BACKED_UP, ENDED},
    BACKED_UP: {STREAMING, ENDED},
    ENDED: set[ResponseState](),
}


class ResponseRelay:
    """The answer to one request: received on `connection`, of `pool`, and written to `client`.

    `report` is called once, when all is over and the connection given back: with the Refusal to send instead of an
    answer, or with None if one was sent, whole or visibly broken (`exchange.ending`).
    `uploading` must be True while a part of the request has not been sent.
    """

    __slots__ = (
        *("__weakref__", "_active_at", "_endpoint", "_head", "_held_body", "_held_end", "_length", "_pings", "_pool"),
        *("_report", "_sent", "client", "connection", "exchange", "reply", "state", "uploading"),
    )

    def __init__(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        pool: ConnectionPool,
        connection: UpstreamConnection,
        *,
        client: Client,
        report: "Callable[[ResponseRelay, Refusal | None], None]",
    ) -> None:
        self.state: ResponseState = AWAITING_HEAD
        self.uploading = False
        self.reply: ResponseWriter | None = None  # once STREAMING
        self._head: ResponseHead | None = None  # once HOLDING
        self._held_body = b""  # what came of the body while HOLDING
        self._held_end = False  # its end, too
        self._length: int | None = None  # of the body that is sent, where that is told before
        self._pings: StreamPings | None = None  # of a stream that has begun, where they are wanted
        self.exchange = exchange
        self.client = client
        client.connection.answer = self
        self._endpoint = endpoint
        self._pool = pool
        self.connection = connection
        self._report = report
        self._sent: Excerpt  # of what the client has had, once HOLDING
        exchange.sent_at = monotonic()
        exchange.place = connection.place
        self._active_at = connection.loop.time()
        connection.idle_timer.start(self, pool.shortest_silence)

    # --- from the upstream

    def whole_received(self, head: ResponseHead, body: bytes) -> None:
        """Pass a plain answer on: nearly every one that is no stream."""
        self._length = len(body)
        if self._endpoint.rewrite is not None:
            self.head_received(head)
            self.body_received(body, True)
            return
        exchange = self.exchange
        exchange.body = body
        if exchange.allotment is not None:
            self._settle(exchange.allotment, *ends_of(body))
        self._begin(head).send(body, True)
        exchange.bytes_out = len(body) if self.client.wants_body else 0
        self._finish(FINISHED)

    def head_received(self, head: ResponseHead) -> None:
        """Judge the head: responses the client must not see (3xx, 401, 403) become refusals."""
        self.state = HOLDING
        self._head = head
        self._length = head.length
        self.exchange.excerpt = self._sent = Excerpt()
        self._sent.has_events = head.is_open_stream  # then events may be inserted, and its end is judged
        if 300 <= head.status < 400 and head.status != 304:
            self._refuse(f"it redirects ({head.status})")
        elif head.status in {401, 403}:
            self._refuse(f"it refuses the gateway's own upstream_key ({head.status})")

    def body_received(self, data: bytes, last: bool) -> None:
        """Pass on what came. Head, first piece and end leave together if they came together."""
        self._active_at = self.connection.loop.time()
        if self.reply is not None:
            self._sent.add(data)
            if last:
                self._end(self.reply, data)
                return
            self.reply.send(data, False)
            self._open_passthrough(self.reply)
        elif self.state is HOLDING:
            self._held_body += data
            self._held_end = last
            self._start_or_hold()

    def broken(self, error: UpstreamError) -> None:
        """The upstream broke off: end the answer visibly, or refuse if the client has seen nothing of it yet."""
        self.exchange.cause = str(error)
        if self.reply is None and self._held_body and not self._says_loading() and not self._is_rewritten:
            self._start_response()
        if self.reply is not None:
            self._finish(Ending.UPSTREAM_CUT)
        elif self._says_loading():
            self._refuse("it is loading its model")
        else:
            self._refuse("it broke off after the head of its answer" if self._head is not None else str(error))

    # --- from the gateway

    @property
    def silence(self) -> float:
        """Seconds since the upstream sent a byte of this answer; infinite before the first."""
        return self.connection.loop.time() - self._last_activity() if self._head is not None else math.inf

    def touch(self) -> None:
        """Note that the exchange is alive: the wait for the first byte restarts."""
        self._active_at = self.connection.loop.time()

    def fail(self, refusal: Refusal) -> None:
        """Refuse instead of answering. Does nothing once the answer has begun."""
        if self.reply is None:
            self._finish(None, refusal)

    def cut(self, ending: Ending) -> None:
        """End the answer now, visibly for the client: as `SHUTDOWN`, `ENDED` or `REVOKED`."""
        self._finish(ending, Refusal(ERRORS_BY_ENDING[ending]) if self.reply is None else None)

    def client_left(self) -> None:
        """There is nobody left to answer."""
        self._finish(Ending.CLIENT_LEFT)

    def client_backed_up(self) -> None:
        """Back pressure: the client's backlog holds up the upstream's socket, and nobody else's."""
        if self.state is STREAMING:
            self.state = BACKED_UP
            self.connection.pause_reading()

    def client_caught_up(self) -> None:
        """The client has read what it was sent."""
        if self.state is BACKED_UP:
            self.state = STREAMING
            self._active_at = self.connection.loop.time()
            self.connection.resume_reading()

    # --- from the timer

    def check_idle(self) -> float | None:
        """End the answer if it has been silent for too long; else return in how many seconds it will have been."""
        timeouts = self._pool.timeouts
        limit = timeouts.first_byte if self._head is None else timeouts.silence
        left = self._last_activity() + limit - self.connection.loop.time()
        if left > 0:
            return left
        if self.uploading and self._head is None and self.connection.is_drained:
            self.touch()  # the client is late, not the upstream: `RequestBody` watches that
            return limit
        if self.state is BACKED_UP:
            self._finish(Ending.CLIENT_STALLED)
        else:
            self.exchange.cause = f"no byte for {limit:g} s"
            self._finish(Ending.TIMED_OUT, Refusal(errors.TIMED_OUT, cause=self.exchange.cause))
        return None

    # --- inside

    def _end(self, reply: ResponseWriter, data: bytes) -> None:
        """Pass on the last of the answer; without its end, if the answer is not whole."""
        if self._sent.has_events and self._lacks_last_word(self._sent):
            reply.send(data, False)
            self.broken(_no_last_word())
            return
        if self.exchange.allotment is not None:
            self._settle(self.exchange.allotment, self._sent.first, self._sent.last())
        reply.send(data, True)
        self._finish(FINISHED)

    def _settle(self, allotment: Allotment, first: bytes, last: bytes) -> None:
        """Of a whole answer, before its client has the end of it: it may ask another worker in the same moment.

        One that does not state its prompt is left to its completion.
        """
        self.exchange.usage = usage = read_usage(first, last)
        if usage is None or usage.knows_prompt:
            allotment.settle(0 if usage is None else usage.tokens_in + usage.tokens_out, was_sent=True)

    def _lacks_last_word(self, sent: Excerpt) -> bool:
        """Whether an open stream that is over, after this, is one that breaks off all the same.

        A proxy before a model server that dies may end its answer properly; llama-server's router mode does.
        """
        word, head = self._endpoint.last_word, self._head
        return head is not None and head.status == 200 and word is not None and not is_whole(sent, word)

    def _start_or_hold(self) -> None:
        """Start the client's answer with what is held, unless more has to come before it can be judged."""
        held = self._held_body
        if self._head is not None and self._head.status == 503:
            if not self._held_end and len(held) <= _PEEKED_BYTES:
                return
            if self._says_loading():
                self._refuse("it is loading its model")
                return
        if self._is_rewritten:
            self._rewrite_or_hold()
        elif self._held_end and self._sent.has_events and self._lacks_last_word(stream_of(held)):
            self._held_end = False
            self.broken(_no_last_word())
        elif held or self._held_end:
            self._start_response()
        else:
            self.connection.loop.call_soon(self._start_response)  # if it breaks right now, it can still be refused

    @property
    def _is_rewritten(self) -> bool:
        """Whether another body is sent in the place of its own."""
        return self._head is not None and self._head.status == 200 and self._endpoint.rewrite is not None

    def _says_loading(self) -> bool:
        return self._head is not None and says_loading(self._head.status, self._held_body)

    def _rewrite_or_hold(self) -> None:
        """Send another body in the place of this one, once it is whole."""
        held = self._held_body
        if not self._held_end and len(held) <= _REWRITTEN_BYTES:
            return
        try:
            if self._head is None or self._endpoint.rewrite is None or len(held) > _REWRITTEN_BYTES:
                raise ValueError("too long")
            self._held_body = self._endpoint.rewrite(held)
            self._length = len(self._held_body)
            self._start_response()
        except Refusal as refusal:
            self.fail(refusal)
        except ValueError:
            self._refuse("its answer is not the JSON that a llama-server sends")

    def _start_response(self) -> None:
        """Start writing to the client: the head, what was held, and the end if it came too, in one piece."""
        head = self._head
        if self.state is not HOLDING or head is None:
            return
        held, self._held_body = self._held_body, b""
        self._sent.add(held)
        if self._held_end and self.exchange.allotment is not None:
            self._settle(self.exchange.allotment, self._sent.first, self._sent.last())
        reply = self._begin(head)
        reply.send(held, self._held_end)
        if self._held_end:
            self._finish(FINISHED)
            return
        self._open_passthrough(reply)
        if self.client.connection.is_backed_up:
            self.client_backed_up()
        if self._sent.has_events and self._pool.ping is not None:
            self._pings = StreamPings(self._pool.ping, self._sent, self._last_activity, self._send_ping)

    def _begin(self, head: ResponseHead) -> ResponseWriter:
        """Begin the client's answer; nothing is sent yet."""
        self.state = STREAMING
        self.exchange.status = head.status
        self.exchange.first_byte_at = monotonic()
        writer = ResponseWriter if self.client.wants_body else HeadWriter
        self.reply = writer(self.client, head, self._length, self.exchange)
        return self.reply

    def _open_passthrough(self, reply: ResponseWriter) -> None:
        """Let events bypass the parser, once what is kept of the answer's beginning is all there."""
        if self.connection.passthrough is not None or not reply.chunked or not self._sent.has_begun:
            return
        transport = self.client.connection.transport
        if transport is not None:
            self.connection.passthrough = passthrough_to(transport, self._sent, self.connection.parse)

    def _last_activity(self) -> float:
        """When the exchange was last active, in the event loop's time."""
        return self._active_at if self._head is None else max(self._active_at, self._sent.last_chunk_at)

    def _send_ping(self) -> bool:
        """Send one, if the client reads."""
        if self.reply is None or self.state is not STREAMING:
            return False
        self.reply.send(event_stream.ping(self._endpoint.protocol), False)
        return True

    def _refuse(self, why: str) -> None:
        self._finish(None, Refusal(errors.UNREACHABLE, cause=why))

    def _finish(self, ending: Ending | None, refusal: Refusal | None = None) -> None:
        """Every exchange ends here: as `ending` if its answer has begun, else with `refusal`."""
        if self.state is ENDED:
            return
        self.state = ENDED
        exchange, reply, connection = self.exchange, self.reply, self.connection
        if exchange.allotment is not None:
            exchange.allotment.leave()
        self.client.connection.answer = None
        connection.idle_timer.stop()
        if self._pings is not None:
            self._pings.stop()
        if ending is not None:
            exchange.ending = ending
        self._pool.release(connection, reusable=ending is FINISHED and not self.uploading)
        self._report(self, refusal if reply is None else None)
        if reply is None:
            return
        if ending is not FINISHED:
            self._show_broken(reply)  # last, because it may close the client's connection
        if exchange.excerpt is not None and self.client.wants_body:
            exchange.bytes_out = exchange.excerpt.size

    def _show_broken(self, reply: ResponseWriter) -> None:
        """Make an answer that broke look broken: an error event if it is a stream, and no proper end.

        RFC 9112 8: a chunked body without its last chunk, and a body shorter than its length, are incomplete.
        """
        row = ERRORS_BY_ENDING.get(self.exchange.ending)
        if row is not None and self._sent.has_events:
            event = event_stream.error_event(self._endpoint.protocol, row.type, row.message)
            data = event_stream.finish_line(self._sent.last()[-event_stream.TAIL_BYTES :]) + event
            self._sent.add(data)
            reply.send(data, False)
            reply.close()
        elif reply.framed and self.exchange.ending is not Ending.CLIENT_STALLED:
            reply.close()
        else:
            reply.abort()


def _no_last_word() -> UpstreamError:
    return UpstreamError("it ended its stream without the last word of its protocol")
