"""Time that passes only when it is told to: what is due happens in the same order every time."""

import asyncio
import heapq

from mockserver.core.clock import Clock

START = 1_700_000_000
"""The time of day at which every virtual clock begins."""

_TURNS = 16
"""Turns of the event loop in which everything that follows from a moment has happened, but what waits for a client."""


class VirtualClock(Clock):
    """Stands still until it is advanced."""

    is_virtual = True

    def __init__(self) -> None:
        self._now = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._advancing = asyncio.Lock()

    def now(self) -> float:
        """Seconds from the start."""
        return self._now

    def epoch(self) -> float:
        """Seconds since 1970, as if the start had been in November 2023."""
        return START + self._now

    async def sleep_until(self, moment: float) -> None:
        """Wait until the clock is advanced to a moment or past it."""
        if moment <= self._now:
            await asyncio.sleep(0)
            return
        self._count += 1
        due = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (moment, self._count, due))
        await due

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass: whoever waits is woken in the order of their moments, one after the other.

        Raises ValueError for a negative number.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds:g} s")
        async with self._advancing:
            end = self._now + seconds
            await _settle()
            while self._waiting and self._waiting[0][0] <= end:
                moment, _, due = heapq.heappop(self._waiting)
                if due.done():
                    continue
                self._now = max(self._now, moment)
                due.set_result(None)
                await _settle()
            self._now = end
            await _settle()


async def _settle() -> None:
    """Give everyone who was woken the time to do what they do."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
