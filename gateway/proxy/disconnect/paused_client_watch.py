"""Notices clients that leave while nothing is read from them: no end of a connection is seen until it is read.

What follows when any client leaves is `client_left` of `response_relay`.
"""

import asyncio
import select
from collections.abc import Callable, Iterable

from aiohttp import web

_EVERY_SECONDS = 0.5
_LEFT = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere poll(2) tells of a reset only


class PausedClientWatch:
    """Looks at `connections()` now and then until `stop`, and aborts those whose client has closed its side.

    Reading stops for as long as a request's body waits for its place in line or for a slow upstream. A client that has
    sent more than the kernel takes for a paused reader is seen when there is room for its end: TCP sends it last.
    """

    def __init__(self, connections: Callable[[], Iterable[web.RequestHandler]]) -> None:
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_EVERY_SECONDS, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_EVERY_SECONDS, self._look)
        for transport in [connection.transport for connection in self._connections()]:
            if transport is not None and not transport.is_reading() and _has_left(transport):
                transport.abort()


def _has_left(transport: asyncio.Transport) -> bool:
    """Whether the other side has sent its last byte, read or not."""
    if transport.is_closing():
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _LEFT)
    return bool(poll.poll(0))
