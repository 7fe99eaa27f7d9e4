"""The application of the model port: its routes, and the checks before them in llama-server's order.

Mirrors tools/server/server-http.cpp (its pre-routing handler).
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mockserver.api.resumable_streams import StreamSessions
from mockserver.api.send_results import JSON_TYPE, STREAM_SESSIONS, json_response
from mockserver.api.vertex_api import predict
from mockserver.core.aiohttp_internals import request_number
from mockserver.core.api_errors import INVALID_KEY, LOADING, NOT_FOUND, PHRASES, ApiError
from mockserver.core.httplib.byte_ranges import are_within, parse_ranges
from mockserver.core.httplib.content import RefusedContent, ask_for_body, awaits_continue, read_body, read_content
from mockserver.core.options import Options
from mockserver.core.request_matching import RequestView
from mockserver.core.state import Phase
from mockserver.engine.server_context import ServerContext
from mockserver.play.journal_middleware import (
    JOURNAL,
    record_body,
    record_exchange,
    record_request_body,
    record_response_head,
)
from mockserver.play.mock_context import MOCK_CONTEXT, MockContext
from mockserver.server.faults.fault_middleware import CLOCK, FAULTS, inject_faults
from mockserver.server.model_selection import ModelSelector, Router, SingleModel
from mockserver.server.response_headers import FIRST_ERROR, MOST_REQUESTS, arranger, preflight
from mockserver.server.router.model_pool import ModelPool
from mockserver.server.router.router_api import MODEL_POOL, ROUTER_OPTIONS
from mockserver.server.routes import PUBLIC

MODEL_SELECTOR: web.AppKey[ModelSelector] = web.AppKey("model_selector")
OPTIONS = web.AppKey("options", Options)
ELSE_SERVER: web.AppKey["ElseServer"] = web.AppKey("else_server")
_MAX_BODY = 100 * 1024 * 1024
_NEVER_ROUTED = frozenset({hdrs.METH_TRACE, hdrs.METH_CONNECT, "PRI"})


class ElseServer(Protocol):
    """Answers in the mock's place."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""


@web.middleware
async def close_after_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Close the connection with every error, as cpp-httplib does."""
    response = await handler(request)
    if response.status >= FIRST_ERROR:
        response.force_close()
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An ApiError becomes its JSON; a refused body is a status."""
    try:
        return await handler(request)
    except ApiError as error:
        # The library has one answer for each 404, whatever a handler has said.
        return json_response(NOT_FOUND if error.code == 404 else {"error": error.fields()}, error.code)
    except RefusedContent as error:
        headers = {hdrs.CONTENT_TYPE: "text/plain"} if error.text else None
        return web.Response(
            status=error.status, reason=PHRASES.get(error.status), body=error.text.encode(), headers=headers
        )


@web.middleware
async def refuse_ranges(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An answer is never cut, but one that has not the bytes that were asked for is a 416."""
    response = await handler(request)
    asked = parse_ranges(request.headers.get(hdrs.RANGE, "").encode("utf-8", "surrogateescape"))
    if asked is None or not isinstance(response, web.Response) or response.status >= FIRST_ERROR:
        return response
    if are_within(asked, len(response.body) if isinstance(response.body, bytes) else 0):
        return response
    headers = {hdrs.CONTENT_TYPE: JSON_TYPE} | dict(response.headers)
    headers.pop(hdrs.CONTENT_LENGTH, None)
    return web.Response(status=416, reason=PHRASES[416], headers=headers)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """OPTIONS, then loading, then the key, then the route, then the body: the real server's order of checks."""
    if request.method == hdrs.METH_OPTIONS:
        return web.Response(headers=preflight(request.app[OPTIONS]))
    context = request.app[MOCK_CONTEXT]
    await context.wait_while_hung()
    if context.step.phase is Phase.LOADING and request.path != "/":
        return json_response(LOADING, 503)
    if not _authorised(request):
        return json_response(INVALID_KEY, 401)
    if request.method in _NEVER_ROUTED:
        return web.Response(status=400)
    if (else_server := request.app.get(ELSE_SERVER)) and await _is_missed(request):
        return await else_server.answer(request)
    if request.match_info.http_exception is not None:
        return json_response(NOT_FOUND, 404)
    await read_content(request)
    if awaits_continue(request):
        await record_body(request)
    return await request.app[MODEL_SELECTOR].handle(request, handler)


async def _is_missed(request: web.Request) -> bool:
    """Whether no canned answer is for a request; how the mock itself is, it says itself."""
    ask_for_body(request)
    await record_body(request)
    view = RequestView(request.method, request.path, request.headers, await read_body(request))
    return request.path not in PUBLIC and not request.app[MOCK_CONTEXT].answers.has_one_for(view)


def _authorised(request: web.Request) -> bool:
    keys = request.app[OPTIONS].api_keys
    if not keys or request.path in PUBLIC:
        return True
    given = request.headers.get(hdrs.AUTHORIZATION) or request.headers.get("X-Api-Key") or ""
    return given.removeprefix("Bearer ") in keys


_MIDDLEWARES = (
    record_exchange,
    close_after_errors,
    answer_errors,
    record_request_body,
    inject_faults,
    refuse_ranges,
    guard,
)


async def _close_used_up(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: a connection ends with its hundredth answer."""
    if request_number(request) >= MOST_REQUESTS:
        response.force_close()


def create_app(context: MockContext) -> web.Application:
    """The application of one mock; the step of its life cycle is looked up at every request."""
    server_context, options = context.server_context, context.server_context.options
    app = web.Application(middlewares=_MIDDLEWARES, client_max_size=_MAX_BODY)
    app[MOCK_CONTEXT], app[OPTIONS], app[CLOCK] = context, options, server_context.clock
    app[JOURNAL], app[FAULTS], app[STREAM_SESSIONS] = context.journal, context.faults, StreamSessions(app[CLOCK])
    app[MODEL_SELECTOR] = _model_selector(app, server_context)
    if options.else_url:
        app[ELSE_SERVER] = _else_server(options)
    app.cleanup_ctx.append(_background_work)
    app.on_response_prepare.extend((_close_used_up, arranger(options), record_response_head))
    vertex = ((hdrs.METH_POST, options.vertex_route, predict),) if options.vertex_route else ()
    for method, path, handler in (*app[MODEL_SELECTOR].routes(), *vertex):
        app.router.add_route(method, path, handler, expect_handler=_leave_for_later)
        if method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, path, handler, expect_handler=_leave_for_later)
    return app


async def _leave_for_later(_request: web.Request) -> None:
    """A body that the client holds back is asked for when the request has been let in, not before."""


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
