"""What keeps the status page live: a stream of the parts that have changed."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import fields
from time import monotonic

from aiohttp import hdrs, web

from gateway.core.exchange import EXCHANGE, Ending
from gateway.server.handlers.authentication import public
from gateway.server.handlers.dashboard import HEADERS, PAGE, look, renderer
from gateway.server.handlers.dashboard_view import View

_LEAST_SECONDS = 0.25  # between two updates: the changes meanwhile are sent together
_GLANCE_SECONDS = 1.0  # between two looks at what notifies nobody: how many requests are under way
_KEEPALIVE_SECONDS = 15.0


@public
async def events(request: web.Request) -> web.StreamResponse:
    """`/events`: each part of the page as a JSON string of HTML, once at first and again whenever it has changed."""
    status_page = request.app[PAGE]
    status_page.access.let_in(request)
    response = web.StreamResponse(headers={**HEADERS, hdrs.CONTENT_TYPE: "text/event-stream"})
    if request.method == hdrs.METH_HEAD:
        return response
    async with status_page.until_closed():
        try:
            await response.prepare(request)
            request[EXCHANGE].first_byte_at = monotonic()
            await _keep_telling(request, response)
        except ConnectionError:  # that the request is cancelled, too, comes a moment later
            request[EXCHANGE].ending = Ending.CLIENT_LEFT
    return response


async def _keep_telling(request: web.Request, response: web.StreamResponse) -> None:
    notifier, rendered = request.app[PAGE].notifier, await renderer()
    told, told_at = None, monotonic()
    await _write(request, response, b"retry: 1000\n\n")
    while True:
        view = look(request)
        news = _news(rendered, told, view)
        if not news and monotonic() - told_at >= _KEEPALIVE_SECONDS:
            news = b": still here\n\n"
        if news:
            told, told_at = view, monotonic()
            await _write(request, response, news)
        try:
            async with asyncio.timeout(_GLANCE_SECONDS):
                await notifier.wait()
        except TimeoutError:
            continue
        await asyncio.sleep(told_at + _LEAST_SECONDS - monotonic())  # does not wait if this is negative


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    await response.write(data)
    request[EXCHANGE].bytes_out += len(data)


def _news(rendered: Callable[..., str], told: View | None, view: View) -> bytes:
    """The events for the parts of the page that differ from what was sent."""
    news = b""
    for part in (field.name for field in fields(View)):
        if told is None or getattr(told, part) != getattr(view, part):
            html = rendered(f"status_{part}.html", view=view)
            news += b"event: part\ndata: %b\n\n" % json.dumps(html).encode()
    return news
