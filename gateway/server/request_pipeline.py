"""The way in through aiohttp, for every request that the fast path does not begin.

The proxied endpoints are answered right here; everything else goes to aiohttp's router and the handlers behind it.
"""

import asyncio
import logging

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE, Ending
from gateway.core.http.base_urls import beyond_base_urls
from gateway.core.http.headers import REQUEST_ID
from gateway.proxy.client_connection import connection_of
from gateway.server.admission import ADMISSION
from gateway.server.completion import COMPLETION
from gateway.server.handlers.proxied_endpoints import answer_proxied, asked_of
from gateway.server.refusal_response import REFUSER
from gateway.server.request_validation import refuse_ambiguous
from gateway.telemetry.access_log import ACCESS

log = logging.getLogger("gateway")


class RequestPipeline:
    """Answers the requests that aiohttp reads; `route` is aiohttp's own way of answering one.

    Without `proxies` it leaves all of them to that.
    """

    def __init__(self, app: web.Application, route: Handler, *, proxies: bool) -> None:
        self._app = app
        self._access = app[ACCESS]
        self._admit = app[ADMISSION].admit
        self._completion = app[COMPLETION]
        self._refuse = app[REFUSER].refuse
        self._route = route
        self._proxies = proxies

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One exchange, one log line. A client that leaves is not an error, whenever it does."""
        exchange = self._access.start(request.headers.get(REQUEST_ID), request.headers.get(hdrs.ORIGIN))
        request[EXCHANGE] = exchange
        connection_of(request).request_begun()
        try:
            response = await self._answer(request)
            exchange.status = response.status
            return response
        except asyncio.CancelledError:
            exchange.ending = Ending.CLIENT_LEFT
            raise
        finally:
            self._completion.complete(exchange, request)

    def note_leaving(self, request: web.BaseRequest | None, peer: str | None) -> None:
        """The client of a request left before it was begun. None: of bytes that are not a request."""
        exchange = self._access.start(None if request is None else request.headers.get(REQUEST_ID))
        exchange.ending = Ending.CLIENT_LEFT
        if not isinstance(request, web.Request):
            self._completion.complete(exchange, peer=peer)
            return
        asked = asked_of(request) if self._proxies else None
        if asked is not None:
            self._admit(asked).note_on(exchange)
        exchange.bytes_in = request.content.total_bytes
        self._completion.complete(exchange, request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Refusals become the contract's JSON here. None is raised once an answer has begun: see `relay`."""
        try:
            refuse_ambiguous(request)
            asked = asked_of(request) if self._proxies else None
            return await (self._route(request) if asked is None else answer_proxied(self._app, request, asked))
        except Refusal as refusal:
            return self._refuse(request, refusal.with_traceback(None))  # whose frames hold it: they would stay for long
        except web.HTTPMethodNotAllowed as error:
            methods = ", ".join(sorted(error.allowed_methods))
            return self._refuse(request, Refusal(errors.WRONG_METHOD, methods, Allow=methods))
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, Refusal(errors.TOO_LARGE, request.client_max_size))
        except web.HTTPNotFound:
            return self._refuse(request, Refusal(errors.NO_SUCH_PATH, beyond_base_urls(request.path)))
        except Exception:  # our own faults must not get aiohttp's error page
            log.exception("request %s: internal error", request[EXCHANGE].id)
            if request[EXCHANGE].first_byte_at is not None:
                connection_of(request).reset()  # a second answer would land inside the first
            return self._refuse(request, Refusal(errors.FAULT))
