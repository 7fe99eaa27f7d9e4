"""Which machine serves a request: the one there is, or the one of the model it names."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import hdrs, web

from mockserver.api.send_results import SERVER_CONTEXT, STREAM_SESSIONS
from mockserver.core.nlohmann_json import load
from mockserver.engine.server_context import ServerContext
from mockserver.server.router.model_pool import ModelPool
from mockserver.server.routes import PUBLIC, ROUTER_ROUTES, ROUTES, WAKES_NOT

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PROPS = ("GET", "/props")
_LOCAL = {(method, path): handler for method, path, handler in ROUTER_ROUTES}


class ModelSelector(Protocol):
    """Gives each request its machine, and keeps it loaded until the answer is out."""

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """The endpoints there are."""

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request with `request[SERVER_CONTEXT]` set."""

    async def close(self) -> None:
        """End what goes on without a client."""


class SingleModel:
    """One model serves all; a request wakes it unless the endpoint can do without."""

    def __init__(self, machine: ServerContext) -> None:
        self._machine = machine

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """Those of a server with a model."""
        return ROUTES

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """With the one machine, awake."""
        request[SERVER_CONTEXT] = self._machine
        if request.path in WAKES_NOT:
            if request.path not in PUBLIC:
                await self._machine.returned()
            return await handler(request)
        async with self._machine.awake():
            return await handler(request)

    async def close(self) -> None:
        """Nothing goes on."""


class Router:
    """The model that a request names serves it, after being loaded if need be."""

    def __init__(self, fleet: ModelPool, front: ServerContext) -> None:
        self._fleet = fleet
        self._front = front
        self._detached: set[asyncio.Task[web.StreamResponse]] = set()

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """The router's own first; of the others those it has none for."""
        others = tuple(route for route in ROUTES if route[:2] not in _LOCAL)
        return (*ROUTER_ROUTES, *others)

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """With the machine of the model in the body of a POST, or in the query of a GET."""
        route = (request.method, request.path)
        own_props = route == _PROPS and "model" not in request.query
        if own_props or (route in _LOCAL and route != _PROPS) or request.match_info.http_exception:
            request[SERVER_CONTEXT] = self._front
            return await handler(request)
        conversation = request.headers.get("X-Conversation-Id")
        if not conversation or request.method != hdrs.METH_POST:
            return await self._with_model(request, handler)
        task = asyncio.create_task(self._in_conversation(request, handler, conversation))
        self._detached.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End the requests whose clients have left."""
        for task in self._detached:
            task.cancel()
        await asyncio.gather(*self._detached, return_exceptions=True)

    async def _in_conversation(self, request: web.Request, handler: Handler, conversation: str) -> web.StreamResponse:
        """Whether or not its client stays."""
        with request.app[STREAM_SESSIONS].expected(conversation) as arrived:
            return await self._with_model(request, handler, arrived)

    async def _with_model(
        self, request: web.Request, handler: Handler, arrived: Callable[[], None] | None = None
    ) -> web.StreamResponse:
        """Load the model, say that it arrived, and handle the request."""
        wanted = request.query.get("autoload")
        autoload = self._front.settings.models_autoload if wanted is None else wanted in ("1", "true")
        async with self._fleet.use(await _model_of(request), autoload=autoload) as machine:
            if arrived is not None:
                arrived()
            request[SERVER_CONTEXT] = machine
            return await handler(request)

    def _ended(self, task: asyncio.Task[web.StreamResponse]) -> None:
        """Whoever waits for it sees how it ended; if nobody does, it is no news that the client has left."""
        self._detached.discard(task)
        if not task.cancelled():
            task.exception()


async def _model_of(request: web.Request) -> str:
    if request.method != hdrs.METH_POST:
        return request.query.get("model", "")
    body = load(await request.read())
    name = body.get("model") if isinstance(body, dict) else None
    return name if isinstance(name, str) else ""
