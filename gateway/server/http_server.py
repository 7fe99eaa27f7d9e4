"""aiohttp's HTTP server configured for the contract: errors in its shape, nothing echoed, no traceback for a client."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import http_exceptions, web

from gateway.config.server_settings import Server
from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.proxy import aiohttp_internals
from gateway.proxy.aiohttp_internals import AiohttpConnection
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.disconnect.dead_peer_watch import DEAD_PEER, DeadPeerWatch
from gateway.proxy.disconnect.paused_client_watch import PausedClientWatch
from gateway.proxy.relay import RELAY
from gateway.proxy.upstream.dead_peer import detect_death
from gateway.proxy.write_coalescing import WriteCoalescer
from gateway.server.completion import COMPLETION
from gateway.server.fast_path.demultiplexer import Demultiplexer
from gateway.server.fast_path.fast_path import FastPath
from gateway.server.process.connection_limit import ConnectionLimit
from gateway.server.refusal_response import REFUSER
from gateway.server.request_pipeline import RequestPipeline
from gateway.server.request_validation import RequestFactory, without_surprises
from gateway.telemetry.access_log import ACCESS

log = logging.getLogger("gateway.http")

MAX_LINE_BYTES = 8190  # of the request line, and of one header (aiohttp's own default, stated because we answer for it)
# A client that leaves, and a body that is badly framed: aiohttp finds that out again when it reads and drops the rest.
_OF_CLIENTS = (ConnectionError, web.RequestPayloadError, http_exceptions.HttpProcessingError)
_LINGER_SECONDS = 2.0  # how long the rest of a refused request is read and dropped, so that its client sees the refusal


class HttpConnection(Demultiplexer):
    """One client connection."""

    __slots__ = ("_limit", "_note_leaving", "app")

    def __init__(
        self,
        app: web.Application,
        limit: ConnectionLimit,
        fast_path: FastPath,
        coalescer: WriteCoalescer,
        manager: web.Server,
        *,
        note_leaving: Callable[[web.BaseRequest | None, str | None], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(fast_path, coalescer, manager, **kwargs)
        self.app = app
        self._limit = limit
        self._note_leaving = note_leaving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._limit.add(self)
        detect_death(transport, self.app[DEAD_PEER])

    def connection_lost(self, exc: BaseException | None) -> None:
        self._limit.remove(self)
        self.feed_rest()
        for request in self.unbegun():
            self._note_leaving(request, self.peer)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read. Its own answer would repeat the offending header, and a key with it."""
        self.request_begun()
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; a second one would land inside it")
        if status != 400:
            log.error("internal error: it is answered with 500", exc_info=exc)
            return self._refuse_unread(Refusal(errors.FAULT))
        return self._refuse_unread(Refusal(errors.BAD_REQUEST, _what_is_wrong(exc)))

    def _refuse_unread(self, refusal: Refusal) -> web.StreamResponse:
        exchange = self.app[ACCESS].start(None, self.unread_origin)
        response = self.app[REFUSER].refuse_unread(exchange, refusal)
        self.app[COMPLETION].complete(exchange, peer=self.peer)
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What aiohttp caught last. No traceback for what a client does, nor its words: it could fill the log."""
        error = kw.get("exc_info")
        if isinstance(error, _OF_CLIENTS):
            log.debug("connection given up: %s", type(error).__name__)
        else:
            log.error("internal error: its connection is closed", exc_info=error)


def _what_is_wrong(exc: BaseException | None) -> str:
    if isinstance(exc, http_exceptions.LineTooLong):
        return f"a line of its head is longer than {MAX_LINE_BYTES} bytes"
    if isinstance(exc, http_exceptions.InvalidHeader):
        return "a header is malformed"
    if isinstance(exc, http_exceptions.BadHttpMethod):
        return "its method is malformed"
    if isinstance(exc, http_exceptions.InvalidURLError):
        return "its target is not a valid URL"
    return "its head could not be read"


class UnfitAiohttpError(Exception):
    """The installed aiohttp lacks what the gateway cannot do without."""


class _Server(web.Server):
    """Makes connections that are ours, and hands what they read to the pipeline.

    `inner` is the server that aiohttp would run: it makes the requests, and routes what is not proxied.
    """

    def __init__(
        self,
        app: web.Application,
        limit: ConnectionLimit,
        inner: web.Server,
        *,
        proxies: bool,
        handler_cancellation: bool,
        **options: Any,
    ) -> None:
        pipeline = RequestPipeline(app, inner.request_handler, proxies=proxies)
        # aiohttp's type says BaseRequest; what an application's request_factory makes is a Request.
        handle = cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", pipeline.handle)
        super().__init__(
            handle,
            request_factory=_noting_what_is_made(without_surprises(inner.request_factory)),
            handler_cancellation=handler_cancellation,
            **options,
        )
        self._app = app
        self._options = {"loop": asyncio.get_running_loop(), "note_leaving": pipeline.note_leaving, **options}
        self._limit = limit
        self._coalescer = WriteCoalescer()
        self._fast_path = FastPath(app, self._coalescer, proxies=proxies)
        self._paused_clients = PausedClientWatch(lambda: self.connections)
        self._dead_peers = DeadPeerWatch(app[RELAY].answers_under_way, app[DEAD_PEER])

    async def shutdown(self, timeout: float | None = None) -> None:
        self._paused_clients.stop()
        self._dead_peers.stop()
        await super().shutdown(timeout)

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return HttpConnection(self._app, self._limit, self._fast_path, self._coalescer, self, **self._options)


def _noting_what_is_made(make: RequestFactory) -> RequestFactory:
    """Let the connection know of each request, which its client's leaving may keep from being begun."""

    def make_request(message: Any, body: Any, connection: AiohttpConnection, *rest: Any) -> web.BaseRequest:
        request = make(message, body, connection, *rest)
        connection.request_made(request)
        return request

    return make_request


class Runner(web.AppRunner):
    """Runs the application the one way it is ever run, in production and in tests alike.

    `proxies`: it serves the proxied endpoints, beside what its router knows. `limit` counts its connections, and closes
    idle ones; several runners of a process share it.
    Raises UnfitAiohttpError, which says in a sentence why the installed aiohttp cannot serve.
    """

    def __init__(
        self, app: web.Application, server: Server, limit: ConnectionLimit | None = None, *, proxies: bool = True
    ) -> None:
        why_not = aiohttp_internals.unfit()
        if why_not is not None:
            raise UnfitAiohttpError(why_not)
        for sentence in aiohttp_internals.shortcomings() if proxies else ():
            log.warning("%s", sentence)
        self._proxies = proxies
        self._limit = limit or ConnectionLimit(sys.maxsize)
        self._options: dict[str, Any] = {
            "handler_cancellation": True,  # a client that leaves must free its slot upstream
            "access_log": None,  # ours is in access_log.py
            "auto_decompress": False,  # a body goes up as it came
            "keepalive_timeout": server.timeouts.keepalive,
            "lingering_time": _LINGER_SECONDS,
            "max_line_size": MAX_LINE_BYTES,
            "max_field_size": MAX_LINE_BYTES,
        }
        super().__init__(app, handle_signals=False, shutdown_timeout=1.0, **self._options)

    def unread(self) -> list[ClientConnection]:
        """The connections whose client has yet to read the end of an answer that is over."""
        connections = self.server.connections if self.server is not None else ()
        return [each for each in connections if isinstance(each, ClientConnection) and each.is_unread]

    async def _make_server(self) -> web.Server:
        return _Server(self.app, self._limit, await super()._make_server(), proxies=self._proxies, **self._options)
