"""Who waits for results, and when it is noticed that nobody does any more.

Mirrors tools/server/server-queue.cpp (`server_response`, `server_response_reader`).
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from mockserver.core.clock import Clock
from mockserver.engine.results import EmbeddingResult, FinalResult, Result

_POLLING_SECONDS = 1.0
"""A request that waits for results asks whether its client is still there each time that nobody, itself or any other,
has got a result for so long (llama-server's number)."""

_READ_AHEAD = 64
"""Results that a client may be behind before a model without a speed waits for it."""


class ResponseReader:
    """The results of one request's tasks; `stream`: it is to get them as they come, not only the last of each.

    `cancel` and `on_caught_up` are its server's: the first ends the work for it, the second is called when it has read
    all there was.
    """

    def __init__(self, tasks: int, *, stream: bool) -> None:
        self.stream = stream
        self.cancel: Callable[[], None] = _nothing
        self.on_caught_up: Callable[[], None] = _nothing
        self._unfinished = self._unread = tasks
        self._results: deque[Result | Exception] = deque()
        self._arrival: asyncio.Future[None] | None = None

    @property
    def has_next(self) -> bool:
        """Whether there is, or will be, something to read."""
        return self._unread > 0

    @property
    def is_working(self) -> bool:
        """Whether a task of it is unfinished."""
        return self._unfinished > 0

    @property
    def is_behind(self) -> bool:
        """Whether its client reads much more slowly than results come."""
        return len(self._results) >= _READ_AHEAD

    async def next(self) -> Result:
        """The next result; raises the error that ended the request."""
        if not self._results:
            self.on_caught_up()
        while not self._results:
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        result = self._results.popleft()
        if isinstance(result, Exception):
            self._unread = 0
            raise result
        self._unread -= isinstance(result, FinalResult | EmbeddingResult)
        return result

    def put(self, result: Result) -> None:
        """Hand over a result."""
        self._unfinished -= isinstance(result, FinalResult | EmbeddingResult)
        self._append(result)

    def fail(self, error: Exception) -> None:
        """Hand over an error, which ends all tasks of the request."""
        self._append(error)
        self.stop()

    def stop(self) -> None:
        """End the tasks that are unfinished."""
        if self.is_working:
            self._unfinished = 0
            self.cancel()

    def forget_unread(self) -> None:
        """Nobody will read what there is."""
        self._results.clear()
        self.on_caught_up()

    def _append(self, result: Result | Exception) -> None:
        self._results.append(result)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


class ResponseQueue:
    """All who wait for results. The work for a client that has left goes on until that is noticed, unless `immediate`.

    It is noticed at the next result of a stream, and in a silence: when nobody has got a result for a second.
    """

    def __init__(self, clock: Clock, *, immediate: bool) -> None:
        self._clock, self._immediate = clock, immediate
        self._waits_since: dict[ResponseReader, float] = {}
        self._left_at: dict[ResponseReader, float] = {}
        self._last_result = -math.inf
        self._polling: asyncio.Task[None] | None = None

    def add(self, reader: ResponseReader) -> None:
        """Somebody waits from now on."""
        self._waits_since[reader] = self._clock.now()

    def send(self, reader: ResponseReader, result: Result) -> None:
        """Give a result to whoever waits for it. For all others the second of silence begins anew."""
        self._last_result = self._waits_since[reader] = self._clock.now()
        reader.put(result)
        if reader in self._left_at and (reader.stream or not reader.is_working):
            self._end(reader)

    def note_result(self) -> None:
        """Somebody got a result of another kind: the slots, the counters."""
        self._last_result = self._clock.now()

    def next_look(self, waits_since: float, not_before: float) -> float:
        """When somebody who has waited for a result so long looks up, if nobody gets a result until then."""
        silent_since = max(waits_since, self._last_result)
        seconds = max(1, math.ceil((not_before - silent_since) / _POLLING_SECONDS))
        return silent_since + seconds * _POLLING_SECONDS

    def leave(self, reader: ResponseReader) -> None:
        """Its client does not wait any more, because it has all or has left."""
        if self._immediate or not reader.is_working or not reader.has_next:
            self._end(reader)
            return
        self._left_at[reader] = self._clock.now()
        reader.forget_unread()
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())

    def stop_all(self) -> None:
        """End the work for all who have left."""
        for reader in list(self._left_at):
            self._end(reader)

    def _end(self, reader: ResponseReader) -> None:
        self._left_at.pop(reader, None)
        self._waits_since.pop(reader, None)
        reader.stop()

    async def _poll(self) -> None:
        """Look after those who have left, each when its second is over."""
        while self._left_at:
            await self._clock.sleep_until(min(map(self._noticed_at, self._left_at)))
            now = self._clock.now()
            for reader in [reader for reader in self._left_at if self._noticed_at(reader) <= now]:
                self._end(reader)

    def _noticed_at(self, reader: ResponseReader) -> float:
        """When it is noticed that the client of a reader has left, if nobody gets a result until then."""
        return self.next_look(self._waits_since[reader], self._left_at[reader])


def _nothing() -> None:
    """No callback is set."""
