"""Cheap answers for those who only look: load balancers, supervisors, Claude Code."""

from aiohttp import web

from gateway.proxy.relay import RELAY
from gateway.server.handlers.authentication import public


@public
async def alive(_request: web.Request) -> web.Response:
    """`/healthz`: the process answers."""
    return web.json_response({"status": "ok"})


@public
async def ready(request: web.Request) -> web.Response:
    """`/readyz`: send requests here; 503 while the gateway is draining."""
    if request.app[RELAY].draining:
        return web.json_response({"status": "draining"}, status=503)
    return web.json_response({"status": "ok"})


@public
async def hello(_request: web.Request) -> web.Response:
    """204 at a base URL, for any id, key or not: Claude Code asks before its first request. Touches no upstream."""
    return web.Response(status=204)
