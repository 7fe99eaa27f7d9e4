"""Which model handles a request: the only one, or in router mode the one that the request names.

Mirrors tools/server/server-models.cpp (`router_validate_model`).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from mockserver.api.send_results import SERVER_CONTEXT, STREAM_SESSIONS
from mockserver.core.httplib.content import read_content
from mockserver.core.json_values import text_of
from mockserver.core.nlohmann_json import load
from mockserver.engine.server_context import ServerContext
from mockserver.server.router.model_pool import ModelPool
from mockserver.server.routes import ANSWERED_ASLEEP, NEEDS_NO_MODEL, ROUTER_ROUTES, ROUTES

_PROPS = ("GET", "/props")
_LOCAL = {(method, path): handler for method, path, handler in ROUTER_ROUTES}


class ModelSelector(Protocol):
    """Gives each request the server context of its model, and keeps the model loaded until the answer is out."""

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """The endpoints there are."""

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request with `request[SERVER_CONTEXT]` set."""

    async def close(self) -> None:
        """End the requests that go on without a client."""


class SingleModel:
    """One model handles all requests; a request wakes it unless the endpoint works without the model."""

    def __init__(self, server_context: ServerContext) -> None:
        self._server_context = server_context

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """Those of a server with a model."""
        return ROUTES

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request with the only model, awake."""
        request[SERVER_CONTEXT] = self._server_context
        if request.path in ANSWERED_ASLEEP:
            if request.path not in NEEDS_NO_MODEL:
                await self._server_context.wait_until_awake()
            return await handler(request)
        async with self._server_context.awake():
            return await handler(request)

    async def close(self) -> None:
        """Nothing goes on."""


class Router:
    """The model that a request names handles it, and is loaded first if it is not."""

    def __init__(self, model_pool: ModelPool, front: ServerContext) -> None:
        self._model_pool = model_pool
        self._router_context = front
        self._detached: set[asyncio.Task[web.StreamResponse]] = set()

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """The router's own first; of the others those it has none for."""
        others = tuple(route for route in ROUTES if route[:2] not in _LOCAL)
        return (*ROUTER_ROUTES, *others)

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request with the model that is named in the body of a POST, or in the query of a GET."""
        route = (request.method, request.path)
        own_props = route == _PROPS and "model" not in request.query
        if own_props or (route in _LOCAL and route != _PROPS):
            request[SERVER_CONTEXT] = self._router_context
            return await handler(request)
        conversation = request.headers.get("X-Conversation-Id")
        if not conversation or request.method != hdrs.METH_POST:
            return await self._handle_with_model(request, handler)
        task = asyncio.create_task(self._handle_detached(request, handler, conversation))
        self._detached.add(task)
        task.add_done_callback(self._forget_detached)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End the requests whose clients have left."""
        for task in self._detached:
            task.cancel()
        await asyncio.gather(*self._detached, return_exceptions=True)

    async def _handle_detached(self, request: web.Request, handler: Handler, conversation: str) -> web.StreamResponse:
        """Handle a request whose stream goes on when its client leaves."""
        with request.app[STREAM_SESSIONS].expect(conversation) as model_is_loaded:
            return await self._handle_with_model(request, handler, model_is_loaded)

    async def _handle_with_model(
        self, request: web.Request, handler: Handler, model_is_loaded: Callable[[], None] | None = None
    ) -> web.StreamResponse:
        """Load the model, call `model_is_loaded`, and handle the request."""
        autoload_query = request.query.get("autoload")
        autoload = (
            self._router_context.options.models_autoload if autoload_query is None else autoload_query in ("1", "true")
        )
        async with self._model_pool.use(await _model_of(request), autoload=autoload) as server_context:
            if model_is_loaded is not None:
                model_is_loaded()
            request[SERVER_CONTEXT] = server_context
            return await handler(request)

    def _forget_detached(self, task: asyncio.Task[web.StreamResponse]) -> None:
        """Fetch the error of a task whose client has left, so that asyncio does not report it as never retrieved."""
        self._detached.discard(task)
        if not task.cancelled():
            task.exception()


async def _model_of(request: web.Request) -> str:
    if request.method != hdrs.METH_POST:
        return request.query.get("model", "")
    return text_of(load(await read_content(request)), "model")
