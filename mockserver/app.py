"""The application of the model port: its routes, and the checks before them in llama-server's order."""

import asyncio
from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mockserver.answering import MACHINE, json_answer
from mockserver.errors import INVALID_KEY, LOADING, NOT_FOUND, ApiError
from mockserver.headers import MOST_REQUESTS, arranger
from mockserver.journal import Ended, Exchange, Journal
from mockserver.machine import Machine
from mockserver.routes import PUBLIC, ROUTES, WAKES_NOT
from mockserver.vertex_api import predict

SERVED = web.AppKey("served", Machine)
JOURNAL = web.AppKey("journal", Journal)
EXCHANGE = web.RequestKey("exchange", Exchange)
IS_LOADING: web.AppKey[Callable[[], bool]] = web.AppKey("is_loading")
_MAX_BODY = 100 * 1024 * 1024
_PREFLIGHT = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Content-Type": "text/html",
}


@web.middleware
async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Record the exchange and how it ended; the answer is sent from here, to know that it was."""
    journal = request.app[JOURNAL]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    exchange = request[EXCHANGE] = journal.begin(request.method, request.path_qs, headers)
    ended = Ended.CUT
    try:
        response = await handler(request)
        exchange.status = response.status
        await response.prepare(request)
        await response.write_eof()
        ended = Ended.FINISHED
    except (asyncio.CancelledError, ConnectionError):
        ended = Ended.ABORTED
        raise
    finally:
        exchange.end(ended, request.writer.output_size)
        journal.touch()
    return response


async def _note_status(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: the status counts from the moment it is sent, not when a stream is over."""
    request[EXCHANGE].status = response.status


@web.middleware
async def keep_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read the body whatever follows, so that the record has it even of a refused request."""
    request[EXCHANGE].keep_body(await request.read())
    return await handler(request)


@web.middleware
async def close_after_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Close the connection with every error, as cpp-httplib does."""
    response = await handler(request)
    if response.status >= 400:
        response.force_close()
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An ApiError becomes its JSON; a path or method that is no route, the one 404 there is; 413 has no body."""
    try:
        return await handler(request)
    except ApiError as error:
        return json_answer({"error": error.fields()}, error.code)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return json_answer(NOT_FOUND, 404)
    except web.HTTPRequestEntityTooLarge:
        return web.Response(status=413)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """OPTIONS, then loading, then the key, then the route: the real server's order of checks."""
    if request.method == hdrs.METH_OPTIONS:
        return web.Response(headers=_PREFLIGHT)
    if request.app[IS_LOADING]() and request.path != "/":
        return json_answer(LOADING, 503)
    if not _authorised(request):
        return json_answer(INVALID_KEY, 401)
    machine = request[MACHINE] = request.app[SERVED]
    if request.path in WAKES_NOT:
        return await handler(request)
    async with machine.awake():
        return await handler(request)


def _authorised(request: web.Request) -> bool:
    keys = request.app[SERVED].settings.api_keys
    if not keys or request.path in PUBLIC:
        return True
    given = request.headers.get(hdrs.AUTHORIZATION) or request.headers.get("X-Api-Key") or ""
    return given.removeprefix("Bearer ") in keys


async def _close_used_up(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: a connection ends with its hundredth answer."""
    # aiohttp counts the requests of a connection and shows the number nowhere else.
    if request.protocol._request_count >= MOST_REQUESTS:
        response.force_close()


def create_app(machine: Machine, journal: Journal, is_loading: Callable[[], bool]) -> web.Application:
    """The application of one mock; `is_loading` is asked at every request."""
    app = web.Application(
        middlewares=[remember, close_after_errors, answer_errors, keep_body, guard], client_max_size=_MAX_BODY
    )
    app[SERVED], app[JOURNAL], app[IS_LOADING] = machine, journal, is_loading
    app.on_response_prepare.append(_note_status)
    app.on_response_prepare.append(_close_used_up)
    app.on_response_prepare.append(arranger(machine.settings.allowed_origins))
    extra = (("POST", machine.settings.vertex_route, predict),) if machine.settings.vertex_route else ()
    for method, path, handler in (*ROUTES, *extra):
        app.router.add_route(method, path, handler)
        if method == "GET":
            app.router.add_route("HEAD", path, handler)
    return app
