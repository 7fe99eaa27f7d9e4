"""Sleep when idle: the model is freed after `sleep_idle_seconds` without a request.

Mirrors tools/server/server-queue.cpp.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mockserver.engine.server_context import ServerContext


class IdleSleep:
    """Frees the model of a server context that was idle for `sleep_idle_seconds`, and then calls `on_sleep`."""

    def __init__(self, server_context: ServerContext, on_sleep: Callable[[], None]) -> None:
        self._server_context, self._on_sleep = server_context, on_sleep
        self._task: asyncio.Task[None] | None = None

    def start_timer(self) -> None:
        """Count the idle seconds from now on."""
        seconds = self._server_context.options.sleep_idle_seconds
        if seconds >= 0:
            self.cancel()
            self._task = asyncio.create_task(self._sleep_when_due(seconds))

    def cancel(self) -> None:
        """Stay awake: stop counting."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop counting, and return when that is done."""
        self.cancel()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task

    async def _sleep_when_due(self, seconds: float) -> None:
        clock = self._server_context.clock
        await clock.sleep_until(clock.now() + seconds)
        if self._server_context.is_asleep:  # nobody has asked for anything meanwhile
            self._server_context.sleep()
            self._on_sleep()
