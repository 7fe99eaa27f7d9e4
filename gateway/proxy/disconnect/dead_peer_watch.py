"""Ends exchanges whose client or upstream has vanished while bytes were on their way to it.

What follows is what follows any loss of a connection: the slot is free, a broken stream is shown as broken.
"""

import asyncio
from collections.abc import Callable, Iterable

from aiohttp import web

from gateway.proxy.response_relay import ResponseRelay
from gateway.proxy.upstream.dead_peer import is_dead

DEAD_PEER = web.AppKey("dead_peer", float)  # seconds


class DeadPeerWatch:
    """Looks at `answers()`, those under way, six times in `seconds` until `stop`. A peer dead for so long is gone."""

    def __init__(self, answers: Callable[[], Iterable[ResponseRelay]], seconds: float) -> None:
        self._answers = answers
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer = self._look_later()

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look_later(self) -> asyncio.TimerHandle:
        return self._loop.call_later(self._seconds / 6, self._look)

    def _look(self) -> None:
        self._timer = self._look_later()
        for answer in tuple(self._answers()):
            upstream, client = answer.connection, answer.client.connection.transport
            if not upstream.is_closing() and is_dead(upstream.transport, self._seconds):
                upstream.give_up("it vanished: what it is sent is never acknowledged")
            elif client is not None and is_dead(client, self._seconds):
                client.abort()
