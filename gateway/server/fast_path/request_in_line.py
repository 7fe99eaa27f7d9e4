"""A plain request that waits for a place: there may be very many, so it is an object and no task.

It is what its client's connection has under way, until its answer is.
"""

import asyncio
from collections.abc import Callable

from gateway.core import errors
from gateway.core.endpoints import Endpoint
from gateway.core.errors import Refusal
from gateway.core.exchange import Ending, Exchange
from gateway.proxy.client_connection import Client
from gateway.proxy.queue.deployment_line import BusyError, Claimant, Place
from gateway.proxy.relay import Relay, tell_wait
from gateway.proxy.response_relay import ERRORS_BY_ENDING, ResponseRelay
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import ConnectionPool, return_unused
from gateway.proxy.upstream.response_head import UpstreamError

Report = Callable[[Exchange, Client, Refusal | None], None]


class RequestInLine:
    """Waits from the start. `data` is all of the request, as it is sent up.

    `begin` makes its answer of a connection; `report` is called, once, where it comes to none: with the Refusal, or
    with None if the client left.
    """

    __slots__ = (
        *("_begin", "_data", "_is_over", "_opening", "_place", "_relay", "_report", "_ticket"),
        *("client", "endpoint", "exchange", "pool"),
    )

    def __init__(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        pool: ConnectionPool,
        data: bytes,
        *,
        client: Client,
        relay: Relay,
        begin: "Callable[[RequestInLine, UpstreamConnection], ResponseRelay]",
        report: Report,
    ) -> None:
        self.exchange = exchange
        self.endpoint = endpoint
        self.pool = pool
        self._data = data
        self.client = client
        self._relay = relay
        self._begin = begin
        self._report = report
        self._is_over = False
        self._opening: asyncio.Task[None] | None = None
        self._place: Place | None = None  # while `_opening` has not begun
        client.connection.answer = self
        relay.hold(self)

    def wait(self, claimant: Claimant) -> None:
        """Get in line."""
        self._ticket = self.pool.line.ask(claimant, self.pool.timeouts.queue, self._outcome_known)
        self.exchange.ticket = self._ticket.number

    # --- from the gateway

    def cut(self, ending: Ending) -> None:
        """Refuse it now, as `SHUTDOWN`, `ENDED` or `REVOKED`."""
        self._refuse(Refusal(ERRORS_BY_ENDING[ending]))

    def client_left(self) -> None:
        """There is nobody left to answer."""
        self.exchange.ending = Ending.CLIENT_LEFT
        self._refuse(None)

    def client_backed_up(self) -> None:
        """Nothing is sent to the client yet."""

    def client_caught_up(self) -> None:
        """Nothing is sent to the client yet."""

    # --- inside

    def _outcome_known(self, outcome: Place | BusyError | Refusal) -> None:
        """In the next turn of the event loop: this may be called from anywhere, `wait` included."""
        asyncio.get_running_loop().call_soon(self._go_on, outcome)

    def _go_on(self, outcome: Place | BusyError | Refusal) -> None:
        if self._is_over:
            return_unused(outcome)
        elif isinstance(outcome, Refusal):
            self._refuse(outcome)
        elif isinstance(outcome, BusyError):
            self._refuse(outcome.refusal())
        else:
            connection = self.pool.idle_for(outcome)
            if connection is not None:
                self._send(connection)
            else:
                self._place = outcome
                self._opening = asyncio.get_running_loop().create_task(self._open(outcome))

    async def _open(self, place: Place) -> None:
        self._place = None  # from here on, the pool gives it back
        try:
            connection = await self.pool.open_for(place)
        except UpstreamError as error:
            self._refuse(Refusal(errors.UNREACHABLE, cause=str(error)))
        except BusyError as error:
            self._refuse(error.refusal())
        else:
            self._opening = None
            self._send(connection)

    def _send(self, connection: UpstreamConnection) -> None:
        if self._is_over or connection.is_closing():
            self.pool.put_back(connection)
            self._refuse(Refusal(errors.UNREACHABLE, cause="the connection closed before the request was sent"))
            return
        self._is_over = True
        self._relay.let_go(self)
        tell_wait(self.exchange, connection.place)
        self._relay.start(self._begin(self, connection), self._data)

    def _refuse(self, refusal: Refusal | None) -> None:
        """End without an answer, if it has not ended."""
        if self._is_over:
            return
        self._is_over = True
        self.pool.line.leave(self._ticket)
        if self._opening is not None:
            self._opening.cancel()
            return_unused(self._place)
        self.client.connection.answer = None
        self._relay.let_go(self)
        self._report(self.exchange, self.client, refusal)
