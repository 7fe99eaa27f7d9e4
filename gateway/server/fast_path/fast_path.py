"""Begins a plain request in the very call that received it, if nothing stands in its way: no task, no waiting.

It serves the good case only: the request is admitted, and a connection to its upstream is idle, or is so once it has
been opened; or all places there are taken, and it waits in line (`request_in_line`). If that is not so, nothing has
been sent, and `request_pipeline` goes on with the same decision.
"""

import logging
from collections.abc import Callable
from enum import Enum, auto

from aiohttp import web

from gateway.core.errors import Refusal
from gateway.core.exchange import Exchange
from gateway.proxy.client_connection import Client
from gateway.proxy.relay import RELAY
from gateway.proxy.request_body import HELD_BYTES, content_length
from gateway.proxy.response_relay import ResponseRelay
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.write_coalescing import WriteCoalescer
from gateway.server.admission import ADMISSION, Admitted, Rejected
from gateway.server.completion import COMPLETION
from gateway.server.fast_path.fast_path_parser import PlainRequest
from gateway.server.fast_path.request_in_line import RequestInLine
from gateway.server.refusal_response import REFUSER
from gateway.telemetry.access_log import ACCESS

log = logging.getLogger("gateway.fast_path")


class Begun(Enum):
    """Whether a request has been sent up. `NOT_YET`: a moment later it might be."""

    YES = auto()
    NOT_YET = auto()
    NO = auto()


YES, NOT_YET, NO = Begun


class FastPath:
    """Carries plain requests of one application; without `proxies` it takes none."""

    def __init__(self, app: web.Application, coalescer: WriteCoalescer, *, proxies: bool) -> None:
        self._coalescer = coalescer
        self._access = app[ACCESS]
        self.admit = app[ADMISSION].admit  # called once for each request; its decision is handed to `carry`
        self._completion = app[COMPLETION]
        self._refuser = app[REFUSER]
        self._relay = app[RELAY]
        self._body_bytes = min(self._relay.body_bytes, HELD_BYTES) if proxies else -1
        self._ended: list[Exchange] = []  # in this turn of the event loop
        self._report = self._answer_over  # bound once, not for each answer

    def takes(self, request: PlainRequest) -> bool:
        """Whether the body of a plain request, as far as it is known, is short enough for this path."""
        return len(request.body) + request.missing <= self._body_bytes

    def carry(self, request: PlainRequest, decision: Admitted | Rejected, client: Client) -> Begun:
        """Send a whole request up, or do nothing.

        When its answer is over, `client.connection.request_over` is called.
        """
        if isinstance(decision, Rejected) or self._relay.stopped:
            return NO
        pool = decision.pool
        connection = pool.connect_at_once(decision.claimant)
        if connection is None:
            return NOT_YET
        exchange = self._begin_exchange(request, decision)
        if exchange is None:
            pool.put_back(connection)
            return NO
        endpoint = decision.asked.endpoint
        answer = ResponseRelay(exchange, endpoint, pool, connection, client=client, report=self._report)
        self._relay.start(answer, _whole(request, decision))
        return YES

    def connect(self, decision: Admitted | Rejected | None, then: Callable[[], None]) -> bool:
        """Open a connection for a request that lacked one, and call `then`; return whether it will be called."""
        return isinstance(decision, Admitted) and self._relay.open_ahead(decision.pool, decision.claimant, then)

    def wait(self, request: PlainRequest, decision: Admitted | Rejected | None, client: Client) -> bool:
        """Let a whole request wait in line for its place; False, and nothing is done, if there is no need to.

        When it is over, `client.connection.request_over` is called.
        """
        if not isinstance(decision, Admitted) or decision.claimant is None or self._relay.stopped:
            return False
        pool = decision.pool
        if pool.line.free or pool.refusal is not None:
            return False
        exchange = self._begin_exchange(request, decision)
        if exchange is None:
            return False
        endpoint, data = decision.asked.endpoint, _whole(request, decision)
        in_line = RequestInLine(
            exchange, endpoint, pool, data, client=client, relay=self._relay, begin=self._begin, report=self._end
        )
        in_line.wait(decision.claimant)
        return True

    def _begin_exchange(self, request: PlainRequest, decision: Admitted) -> Exchange | None:
        """None, and nothing was begun, if a limit stands in its way: the other way refuses it."""
        exchange = self._access.start(request.head.request_id, request.head.origin)
        decision.note_on(exchange)
        if decision.allowance is not None and decision.allowance.take(exchange) is not None:
            return None
        exchange.bytes_in = len(request.body)
        return exchange

    def _begin(self, waited: RequestInLine, connection: UpstreamConnection) -> ResponseRelay:
        return ResponseRelay(
            waited.exchange, waited.endpoint, waited.pool, connection, client=waited.client, report=self._report
        )

    def _answer_over(self, answer: ResponseRelay, refusal: Refusal | None) -> None:
        self._relay.finish(answer)
        self._end(answer.exchange, answer.client, refusal)

    def _end(self, exchange: Exchange, client: Client, refusal: Refusal | None) -> None:
        connection = client.connection
        if refusal is not None and connection.transport is not None:
            self._refuser.refuse_at_once(exchange, refusal, connection)
        if not self._ended:
            self._coalescer.afterwards(self._complete)
        self._ended.append(exchange)
        connection.request_over()

    def _complete(self) -> None:
        ended, self._ended = self._ended, []
        for exchange in ended:
            try:
                self._completion.complete(exchange)
            except Exception:  # a fault of ours in one must not lose the others
                log.exception("internal error behind an answer")


def _whole(request: PlainRequest, decision: Admitted) -> bytes:
    """All bytes of a request, as it is sent up."""
    body = request.body
    framing = content_length(len(body)) if body else b""
    return b"".join((decision.head_start, request.head.upward, framing, b"\r\n", body))
