"""Carries one proxied request and records how it ended.

A client that leaves takes its upstream connection with it. An upstream that breaks off is never made to look whole.
A request is sent once: after its first byte there is no second try.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aiohttp import HttpVersion11, hdrs, web

from gateway.core import errors
from gateway.core.endpoints import Endpoint
from gateway.core.errors import Refusal
from gateway.core.exchange import Ending, Exchange
from gateway.core.http import headers
from gateway.proxy.client_connection import Client, connection_of
from gateway.proxy.queue.deployment_line import BusyError, Claimant, Place
from gateway.proxy.request_body import RequestBody
from gateway.proxy.response_relay import ERRORS_BY_ENDING, ResponseRelay
from gateway.proxy.response_writer import WrittenResponse
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.response_head import UpstreamError

_TOLD_SECONDS = 0.1  # in line, from which on a client is told


class Unsent(Protocol):
    """A request of which nothing has been sent up."""

    @property
    def exchange(self) -> Exchange: ...
    def cut(self, ending: Ending) -> None: ...


class Destination(NamedTuple):
    """Where a request goes. `claimant`: whose place it has there; None if it takes none."""

    endpoint: Endpoint
    pool: ConnectionPool
    claimant: Claimant | None


class Relay:
    """Carries exchanges. `body_bytes` limits a request's body, `upload_silence` (s) the pauses in sending it."""

    def __init__(self, body_bytes: int, upload_silence: float) -> None:
        self.body_bytes = body_bytes
        self.upload_silence = upload_silence
        self._answers: set[ResponseRelay] = set()
        self._preparing: set[Unsent] = set()
        self._one_left = asyncio.Event()
        self.stopped = False
        self.under_way = 0  # requests: being received, in line for a connection, waiting for an answer or receiving it
        self.draining = False

    def deployments_under_way(self) -> Iterator[str]:
        """The deployment of each answer that is being waited for or passed on."""
        return (answer.exchange.deployment or "" for answer in self._answers)

    def answers_under_way(self) -> Iterator[ResponseRelay]:
        """The answers that are being waited for or passed on."""
        yield from self._answers

    def exchanges_under_way(self) -> Iterator[Exchange]:
        """The requests that are being received, in line for a connection, or answered."""
        yield from (answer.exchange for answer in self._answers)
        yield from (preparing.exchange for preparing in self._preparing)

    def silence_of(self, deployment_id: str) -> float:
        """Seconds since an answer under way to this deployment brought a byte; infinite if there is none."""
        silences = (answer.silence for answer in self._answers if answer.exchange.deployment == deployment_id)
        return min(silences, default=math.inf)

    async def drain(self) -> None:
        """Refuse what comes from now on, and wait until nothing is under way."""
        self.draining = True
        while self.under_way:
            self._one_left.clear()
            await self._one_left.wait()

    def cut_all(self) -> int:
        """End every exchange now, visibly for its client. Returns how many there were."""
        self.stopped = True
        count = self.under_way
        self.cut(lambda _: True, Ending.SHUTDOWN)
        return count

    def cut(self, belongs: Callable[[Exchange], bool], ending: Ending) -> int:
        """End the exchanges that belong to these, visibly for their clients. Returns how many there were."""
        answers = [answer for answer in self._answers if belongs(answer.exchange)]
        preparing = [one for one in self._preparing if belongs(one.exchange)]
        for answer in answers:
            answer.cut(ending)
        for one in preparing:
            one.cut(ending)
        return len(answers) + len(preparing)

    def start(self, answer: ResponseRelay, data: bytes) -> None:
        """Send a request that is whole and has its connection, and count it until `finish`. Raises UpstreamError."""
        answer.connection.send_request(answer, data)
        self.under_way += 1
        self._answers.add(answer)

    def finish(self, answer: ResponseRelay) -> None:
        """It is over."""
        self._answers.discard(answer)
        self._leave()

    def hold(self, waiting: Unsent) -> None:
        """Count a request that is whole, and waits for its place, until `let_go`."""
        self.under_way += 1
        self._preparing.add(waiting)

    def let_go(self, waiting: Unsent) -> None:
        """It waits no longer."""
        self._preparing.discard(waiting)
        self._leave()

    def open_ahead(self, pool: ConnectionPool, claimant: Claimant | None, then: Callable[[], None]) -> bool:
        """As the pool's, for a request that counts as under way until then."""

        def go_on() -> None:
            then()
            self._leave()

        opens = pool.open_ahead(claimant, go_on)
        self.under_way += opens
        return opens

    async def carry(self, request: web.Request, exchange: Exchange, destination: Destination) -> web.StreamResponse:
        """Pass one request up and its answer to the client. Raises Refusal while nothing has been sent."""
        self.under_way += 1
        try:
            return await self._carry(request, exchange, destination)
        finally:
            self._leave()

    async def _carry(self, request: web.Request, exchange: Exchange, destination: Destination) -> web.StreamResponse:
        endpoint, pool, claimant = destination
        upload = RequestBody(request, self.body_bytes, self.upload_silence) if endpoint.has_body else None
        preparing = _Preparing(exchange)
        body, connection = await self._prepare(preparing, upload, pool, claimant)
        outcome: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        answer = ResponseRelay(
            exchange, endpoint, pool, connection, client=_client_of(request), report=_reporter(outcome)
        )
        uploading = None
        self._answers.add(answer)
        try:
            if self.stopped:
                raise Refusal(errors.DRAINING)
            preparing.raise_if_cut()
            lines = headers.lines_of(_upward(request, endpoint))
            framing = b"" if upload is None else upload.framing()
            head = pool.request_head(endpoint.method, endpoint.upstream_path or endpoint.path, lines + framing)
            if upload is None or upload.complete:
                _send(answer, head + body)
            else:
                answer.uploading = True
                _send(answer, head)
                uploading = asyncio.create_task(_continue(upload, answer, body))
            return _relayed(answer, await outcome)
        finally:
            if uploading is not None:
                uploading.cancel()
            self._answers.discard(answer)
            answer.client_left()  # if it is not over: whatever the reason, there is nobody left to answer

    async def _prepare(
        self, preparing: "_Preparing", upload: RequestBody | None, pool: ConnectionPool, claimant: Claimant | None
    ) -> tuple[bytes, UpstreamConnection]:
        """What the request's body begins with, and a connection for it. Raises Refusal, that of `cut` included."""
        body = b""
        self._preparing.add(preparing)
        try:
            async with preparing.limit:
                if upload is not None:
                    with pool.receiving():
                        body = await upload.read_first()
                    preparing.exchange.bytes_in = upload.size
                connection = await pool.connect(claimant, preparing.exchange)
                tell_wait(preparing.exchange, connection.place)
                return body, connection
        except TimeoutError:
            preparing.raise_if_cut()
            raise
        except UpstreamError as error:
            raise Refusal(errors.UNREACHABLE, cause=str(error)) from error
        except BusyError as error:
            if error.outlook is None and claimant is not None:
                error.outlook = await pool.line.prospect(claimant)
            raise error.refusal() from error
        finally:
            self._preparing.discard(preparing)

    def _leave(self) -> None:
        self.under_way -= 1
        if self.draining:
            self._one_left.set()


@dataclass(slots=True, eq=False)
class _Preparing:
    """A request that has no connection yet. `limit` ends the wait for one when it is `cut_as` something."""

    exchange: Exchange
    limit: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))
    cut_as: Ending | None = None

    def cut(self, ending: Ending) -> None:
        """End the wait."""
        self.cut_as = ending
        self.limit.reschedule(0)

    def raise_if_cut(self) -> None:
        """Raise the Refusal that its client gets."""
        if self.cut_as is not None:
            raise Refusal(ERRORS_BY_ENDING[self.cut_as])


def tell_wait(exchange: Exchange, place: Place | None) -> None:
    """Let the client see for how long it waited in line, if it did."""
    if place is not None and place.waited >= _TOLD_SECONDS:
        exchange.answer_lines += b"x-queue-wait: %d\r\n" % math.ceil(place.waited)


RELAY = web.AppKey("relay", Relay)


def _client_of(request: web.Request) -> Client:
    return Client(
        connection_of(request),
        speaks_http11=request.version >= HttpVersion11,
        persists=request.keep_alive,
        content=request.content,
        wants_body=request.method != hdrs.METH_HEAD,
    )


def _upward(request: web.Request, endpoint: Endpoint) -> list[tuple[bytes, bytes]]:
    """The headers that go up. What is to be rewritten must not come compressed."""
    lines = headers.upward(request.raw_headers)
    return lines if endpoint.is_plain else [line for line in lines if line[0] != b"accept-encoding"]


def _reporter(outcome: "asyncio.Future[Refusal | None]") -> Callable[[ResponseRelay, Refusal | None], None]:
    def report(answer: ResponseRelay, refusal: Refusal | None) -> None:
        if answer.reply is None and refusal is None:
            outcome.cancel()  # the client left
        elif not outcome.done():
            outcome.set_result(refusal)

    return report


def _relayed(answer: ResponseRelay, refusal: Refusal | None) -> web.StreamResponse:
    if refusal is not None or answer.reply is None:
        raise refusal or Refusal(errors.FAULT)
    return WrittenResponse(answer.reply, answer.exchange.status or 0)


def _send(answer: ResponseRelay, data: bytes) -> None:
    try:
        answer.connection.send_request(answer, data)
    except UpstreamError as error:
        raise Refusal(errors.UNREACHABLE, cause=str(error)) from error


async def _continue(upload: RequestBody, answer: ResponseRelay, first: bytes) -> None:
    """Stream the rest of a long body up. A client that breaks it ends the wait for the answer."""
    try:
        await upload.continue_to(answer.connection, first, answer.touch)
        answer.uploading = False
    except Refusal as refusal:
        answer.fail(refusal)
    except ConnectionError:
        return  # the client left: its handler is being cancelled
    finally:
        answer.exchange.bytes_in = upload.size
