"""Time, as the mock sees it: one object to ask and to wait on, so that another can take its place."""

import asyncio
import time


class NotInTime(AssertionError, TimeoutError):
    """What was waited for did not happen in time; the message says what did.

    A failed assertion for test runners, and a TimeoutError for code that knows only that.
    """

    __module__ = "mockserver"  # as its users import it, and reports show it


class Clock:
    """The real clock. `now` counts seconds from an arbitrary start; `unix` is the time of day."""

    is_virtual = False

    def now(self) -> float:
        """Seconds, never going back."""
        return time.perf_counter()

    def epoch(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def unix(self) -> int:
        """Whole seconds since 1970."""
        return int(self.epoch())

    async def sleep_until(self, moment: float) -> None:
        """Wait for a moment of `now`; one already past still lets every other task run once."""
        await asyncio.sleep(max(0.0, moment - self.now()))

    async def advance(self, seconds: float) -> None:
        """Raise ValueError: only a virtual clock can be advanced."""
        raise ValueError(
            f"the clock is real and cannot be advanced by {seconds:g} s; start the mock with clock=virtual"
        )
