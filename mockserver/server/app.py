"""The application of the model port: its routes, and the checks before them in llama-server's order."""

from collections.abc import AsyncIterator

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mockserver.api.resumable_streams import StreamSessions
from mockserver.api.send_results import STREAM_SESSIONS, json_answer
from mockserver.api.vertex_api import predict
from mockserver.core.api_errors import INVALID_KEY, LOADING, NOT_FOUND, ApiError
from mockserver.core.options import Options
from mockserver.core.state import Phase
from mockserver.engine.server_context import ServerContext
from mockserver.play.journal_middleware import JOURNAL, keep_body, note_answer, remember
from mockserver.play.mock_context import MOCK_CONTEXT, MockContext
from mockserver.server.faults.fault_middleware import CLOCK, FAULTS, break_by_script
from mockserver.server.model_selection import ModelSelector, Router, SingleModel
from mockserver.server.response_headers import MOST_REQUESTS, arranger
from mockserver.server.router.model_pool import ModelPool
from mockserver.server.router.router_api import MODEL_POOL, ROUTER_OPTIONS
from mockserver.server.routes import PUBLIC

MODEL_SELECTOR: web.AppKey[ModelSelector] = web.AppKey("serving")
SETTINGS = web.AppKey("settings", Options)
_MAX_BODY = 100 * 1024 * 1024
_NEVER = frozenset({hdrs.METH_TRACE, hdrs.METH_CONNECT})
_PREFLIGHT = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Content-Type": "text/html",
}


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
    if request.method in _NEVER:
        return web.Response(status=400)
    stage = request.app[MOCK_CONTEXT]
    await stage.admit()
    if stage.step.phase is Phase.LOADING and request.path != "/":
        return json_answer(LOADING, 503)
    if not _authorised(request):
        return json_answer(INVALID_KEY, 401)
    return await request.app[MODEL_SELECTOR].serve(request, handler)


def _authorised(request: web.Request) -> bool:
    keys = request.app[SETTINGS].api_keys
    if not keys or request.path in PUBLIC:
        return True
    given = request.headers.get(hdrs.AUTHORIZATION) or request.headers.get("X-Api-Key") or ""
    return given.removeprefix("Bearer ") in keys


_MIDDLEWARES = (remember, close_after_errors, answer_errors, keep_body, break_by_script, guard)


async def _close_used_up(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: a connection ends with its hundredth answer."""
    # aiohttp counts the requests of a connection and shows the number nowhere else.
    if request.protocol._request_count >= MOST_REQUESTS:
        response.force_close()


def create_app(stage: MockContext) -> web.Application:
    """The application of one mock; what is on stage is asked at every request."""
    machine, settings = stage.machine, stage.machine.settings
    app = web.Application(middlewares=_MIDDLEWARES, client_max_size=_MAX_BODY)
    app[MOCK_CONTEXT], app[SETTINGS], app[STREAM_SESSIONS] = stage, settings, StreamSessions()
    app[JOURNAL], app[FAULTS], app[CLOCK] = stage.journal, stage.faults, machine.clock
    app[MODEL_SELECTOR] = _serving(app, machine)
    app.cleanup_ctx.append(_background_work)
    app.on_response_prepare.extend((_close_used_up, arranger(settings.allowed_origins), note_answer))
    vertex = ((hdrs.METH_POST, settings.vertex_route, predict),) if settings.vertex_route else ()
    for method, path, handler in (*app[MODEL_SELECTOR].routes(), *vertex):
        app.router.add_route(method, path, handler)
        if method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, path, handler)
    return app


def _serving(app: web.Application, machine: ServerContext) -> ModelSelector:
    if not machine.settings.router:
        return SingleModel(machine)
    app[ROUTER_OPTIONS] = machine.settings
    app[MODEL_POOL] = ModelPool(machine.settings, machine.clock)
    return Router(app[MODEL_POOL], machine)


async def _background_work(app: web.Application) -> AsyncIterator[None]:
    """Streams that outlive their client, and models being loaded, end with the server."""
    if MODEL_POOL in app:
        app[MODEL_POOL].load_startup_models()
    yield
    await app[MODEL_SELECTOR].close()
    app[STREAM_SESSIONS].stop_all()
    if MODEL_POOL in app:
        await app[MODEL_POOL].close()
