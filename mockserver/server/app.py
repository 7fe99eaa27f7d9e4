"""The application of the model port: its routes, and the checks before them in llama-server's order.

Mirrors tools/server/server-http.cpp (its pre-routing handler).
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mockserver.api.resumable_streams import StreamSessions
from mockserver.api.send_results import STREAM_SESSIONS, json_response
from mockserver.api.vertex_api import predict
from mockserver.core.aiohttp_internals import request_number
from mockserver.core.api_errors import INVALID_KEY, LOADING, NOT_FOUND, ApiError
from mockserver.core.options import Options
from mockserver.core.request_matching import RequestView
from mockserver.core.state import Phase
from mockserver.engine.server_context import ServerContext
from mockserver.play.journal_middleware import JOURNAL, record_exchange, record_request_body, record_response_head
from mockserver.play.mock_context import MOCK_CONTEXT, MockContext
from mockserver.server.faults.fault_middleware import CLOCK, FAULTS, inject_faults
from mockserver.server.model_selection import ModelSelector, Router, SingleModel
from mockserver.server.response_headers import MOST_REQUESTS, arranger
from mockserver.server.router.model_pool import ModelPool
from mockserver.server.router.router_api import MODEL_POOL, ROUTER_OPTIONS
from mockserver.server.routes import PUBLIC

MODEL_SELECTOR: web.AppKey[ModelSelector] = web.AppKey("model_selector")
OPTIONS = web.AppKey("options", Options)
ELSE_SERVER: web.AppKey["ElseServer"] = web.AppKey("else_server")
_MAX_BODY = 100 * 1024 * 1024
_NEVER = frozenset({hdrs.METH_TRACE, hdrs.METH_CONNECT})
_PREFLIGHT = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Content-Type": "text/html",
}


class ElseServer(Protocol):
    """Answers in the mock's place."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""


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
        return json_response({"error": error.fields()}, error.code)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return json_response(NOT_FOUND, 404)
    except web.HTTPRequestEntityTooLarge:
        return web.Response(status=413)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """OPTIONS, then loading, then the key, then the route: the real server's order of checks."""
    if request.method == hdrs.METH_OPTIONS:
        return web.Response(headers=_PREFLIGHT)
    if request.method in _NEVER:
        return web.Response(status=400)
    context = request.app[MOCK_CONTEXT]
    await context.wait_while_hung()
    if context.step.phase is Phase.LOADING and request.path != "/":
        return json_response(LOADING, 503)
    if not _authorised(request):
        return json_response(INVALID_KEY, 401)
    if (else_server := request.app.get(ELSE_SERVER)) and await _is_missed(request):
        return await else_server.answer(request)
    return await request.app[MODEL_SELECTOR].handle(request, handler)


async def _is_missed(request: web.Request) -> bool:
    """Whether no canned answer is for a request; how the mock itself is, it says itself."""
    view = RequestView(request.method, request.path, request.headers, await request.read())
    return request.path not in PUBLIC and not request.app[MOCK_CONTEXT].answers.has_one_for(view)


def _authorised(request: web.Request) -> bool:
    keys = request.app[OPTIONS].api_keys
    if not keys or request.path in PUBLIC:
        return True
    given = request.headers.get(hdrs.AUTHORIZATION) or request.headers.get("X-Api-Key") or ""
    return given.removeprefix("Bearer ") in keys


_MIDDLEWARES = (record_exchange, close_after_errors, answer_errors, record_request_body, inject_faults, guard)


async def _close_used_up(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: a connection ends with its hundredth answer."""
    if request_number(request) >= MOST_REQUESTS:
        response.force_close()


def create_app(context: MockContext) -> web.Application:
    """The application of one mock; the step of its life cycle is looked up at every request."""
    server_context, options = context.server_context, context.server_context.options
    app = web.Application(middlewares=_MIDDLEWARES, client_max_size=_MAX_BODY)
    app[MOCK_CONTEXT], app[OPTIONS], app[STREAM_SESSIONS] = context, options, StreamSessions()
    app[JOURNAL], app[FAULTS], app[CLOCK] = context.journal, context.faults, server_context.clock
    app[MODEL_SELECTOR] = _model_selector(app, server_context)
    if options.else_url:
        app[ELSE_SERVER] = _else_server(options)
    app.cleanup_ctx.append(_background_work)
    app.on_response_prepare.extend((_close_used_up, arranger(options.allowed_origins), record_response_head))
    vertex = ((hdrs.METH_POST, options.vertex_route, predict),) if options.vertex_route else ()
    for method, path, handler in (*app[MODEL_SELECTOR].routes(), *vertex):
        app.router.add_route(method, path, handler)
        if method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, path, handler)
    return app


def _else_server(options: Options) -> ElseServer:
    """Who answers what no canned answer is for. Raises ValueError."""
    from mockserver.play.recording.new_episodes import NewEpisodes
    from mockserver.play.recording.recording_file import RecordingError

    try:
        return NewEpisodes(options.else_url, Path(options.recordings))
    except RecordingError as error:
        raise ValueError(str(error)) from error


def _model_selector(app: web.Application, server_context: ServerContext) -> ModelSelector:
    if not server_context.options.router:
        return SingleModel(server_context)
    app[ROUTER_OPTIONS] = server_context.options
    app[MODEL_POOL] = ModelPool(server_context.options, server_context.clock)
    return Router(app[MODEL_POOL], server_context)


async def _background_work(app: web.Application) -> AsyncIterator[None]:
    """Streams that outlive their client, and models being loaded, end with the server."""
    if MODEL_POOL in app:
        app[MODEL_POOL].load_startup_models()
    yield
    await app[MODEL_SELECTOR].close()
    app[STREAM_SESSIONS].stop_all()
    if MODEL_POOL in app:
        await app[MODEL_POOL].close()
