"""Cheap answers for those who only look: load balancers, supervisors, Claude Code."""

from aiohttp import web

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.server.handlers.authentication import public


class Shutdown:
    """Whether the gateway has been told to stop. It may serve on for a while, but no client should be sent to it."""

    is_announced = False


SHUTDOWN = web.AppKey("shutdown", Shutdown)


@public
async def alive(_request: web.Request) -> web.Response:
    """`/healthz`: the process answers."""
    return web.json_response({"status": "ok"})


@public
async def ready(request: web.Request) -> web.Response:
    """`/readyz`: send requests here; 503 once the gateway has been told to stop."""
    if request.app[SHUTDOWN].is_announced:
        return web.json_response({"status": "draining"}, status=503)
    return web.json_response({"status": "ok"})


@public
async def hello(_request: web.Request) -> web.Response:
    """204 at a base URL, for any id, key or not: Claude Code asks before its first request. Touches no upstream."""
    return web.Response(status=204)


@public
async def nothing(_request: web.Request) -> web.Response:
    """404 for a path that is served for one method only: to any other it is as unknown as the rest."""
    raise Refusal(errors.NO_SUCH_PATH)
