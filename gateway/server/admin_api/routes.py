"""The routes of the admin API. What is behind them is imported when somebody first asks: SQLAlchemy takes its time."""

import asyncio
from importlib import import_module
from typing import Any

from aiohttp import hdrs, web

from gateway.core.exchange import EXCHANGE
from gateway.core.http.cors import NO_CORS
from gateway.server.handlers.authentication import authenticates_itself

PREFIX = "/api/admin/v1"


def add_admin_api(app: web.Application) -> None:
    """Add every path below the prefix, which `dispatch` tells apart."""
    app.router.add_route(hdrs.METH_ANY, PREFIX + "/{path:(?s:.*)}", admin_api)


@authenticates_itself
async def admin_api(request: web.Request) -> web.StreamResponse:
    """Answer a request to the admin API."""
    request[EXCHANGE].cors = NO_CORS
    dispatch: Any = await asyncio.to_thread(import_module, "gateway.server.admin_api.dispatch")
    answer: web.StreamResponse = await dispatch.answer(request, request.rel_url.raw_path.removeprefix(PREFIX))
    return answer
