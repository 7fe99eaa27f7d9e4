"""Falling asleep: a machine that nobody uses is sent to sleep after its time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mockserver.engine.server_context import ServerContext


class IdleSleep:
    """Sends a machine to sleep when it was idle for `sleep_idle_seconds`, and says so by calling `slept`."""

    def __init__(self, machine: ServerContext, slept: Callable[[], None]) -> None:
        self._machine, self._slept = machine, slept
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """From now on it is idle."""
        seconds = self._machine.settings.sleep_idle_seconds
        if seconds >= 0:
            self.cancel()
            self._task = asyncio.create_task(self._doze(seconds))

    def cancel(self) -> None:
        """Stay awake."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stay awake, and return when that is certain."""
        self.cancel()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task

    async def _doze(self, seconds: float) -> None:
        clock = self._machine.clock
        await clock.sleep_until(clock.now() + seconds)
        if self._machine.asleep:
            self._machine.sleep()
            self._slept()
