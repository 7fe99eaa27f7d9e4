"""Who follows what happens over a stream that lasts: how many each has, and their end when the gateway stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.core.exchange import EXCHANGE, Ending
from gateway.proxy.client_connection import connection_of


class Watchers:
    """Those of one process. No stop waits for them, not even for one that does not read what it was sent."""

    def __init__(self) -> None:
        self._watching: dict[asyncio.Timeout, str] = {}  # and who it is
        self._closed = False

    def number_of(self, who: str) -> int:
        """How many streams somebody has."""
        return sum(each == who for each in self._watching.values())

    @asynccontextmanager
    async def until_closed(self, request: web.Request, who: str = "") -> AsyncIterator[None]:
        """Cancel the block, which writes the stream, when the gateway stops, wherever it is waiting then.

        A client that is behind has its connection reset: it would take its part for the whole once it has read it.
        """
        try:
            async with asyncio.timeout(0 if self._closed else None) as limit:
                self._watching[limit] = who
                yield
        except TimeoutError:
            if not limit.expired():
                raise  # it is another's
            connection = connection_of(request)
            if connection.is_unread:
                request[EXCHANGE].ending = Ending.SHUTDOWN
                connection.reset()
        finally:
            self._watching.pop(limit, None)

    async def close(self, _app: web.Application) -> None:
        """Disconnect everybody who watches, now and from now on."""
        self._closed = True
        for limit in self._watching:
            if not limit.expired():  # else it was told before, and has not come to its end
                limit.reschedule(0)


WATCHERS = web.AppKey("watchers", Watchers)


def set_up(app: web.Application) -> None:
    """Let there be watchers of this application."""
    app[WATCHERS] = Watchers()
    app.on_shutdown.append(app[WATCHERS].close)
