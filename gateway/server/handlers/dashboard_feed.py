"""The status page as all see it who look at it under one URL: when it is drawn anew, and who is told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING

from gateway.core.notifier import Notifier

if TYPE_CHECKING:
    from gateway.server.handlers.dashboard_drawing import Drawing, Facts

_LEAST_SECONDS = 0.25  # between two drawings: the changes meanwhile are told together
_GLANCE_SECONDS = 1.0  # between two looks at what notifies nobody: how many requests are under way
_KEPT = 32  # drawings whose news are kept for viewers that read slowly
_TOLD_AT_ONCE = 10  # viewers; the event loop does something else between two such portions


class Feed:
    """Drawings of `facts`, each made once for all viewers, in a thread. Nothing is drawn while nobody looks."""

    def __init__(self, facts: "Callable[[], Facts]", notifier: Notifier) -> None:
        self._facts = facts
        self._notifier = notifier
        self._drawing: Drawing | None = None
        self._news: deque[bytes] = deque(maxlen=_KEPT)  # of the last drawings, up to the newest
        self._waiting: set[asyncio.Future[None]] = set()
        self._one_draws = asyncio.Lock()
        self._events: tuple[int, Sequence[bytes]] | None = None  # that show all of a version
        self._one_puts_together = asyncio.Lock()
        self._drawer: asyncio.Task[None] | None = None
        self._viewers = 0

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks on."""
        return self._viewers > 0

    async def draw(self) -> "Drawing":
        """The page as it is now."""
        async with self._one_draws:
            drawing = await asyncio.to_thread(_draw, self._drawing, self._facts())
            if drawing is not self._drawing:
                self._drawing = drawing
                self._news.append(drawing.news)
                await self._tell()
            return drawing

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[None]:
        """While the block runs, somebody looks on."""
        self._viewers += 1
        if self._drawing is None:
            await self.draw()
        if self._drawer is None:
            self._drawer = asyncio.create_task(self._draw_for_ever(), name="status page")
        try:
            yield
        finally:
            self._viewers -= 1
            if not self._viewers and self._drawer is not None:
                self._drawer.cancel()
                self._drawer = None

    async def news(self, seen: int) -> "tuple[int, Sequence[bytes]]":
        """The newest version, and what makes it of the one that was `seen`, in pieces; 0 is none."""
        newest = self._drawing or await self.draw()
        missed = newest.version - seen
        if seen == 0 or missed > len(self._news):
            return newest.version, await self._whole(newest)
        return newest.version, tuple(self._news)[len(self._news) - missed :]

    async def _whole(self, drawing: "Drawing") -> Sequence[bytes]:
        """The events that show all of a drawing: put together once for all who come while it is the newest."""
        async with self._one_puts_together:
            if self._events is None or self._events[0] != drawing.version:
                self._events = drawing.version, await asyncio.to_thread(lambda: tuple(drawing.events()))
            return self._events[1]

    async def wait_for_news(self, seen: int, seconds: float) -> bool:
        """Wait for a version after the one that was `seen`, for so long at most; whether there is one."""
        if self._drawing is not None and self._drawing.version == seen:
            told = asyncio.get_running_loop().create_future()
            self._waiting.add(told)
            try:
                async with asyncio.timeout(seconds):
                    await told
            except TimeoutError:
                return False
            finally:
                self._waiting.discard(told)
        return True

    async def _tell(self) -> None:
        waiting = list(self._waiting)
        for start in range(0, len(waiting), _TOLD_AT_ONCE):
            for told in waiting[start : start + _TOLD_AT_ONCE]:
                if not told.done():
                    told.set_result(None)
            await asyncio.sleep(0)

    async def _draw_for_ever(self) -> None:
        while True:
            drawn_at, notified = monotonic(), self._notifier.next_call()
            await self.draw()
            try:
                await asyncio.wait([notified], timeout=_GLANCE_SECONDS)
            finally:
                notified.cancel()
            await asyncio.sleep(drawn_at + _LEAST_SECONDS - monotonic())  # does not wait if this is negative


def _draw(before: "Drawing | None", facts: "Facts") -> "Drawing":
    drawing: Drawing = import_module("gateway.server.handlers.dashboard_drawing").draw(before, facts)
    return drawing
