"""What both registries share: looking at the source again and again, and what to say when it turns bad."""

import abc
import asyncio
import contextlib
import logging

from gateway.config.document import SourceError
from gateway.registry.base import Registry, SourceProblem

INTERVAL = 0.3  # seconds between two looks: a change must be in effect within one second

log = logging.getLogger("gateway.registry")


class WatchingRegistry(Registry):
    """A registry that calls `look` every `interval` seconds while it is open.

    A source that turns bad is logged once, and so is its recovery; the last good snapshot serves meanwhile.
    """

    def __init__(self, name: str, interval: float = INTERVAL) -> None:
        super().__init__()
        self.name = name
        self._interval = interval
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._was_asked_for = False  # whether the look under way was asked for
        self._watcher: asyncio.Task[None] | None = None

    @abc.abstractmethod
    async def look(self) -> None:
        """Replace the snapshot if the source has changed. Raises SourceError if it cannot be used."""

    async def open(self) -> None:
        """Load the source and begin to watch it. Raises SourceError if it cannot be used."""
        await self.look()
        self._stop.clear()
        self._watcher = asyncio.create_task(self._watch(), name="registry")
        self._watcher.add_done_callback(_log_failure)

    async def close(self) -> None:
        """Stop watching, once a look that is under way is done. Does nothing if it is not open."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            self._stop.set()
            self._wake.set()
            await asyncio.wait([watcher])

    def look_soon(self) -> None:
        """Look for a change now instead of at the next turn: whoever makes it has finished. Returns at once."""
        self._wake.set()

    async def is_asked_within(self, seconds: float) -> bool:
        """Wait for so long, or until somebody asks for a look; True, and at once, where this one was asked for."""
        if not self._was_asked_for:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        return self._was_asked_for or self._wake.is_set()

    @property
    def is_closing(self) -> bool:
        """Whether what a look finds would be nobody's any more."""
        return self._stop.is_set()

    async def _watch(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            self._was_asked_for = self._wake.is_set()
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                await self.look()
            except SourceError as error:
                self._complain(error)

    def _complain(self, error: SourceError) -> None:
        if self.problem is not None and self.problem.lines == error.lines:
            return
        log.error("configuration not reloaded, keeping the previous one: %s", error.in_one_line)
        self.replace(self.snapshot, SourceProblem(error.lines))


def _log_failure(watcher: asyncio.Task[None]) -> None:
    """A watcher ends when it is told to; if it died, keys revoked from now on would go on working."""
    if not watcher.cancelled() and watcher.exception() is not None:
        log.critical("the registry is no longer watched; restart the gateway", exc_info=watcher.exception())
