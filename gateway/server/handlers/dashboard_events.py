"""What keeps the status page live: a stream of the parts that have changed."""

import asyncio
from collections.abc import Iterable
from time import monotonic

from aiohttp import hdrs, web

from gateway.core.exchange import EXCHANGE, Ending
from gateway.server.activity.watchers import WATCHERS
from gateway.server.handlers.dashboard import HEADERS, PAGE, feed_of

_KEEPALIVE_SECONDS = 15.0


async def events(request: web.Request) -> web.StreamResponse:
    """`/events`: each part of the page as a JSON string of HTML, all at first and then what has changed.

    `part` is a section of the page, or a card of its deployments; `gone` is a list of cards that are no more.
    """
    request.app[PAGE].access.let_in(request)
    response = web.StreamResponse(headers={**HEADERS, hdrs.CONTENT_TYPE: "text/event-stream"})
    if request.method == hdrs.METH_HEAD:
        return response
    async with request.app[WATCHERS].until_closed(request):
        try:
            await response.prepare(request)
            request[EXCHANGE].first_byte_at = monotonic()
            await _keep_telling(request, response)
        except ConnectionError:  # that the request is cancelled, too, comes a moment later
            request[EXCHANGE].ending = Ending.CLIENT_LEFT
    return response


async def _keep_telling(request: web.Request, response: web.StreamResponse) -> None:
    feed, seen = feed_of(request), 0
    await _write(request, response, [b"retry: 1000\n\n"])
    async with feed.watch():
        while True:
            seen, news = await feed.news(seen)
            await _write(request, response, news)
            while not await feed.wait_for_news(seen, _KEEPALIVE_SECONDS):
                await _write(request, response, [b": still here\n\n"])


async def _write(request: web.Request, response: web.StreamResponse, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        await response.write(piece)
        request[EXCHANGE].bytes_out += len(piece)
        await asyncio.sleep(0)  # to write does not always wait
