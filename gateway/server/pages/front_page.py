"""`/`: the deployments for who is signed in, the status page for who may see it, and else the way to sign in."""

import asyncio
from contextlib import suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gateway.config.document import SourceError
from gateway.core.errors import Refusal
from gateway.core.exchange import EXCHANGE
from gateway.core.http.cors import NO_CORS
from gateway.server.handlers import dashboard
from gateway.server.handlers.viewer_base import reached_url
from gateway.server.team.browser_session import session_text
from gateway.server.team.team_database import TEAM


async def front_page(request: web.Request) -> web.StreamResponse:
    """Without a database this is the status page, or the 404 of any unknown path."""
    if request.app[TEAM].place is None:
        return await dashboard.page(request)
    if session_text(request) is not None:
        layout: Any = await asyncio.to_thread(import_module, "gateway.server.pages.layout")
        with suppress(SourceError):  # a database that fails keeps nobody from seeing how things stand
            if await layout.viewer_of(request) is not None:
                return _led_to(request, layout.HOME)
    try:
        return await dashboard.page(request)
    except Refusal:
        return _led_to(request, "/sign-in")


def _led_to(request: web.Request, path: str) -> web.Response:
    request[EXCHANGE].cors = NO_CORS
    below = urlsplit(reached_url(request)).path
    return web.Response(status=303, headers={**dashboard.HEADERS, "Location": below + path})
