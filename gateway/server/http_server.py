"""aiohttp's HTTP server configured for the contract: errors in its shape, nothing echoed, no traceback for a client."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import http_exceptions, web
from aiohttp.http import RawRequestMessage

from gateway.config.settings import Server
from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.client_disconnect import Departures
from gateway.proxy.write_coalescing import Outbox
from gateway.server.demultiplexer import Dispatch
from gateway.server.fast_path import FastPath
from gateway.server.request_handler import Entrance
from gateway.server.request_validation import without_surprises
from gateway.telemetry.access_log import ACCESS

log = logging.getLogger("gateway.http")

MAX_LINE_BYTES = 8190  # of the request line, and of one header (aiohttp's own default, stated because we answer for it)
_MAX_FRAMING_BYTES = 64 * 1024  # chunk sizes and extensions, beyond seven bytes for every one of the body
# A client that leaves, and a body that is badly framed: aiohttp finds that out again when it reads and drops the rest.
_OF_CLIENTS = (ConnectionError, web.RequestPayloadError, http_exceptions.HttpProcessingError)
_LINGER_SECONDS = 2.0  # how long the rest of a refused request is read and dropped, so that its client sees the refusal


class Protocol(Dispatch):
    """One client connection."""

    __slots__ = ("_body_bytes", "app")

    def __init__(
        self, app: web.Application, fast_path: FastPath, outbox: Outbox, manager: web.Server, **kwargs: Any
    ) -> None:
        super().__init__(fast_path, outbox, manager, **kwargs)
        self.app = app
        self._body_bytes = 0  # on the wire, framing included, beyond those that came with the head

    def feed_aiohttp(self, data: bytes) -> None:
        """Make sure that the reader of a body is told when no more of it can come."""
        requests = self._request_count
        super().feed_aiohttp(data)
        if self._request_count != requests:
            self._body_bytes = 0
            if not isinstance(self._messages[-1][0], RawRequestMessage):
                self._spoil_bodies()  # aiohttp notes the error for later, and leaves the reader waiting
        elif self._current_request is not None:
            self._body_bytes += len(data)
            if self._body_bytes > _MAX_FRAMING_BYTES + 8 * self._current_request.content.total_bytes:
                self._spoil_bodies()

    def _spoil_bodies(self) -> None:
        """Give an error to the readers of the bodies that are incomplete."""
        bodies = [body for _, body in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof():
                body.set_exception(web.RequestPayloadError())

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read. Its own answer would repeat the offending header, and a key with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; a second one would land inside it")
        if status != 400:
            log.error("internal error: it is answered with 500", exc_info=exc)
            return self.app[ACCESS].refuse_unread(Refusal(errors.FAULT))
        return self.app[ACCESS].refuse_unread(Refusal(errors.BAD_REQUEST, _what_is_wrong(exc)))

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


class _Server(web.Server):
    def __init__(self, app: web.Application, made: web.Server, **kwargs: Any) -> None:
        entrance = Entrance(app, made.request_handler)
        # aiohttp's type says BaseRequest; what an application's request_factory makes is a Request.
        handle = cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", entrance.handle)
        super().__init__(handle, request_factory=without_surprises(made.request_factory), **kwargs)
        self._app = app
        self._fast_path = FastPath(app)
        self._outbox = Outbox()
        self._departures = Departures(lambda: self.connections)

    async def shutdown(self, timeout: float | None = None) -> None:
        self._departures.stop()
        await super().shutdown(timeout)

    def __call__(self) -> web.RequestHandler:
        return Protocol(self._app, self._fast_path, self._outbox, self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application the one way it is ever run, in production and in tests alike."""

    def __init__(self, app: web.Application, server: Server) -> None:
        super().__init__(
            app,
            handle_signals=False,
            handler_cancellation=True,  # a client that leaves must free its slot upstream
            access_log=None,  # ours is in access.py
            auto_decompress=False,  # a body goes up as it came
            keepalive_timeout=server.timeouts.keepalive,
            lingering_time=_LINGER_SECONDS,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            shutdown_timeout=1.0,
        )

    def unread(self) -> list[ClientConnection]:
        """The connections whose client has yet to read the end of an answer that is over."""
        connections = self.server.connections if self.server is not None else ()
        return [each for each in connections if isinstance(each, ClientConnection) and each.is_unread]

    async def _make_server(self) -> web.Server:
        return _Server(self.app, await super()._make_server(), **self._kwargs)
