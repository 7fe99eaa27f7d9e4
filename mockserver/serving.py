"""Which machine serves a request: the one there is, or the one of the model it names."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from aiohttp import hdrs, web

from mockserver.answering import MACHINE
from mockserver.fleet import Fleet
from mockserver.jsontext import load
from mockserver.machine import Machine
from mockserver.routes import PUBLIC, ROUTER_ROUTES, ROUTES, WAKES_NOT

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PROPS = ("GET", "/props")
_LOCAL = {(method, path): handler for method, path, handler in ROUTER_ROUTES}


class Serving(Protocol):
    """Gives each request its machine, and keeps it loaded until the answer is out."""

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """The endpoints there are."""

    def machine_for(self, request: web.Request) -> AbstractAsyncContextManager[None]:
        """Set `request[MACHINE]` for the time of a request."""


class SingleModel:
    """One model serves all; a request wakes it unless the endpoint can do without."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """Those of a server with a model."""
        return ROUTES

    @asynccontextmanager
    async def machine_for(self, request: web.Request) -> AsyncIterator[None]:
        """The machine, awake."""
        request[MACHINE] = self._machine
        if request.path in WAKES_NOT:
            if request.path not in PUBLIC:
                await self._machine.returned()
            yield
            return
        async with self._machine.awake():
            yield


class Router:
    """The model that a request names serves it, after being loaded if need be."""

    def __init__(self, fleet: Fleet, front: Machine) -> None:
        self._fleet = fleet
        self._front = front

    def routes(self) -> tuple[tuple[str, str, Handler], ...]:
        """The router's own first; of the others those it has none for."""
        others = tuple(route for route in ROUTES if route[:2] not in _LOCAL)
        return (*ROUTER_ROUTES, *others)

    @asynccontextmanager
    async def machine_for(self, request: web.Request) -> AsyncIterator[None]:
        """The machine of the model in the body of a POST, or in the query of a GET."""
        route = (request.method, request.path)
        own_props = route == _PROPS and "model" not in request.query
        if own_props or (route in _LOCAL and route != _PROPS) or request.match_info.http_exception:
            request[MACHINE] = self._front
            yield
            return
        wanted = request.query.get("autoload")
        autoload = self._front.settings.models_autoload if wanted is None else wanted in ("1", "true")
        async with self._fleet.use(await _model_of(request), autoload=autoload) as machine:
            request[MACHINE] = machine
            yield


async def _model_of(request: web.Request) -> str:
    if request.method != hdrs.METH_POST:
        return request.query.get("model", "")
    body = load(await request.read())
    name = body.get("model") if isinstance(body, dict) else None
    return name if isinstance(name, str) else ""
