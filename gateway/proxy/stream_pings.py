"""Fills the silences of an event stream, so that nobody on its way takes it for dead."""

import asyncio
from collections.abc import Callable

from gateway.core.answer.excerpt import Excerpt
from gateway.proxy import event_stream


class StreamPings:
    """From now on until `stop`, has a ping sent after each silence of `seconds`.

    Only between two events, and never before the first. A comment of the server's own is no event: a client may insist
    on `message_start` as the first. openai-python fails on a comment in a stream that uses `id:` lines; llama-server's
    streams have none. `sent` is what the client has had of the stream, `last_activity` tells when it had the last of
    it, in the event loop's time, and `send` sends a ping, unless the client does not read.
    """

    __slots__ = ("_last_activity", "_loop", "_pinged_at", "_seconds", "_send", "_sent", "_timer")

    def __init__(
        self, seconds: float, sent: Excerpt, last_activity: Callable[[], float], send: Callable[[], bool]
    ) -> None:
        self._seconds = seconds
        self._sent = sent
        self._last_activity = last_activity
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._pinged_at = 0.0
        self._timer = self._loop.call_later(seconds, self._look)

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()

    def _look(self) -> None:
        silent_for = self._loop.time() - max(self._last_activity(), self._pinged_at)
        if silent_for >= self._seconds and self._is_between_events() and self._send():
            self._pinged_at, silent_for = self._loop.time(), 0.0
        self._timer = self._loop.call_later(max(self._seconds - silent_for, 0.01), self._look)

    def _is_between_events(self) -> bool:
        has_begun = self._sent.has_begun or event_stream.is_more_than_comments(self._sent.first)
        return has_begun and event_stream.ends_event(self._sent.last())
