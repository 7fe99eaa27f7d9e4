"""The way of one proxied request: body up, head down, answer through, and the truth about how it ended.

A client that leaves takes its upstream connection with it. An upstream that breaks off is never made to look whole.
A request is sent once: after its first byte there is no second try.
"""

import asyncio
from collections.abc import Iterator

from aiohttp import web

from gateway import errors, headers, sse
from gateway.answer import Answer
from gateway.connection import Connection, Head, UpstreamError
from gateway.endpoints import Endpoint
from gateway.errors import Refusal
from gateway.exchange import Ending, Exchange
from gateway.health import says_loading
from gateway.reply import Reply
from gateway.upload import Upload
from gateway.upstream import BusyError, Upstream


class Relay:
    """Carries exchanges. `body_bytes` limits a request's body, `upload_silence` (s) the pauses in sending it."""

    def __init__(self, body_bytes: int, upload_silence: float) -> None:
        self._body_bytes = body_bytes
        self._upload_silence = upload_silence
        self._answers: set[Answer] = set()
        self._all_done = asyncio.Event()
        self._over = False
        self.under_way = 0  # requests: being received, in line for a connection, waiting for an answer or receiving it
        self.draining = False

    def deployments_under_way(self) -> Iterator[str]:
        """The deployment of each answer that is being waited for or passed on."""
        return (answer.exchange.deployment or "" for answer in self._answers)

    async def drain(self) -> None:
        """Refuse what comes from now on, and wait until nothing is under way."""
        self.draining = True
        while self.under_way:
            self._all_done.clear()
            await self._all_done.wait()

    def cut_all(self) -> int:
        """End every exchange now, visibly for its client. Returns how many there were."""
        self._over = True
        for answer in self._answers:
            answer.cut()
        return self.under_way

    async def carry(
        self, request: web.Request, exchange: Exchange, upstream: Upstream, endpoint: Endpoint
    ) -> web.StreamResponse:
        """Pass one request to `upstream` and its answer to the client. Raises Refusal while nothing has been sent."""
        if self.draining:
            raise Refusal(errors.DRAINING)
        self.under_way += 1
        try:
            return await self._carry(request, exchange, upstream, endpoint)
        finally:
            self.under_way -= 1
            self._all_done.set()

    async def _carry(
        self, request: web.Request, exchange: Exchange, upstream: Upstream, endpoint: Endpoint
    ) -> web.StreamResponse:
        upload = None
        body = framing = b""
        if endpoint.has_body:
            upload = Upload(request, self._body_bytes, self._upload_silence)
            body, framing = await upload.begin(), upload.framing()
            exchange.bytes_in = upload.size
        connection = await _connect(upstream)
        answer = Answer(exchange, connection, upstream.timeouts.first_byte, upstream.timeouts.silence)
        uploading = None
        self._answers.add(answer)
        try:
            if self._over:
                raise Refusal(errors.DRAINING)
            head = upstream.request_head(endpoint.method, endpoint.path, headers.upward(request.raw_headers), framing)
            if upload is None or upload.complete:
                _begin(connection, answer, head + body)
            else:
                _begin(connection, answer, head)
                uploading = asyncio.create_task(_continue(upload, connection, answer, body, exchange))
            return await _pass_on(request, exchange, endpoint, answer, upstream.ping)
        except asyncio.CancelledError:
            exchange.ending = Ending.CLIENT_LEFT
            raise
        finally:
            if uploading is not None:
                uploading.cancel()
            self._answers.discard(answer)
            answer.release()
            # Owed a part of its request, it would take the next one for that part.
            upstream.release(connection, reusable=uploading is None or (upload is not None and upload.passed))


RELAY = web.AppKey("relay", Relay)


async def _connect(upstream: Upstream) -> Connection:
    try:
        return await upstream.connect()
    except UpstreamError as error:
        raise Refusal(errors.UNREACHABLE, cause=str(error)) from error
    except BusyError as error:
        raise Refusal(errors.BUSY, cause=str(error)) from error


def _begin(connection: Connection, answer: Answer, data: bytes) -> None:
    try:
        connection.begin(answer, data)
    except UpstreamError as error:
        raise Refusal(errors.UNREACHABLE, cause=str(error)) from error


async def _continue(upload: Upload, connection: Connection, answer: Answer, first: bytes, exchange: Exchange) -> None:
    """Stream the rest of a long body up. A client that breaks it ends the wait for the answer."""
    try:
        await upload.continue_to(connection, first, answer.touch)
    except Refusal as refusal:
        answer.fail(refusal)
    except ConnectionError:
        return  # the client left: its handler is being cancelled
    finally:
        exchange.bytes_in = upload.size


async def _pass_on(
    request: web.Request, exchange: Exchange, endpoint: Endpoint, answer: Answer, ping: float | None
) -> web.StreamResponse:
    head = await _fit_head(answer)
    streams = sse.is_event_stream(head.get(b"content-type"))
    # An early answer: what is left of the request is not worth waiting for.
    reply = Reply(request, head, exchange.id, close=not request.content.is_eof(), streams=streams)
    exchange.status = head.status
    # Words of our own fit into a plain stream of open length only.
    plain = streams and head.length is None and not head.get(b"content-encoding")
    protocol = endpoint.protocol if plain else None
    answer.pass_to(reply)
    if protocol is not None and ping is not None:
        answer.keep_alive(reply, protocol, ping)
    exchange.ending = await answer.done
    if exchange.ending is not Ending.FINISHED:
        answer.show_broken(reply, exchange.ending, protocol)
    exchange.usage = answer.usage()
    return reply


async def _fit_head(answer: Answer) -> Head:
    """The head of an answer that is fit to be shown. Raises Refusal for what a client must not take at its word."""
    try:
        head = await answer.head
    except UpstreamError as error:
        raise Refusal(errors.UNREACHABLE, cause=str(error)) from error
    if 300 <= head.status < 400 and head.status != 304:
        raise Refusal(errors.UNREACHABLE, cause=f"it redirects ({head.status})")
    if head.status in {401, 403}:
        raise Refusal(errors.UNREACHABLE, cause=f"it refuses the gateway's own upstream_key ({head.status})")
    if head.status == 503 and says_loading(503, await answer.peek()):
        raise Refusal(errors.UNREACHABLE, cause="it is loading its model")
    if answer.broke_unseen:
        raise Refusal(errors.UNREACHABLE, cause="it broke off after the head of its answer")
    return head
